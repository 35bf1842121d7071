#include "lowbit/ops/convolution.h"
#include "lowbit/ops/op_helpers.h"

namespace lowbit {
namespace {

int64_t read_groups(const Node& node, const Dims& x, const Dims& w) {
  require(x.size() >= 3, "the input {} has no spatial dimension", dims_text(x));
  require(w.size() == x.size(), "the weights {} and the input {} differ in rank", dims_text(w), dims_text(x));
  const int64_t groups = node.attr_int("group", 1);
  require(groups >= 1, "group is {}", groups);
  return groups;
}

/// The spatial part of the weights, which kernel_shape may repeat but not change.
std::vector<int64_t> kernel_of(const Node& node, const Dims& w) {
  std::vector<int64_t> kernel(w.begin() + 2, w.end());
  const std::vector<int64_t> stated = node.attr_ints("kernel_shape", kernel);
  require(stated == kernel, "kernel_shape {} differs from the weights {}", dims_text(stated), dims_text(w));
  return kernel;
}

}  // namespace

Dims ConvGeometry::output_dims() const {
  Dims dims{batch, groups * out_channels};
  for (const WindowAxis& axis : spatial) dims.push_back(axis.out);
  return dims;
}

ConvGeometry conv_geometry(const Node& node, const Dims& x, const Dims& w) {
  ConvGeometry g;
  g.groups = read_groups(node, x, w);
  g.batch = x[0];
  g.in_channels = w[1];
  require(w[0] % g.groups == 0, "{} output channels do not divide into {} groups", w[0], g.groups);
  g.out_channels = w[0] / g.groups;
  require(x[1] % g.groups == 0 && x[1] / g.groups == w[1], "the input has {} channels, the weights need {} x {}", x[1],
          w[1], g.groups);
  const WindowRule rule(node, kernel_of(node, w));
  for (size_t i = 0; i < rule.rank(); ++i) g.spatial.push_back(rule.axis(i, x[i + 2]));
  g.axes = three_axes(g.spatial);
  return g;
}

ConvGeometry conv_transpose_geometry(const Node& node, const Dims& x, const Dims& w) {
  ConvGeometry g;
  g.groups = read_groups(node, x, w);
  g.batch = x[0];
  g.out_channels = w[1];
  require(x[1] == w[0] && x[1] % g.groups == 0, "the input has {} channels, the weights {} (in {} groups)", x[1], w[0],
          g.groups);
  g.in_channels = x[1] / g.groups;
  const WindowRule rule(node, kernel_of(node, w));
  const size_t rank = rule.rank();
  const std::vector<int64_t> extra = node.attr_ints("output_padding", std::vector<int64_t>(rank, 0));
  require(extra.size() == rank, "output_padding has {} numbers, but {} are needed", extra.size(), rank);
  std::vector<int64_t> sizes = node.attr_ints("output_shape", std::vector<int64_t>(rank, -1));
  if (sizes.size() == rank + 2) sizes.erase(sizes.begin(), sizes.begin() + 2);
  require(sizes.size() == rank, "output_shape has {} numbers, but {} are needed", sizes.size(), rank);
  for (size_t i = 0; i < rank; ++i) g.spatial.push_back(rule.transposed_axis(i, x[i + 2], extra[i], sizes[i]));
  g.axes = three_axes(g.spatial);
  return g;
}

}  // namespace lowbit
