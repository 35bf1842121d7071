#include "lowbit/ops/op_helpers.h"
#include "lowbit/ops/pooling.h"

namespace lowbit {

PoolGeometry pool_geometry(const Node& node, const Dims& x) {
  require(x.size() >= 3, "the input {} has no spatial dimension", dims_text(x));
  const std::vector<int64_t> kernel = node.attr_ints("kernel_shape");
  require(kernel.size() + 2 == x.size(), "kernel_shape has {} numbers for the input {}", kernel.size(), dims_text(x));
  const WindowRule rule(node, kernel);
  PoolGeometry g;
  g.planes = x[0] * x[1];
  g.out = {x[0], x[1]};
  std::vector<WindowAxis> spatial;
  for (size_t i = 0; i < kernel.size(); ++i) {
    spatial.push_back(rule.axis(i, x[i + 2], node.attr_int("ceil_mode", 0) != 0));
    g.out.push_back(spatial.back().out);
  }
  g.axes = three_axes(spatial);
  return g;
}

int64_t padded_taps(const WindowAxis& axis, int64_t o) {
  WindowAxis padded = axis;
  padded.in += padded.pad_begin + padded.pad_end;
  padded.pad_begin = 0;
  const auto [first, last] = padded.taps(o);
  return last - first;
}

}  // namespace lowbit
