#include "lowbit/methods/mean_shift.h"

#include <cmath>

#include "lowbit/methods/layer_matrix.h"

namespace lowbit {
namespace {

/// A tensor as [outer, channels, inner].
struct Channels {
  int64_t outer = 1, count = 1, inner = 1;
  Channels(const Dims& dims, int64_t axis) {
    for (int64_t d = 0; d < static_cast<int64_t>(dims.size()); ++d)
      (d < axis ? outer : d == axis ? count : inner) *= dims[static_cast<size_t>(d)];
  }
};

/// Adds the weighted sums of a - b over each channel; returns the weight behind each of them.
double add_differences(const Tensor& a, const Tensor& b, const Channels& c, const LayerWalk& walk, int64_t chunk,
                       std::vector<double>& sums) {
  const float *x = a.data<float>(), *y = b.data<float>();
  double total = 0;
  for (int64_t o = 0; o < c.outer; ++o) {
    const double weight = walk.weight_of(chunk, o, c.outer);
    total += weight * static_cast<double>(c.inner);
    for (int64_t k = 0; k < c.count; ++k) {
      double sum = 0;
      for (int64_t i = 0; i < c.inner; ++i, ++x, ++y) sum += static_cast<double>(*x) - static_cast<double>(*y);
      sums[static_cast<size_t>(k)] += weight * sum;
    }
  }
  return total;
}

Tensor shifted(Tensor x, const Channels& c, const std::vector<double>& shift) {
  float* y = x.mutable_data<float>();
  for (int64_t o = 0; o < c.outer; ++o)
    for (int64_t k = 0; k < c.count; ++k) {
      const auto by = static_cast<float>(shift[static_cast<size_t>(k)]);
      for (int64_t i = 0; i < c.inner; ++i, ++y) *y += by;
    }
  return x;
}

}  // namespace

bool correct_mean_shift(LayerWalk& walk, Graph& graph, const GraphIndex& index, size_t n) {
  if (!can_shift(graph, index, n)) return false;
  const Node& node = graph.nodes[n];
  const ValueId id = node.output();
  std::vector<double> shift;
  double positions = 0;
  for (int64_t chunk = 0; chunk < walk.chunks(); ++chunk) {
    const Tensor wanted = walk.float_value(chunk, id), made = walk.low_value(chunk, id);
    if (wanted.dtype() != DType::float32 || wanted.dims() != made.dims() || wanted.rank() < 1) return false;
    const Channels channels(wanted.dims(), output_axis(node, wanted.rank()));
    shift.resize(static_cast<size_t>(channels.count), 0.0);
    if (static_cast<int64_t>(shift.size()) != channels.count) return false;
    positions += add_differences(wanted, made, channels, walk, chunk, shift);
  }
  if (!(positions > 0)) return false;
  for (double& s : shift) {
    s /= positions;
    if (!std::isfinite(s)) return false;
  }
  if (!shift_bias(graph, n, shift)) return false;
  for (int64_t chunk = 0; chunk < walk.chunks(); ++chunk) {
    const Tensor made = walk.low_value(chunk, id);
    const Channels channels(made.dims(), output_axis(node, made.rank()));
    walk.set_low_value(chunk, id, shifted(made, channels, shift));
  }
  return true;
}

}  // namespace lowbit
