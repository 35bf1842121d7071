// Sums, means and extremes of float32 along axes, and pools of float32 images.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "lowbit/ops/pooling.h"
#include "lowbit/runtime/plan/convert.h"
#include "lowbit/runtime/plan/steps/steps.h"

namespace lowbit::plan {
namespace {

enum class Reduction : uint8_t { sum, mean, max, min };

struct ReduceParams {
  Ref x, y;
  int64_t n;  ///< elements of each result, one behind the other
  Reduction kind;
};

constexpr int64_t kLanes = 8;

/// Sums run in eight strided parts of double precision.
double sum_of(const float* x, int64_t n) {
  double lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += static_cast<double>(x[i + lane]);
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  for (; i < n; ++i) sum += static_cast<double>(x[i]);
  return sum;
}

float reduced(const ReduceParams& p, const float* x) {
  if (p.kind == Reduction::max) return *std::max_element(x, x + p.n);
  if (p.kind == Reduction::min) return *std::min_element(x, x + p.n);
  const double sum = sum_of(x, p.n);
  return static_cast<float>(p.kind == Reduction::mean ? sum / static_cast<double>(p.n) : sum);
}

void run_reduce(const void* raw, const RunContext& context, int64_t first, int64_t last, std::byte*) noexcept {
  const auto& p = *static_cast<const ReduceParams*>(raw);
  for (int64_t i = first; i < last; ++i) context.at<float>(p.y)[i] = reduced(p, context.at<const float>(p.x) + i * p.n);
}

/// The axes of a reduction, by axis; nothing if they are not known.
std::optional<std::vector<bool>> reduced_axes(const Builder& builder, const Node& node, int64_t rank) {
  std::vector<int64_t> axes = node.attr_ints("axes");
  if (node.input(1) != kNone) {
    const Tensor* given = builder.known(node.inputs[1]);
    if (!given || !is_integer(given->dtype())) return std::nullopt;
    axes = to_int64(*given);
  }
  if (axes.empty() && node.attr_int("noop_with_empty_axes", 0) != 0) return std::nullopt;
  std::vector<bool> chosen(static_cast<size_t>(rank), axes.empty());
  for (const int64_t axis : axes) {
    if (axis < -rank || axis >= rank) return std::nullopt;
    chosen[static_cast<size_t>(axis < 0 ? axis + rank : axis)] = true;
  }
  return chosen;
}

/// A window of a channels-last image.
struct WindowParams {
  Ref x, y;
  WindowAxis h, w;
  int64_t channels, input_stride, output_stride, planes_in, planes_out;  ///< pixels of an image
  bool max, counts_padding;
};

void run_window(const void* raw, const RunContext& context, int64_t first, int64_t last, std::byte*) noexcept {
  const auto& p = *static_cast<const WindowParams*>(raw);
  for (int64_t pixel = first; pixel < last; ++pixel) {
    const int64_t image = pixel / p.planes_out, oy = pixel % p.planes_out / p.w.out, ox = pixel % p.w.out;
    const float* x = context.at<const float>(p.x) + image * p.planes_in * p.input_stride;
    float* y = context.at<float>(p.y) + pixel * p.output_stride;
    std::fill_n(y, p.channels, p.max ? -__builtin_inff() : 0.0f);
    int64_t taps = 0;
    for (int64_t ky = 0; ky < p.h.kernel; ++ky)
      for (int64_t kx = 0; kx < p.w.kernel; ++kx) {
        const int64_t iy = p.h.start(oy) + ky * p.h.dilation, ix = p.w.start(ox) + kx * p.w.dilation;
        if (iy < 0 || iy >= p.h.in || ix < 0 || ix >= p.w.in) continue;
        const float* from = x + (iy * p.w.in + ix) * p.input_stride;
        ++taps;
        for (int64_t c = 0; c < p.channels; ++c) y[c] = p.max ? std::max(y[c], from[c]) : y[c] + from[c];
      }
    if (p.max) continue;
    const auto count =
        static_cast<float>(p.counts_padding ? padded_taps(p.h, oy) * padded_taps(p.w, ox) : std::max<int64_t>(taps, 1));
    for (int64_t c = 0; c < p.channels; ++c) y[c] /= count;
  }
}

bool is_real(const Builder& builder, ValueId id) {
  if (!builder.ready(id) || builder.known(id)) return false;
  const DType type = builder.graph().value(id).dtype;
  return type == DType::float32 || type == DType::undefined;
}

}  // namespace

bool make_real_reduce(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  if (!is_real(builder, node.input(0))) return why = "its input is constant or not float32", false;
  const Dims dims = builder.dims(node.inputs[0]);
  auto chosen = node.is("GlobalAveragePool") ? std::optional(std::vector<bool>(dims.size(), true))
                                             : reduced_axes(builder, node, static_cast<int64_t>(dims.size()));
  if (!chosen) return why = "its axes are not known while planning", false;
  if (node.is("GlobalAveragePool")) std::fill_n(chosen->begin(), std::min<size_t>(2, dims.size()), false);
  const bool keeps = node.attr_int("keepdims", 1) != 0;
  View ordered = builder.real_operand(node.inputs[0]);
  Dims out;
  View dense = ordered;  // kept axes first
  dense.dims.clear();
  dense.strides.clear();
  for (const bool last : {false, true})
    for (size_t axis = 0; axis < dims.size(); ++axis)
      if ((*chosen)[axis] == last) {
        dense.dims.push_back(dims[axis]);
        dense.strides.push_back(ordered.strides[axis]);
      }
  for (size_t axis = 0; axis < dims.size(); ++axis) {
    if (!(*chosen)[axis]) out.push_back(dims[axis]);
    if ((*chosen)[axis] && keeps) out.push_back(1);
  }
  if (!is_row_major(dense)) {
    const View copy = builder.temporary(DType::float32, dense.dims);
    builder.emit(n, copy_draft(dense, copy));
    dense = copy;
  }
  const View y = builder.real_result(node.outputs[0], out, Order::row_major);
  ReduceParams p{dense.ref(), y.ref(), dense.count() / std::max<int64_t>(y.count(), 1), Reduction::mean};
  if (node.is("ReduceSum")) p.kind = Reduction::sum;
  if (node.is("ReduceMax")) p.kind = Reduction::max;
  if (node.is("ReduceMin")) p.kind = Reduction::min;
  Draft draft;
  draft.run = run_reduce;
  draft.tasks = y.count();
  draft.nanoseconds = static_cast<double>(dense.count()) * 0.4;
  draft.reads = {dense.buffer};
  draft.writes = {y.buffer};
  draft.details.bytes = 4 * (dense.count() + y.count());
  draft.details.kernel = node.op + " float32";
  draft.params = std::make_shared<const ReduceParams>(p);
  builder.emit(n, std::move(draft));
  builder.finish_real(node.outputs[0]);
  return true;
}

bool make_real_pool(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  if (!is_real(builder, node.input(0))) return why = "its input is constant or not float32", false;
  const Dims dims = builder.dims(node.inputs[0]);
  if (dims.size() < 3 || dims.size() > 4 || node.outputs.size() > 1)
    return why = "it has more than two spatial axes, or its indices are read", false;
  const PoolGeometry g = pool_geometry(node, dims);
  const View x = builder.real_operand(node.inputs[0], Order::channels_last);
  const View y = builder.real_result(node.outputs[0], g.out, Order::channels_last);
  WindowParams p{};
  p.h = g.axes[1];
  p.w = g.axes[2];
  p.x = x.ref();
  p.y = y.ref();
  p.channels = dims[1];
  p.input_stride = *pixel_stride(x);
  p.output_stride = *pixel_stride(y);
  p.planes_in = p.h.in * p.w.in;
  p.planes_out = p.h.out * p.w.out;
  p.max = node.is("MaxPool");
  p.counts_padding = node.attr_int("count_include_pad", 0) != 0;
  Draft draft;
  draft.run = run_window;
  draft.tasks = dims[0] * p.planes_out;
  draft.nanoseconds = static_cast<double>(y.count() * p.h.kernel * p.w.kernel) * 0.4;
  draft.reads = {x.buffer};
  draft.writes = {y.buffer};
  draft.details.bytes = 4 * (x.count() + y.count());
  draft.details.kernel = fmt::format("{} {}x{} float32", p.max ? "maximum" : "mean", p.h.kernel, p.w.kernel);
  draft.params = std::make_shared<const WindowParams>(p);
  builder.emit(n, std::move(draft));
  builder.finish_real(node.outputs[0]);
  return true;
}

}  // namespace lowbit::plan
