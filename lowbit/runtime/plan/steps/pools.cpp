// Pools and means of codes.
#include <algorithm>

#include <fmt/format.h>

#include "lowbit/kernels/qpool.h"
#include "lowbit/ops/pooling.h"
#include "lowbit/runtime/plan/convert.h"
#include "lowbit/runtime/plan/steps/steps.h"

namespace lowbit::plan {
namespace {

using kernels::Code;

struct PoolParams {
  kernels::QLayerShape shape;
  int64_t channels, input_stride, output_stride;
  Ref x, y;
  Code in, out;
  bool average;
  kernels::QAverage mean;
  const kernels::QPoolKernels* kernels;
};

constexpr int64_t kPixelsPerTask = 16, kChannelsPerTask = 64;

void run_pool(const void* raw, const RunContext& context, int64_t first, int64_t last, std::byte*) noexcept {
  const auto& p = *static_cast<const PoolParams*>(raw);
  const kernels::QPoolCall call{
      &p.shape,         p.channels,      context.raw(p.x),       p.input_stride,
      context.raw(p.y), p.output_stride, first * kPixelsPerTask, std::min(last * kPixelsPerTask, p.shape.pixels())};
  if (p.average)
    p.kernels->average(call, p.in, p.out, p.mean);
  else
    p.kernels->max(call, p.in);
}

/// The mean over all pixels of each image; tasks are blocks of channels of one image.
void run_global(const void* raw, const RunContext& context, int64_t first, int64_t last, std::byte*) noexcept {
  const auto& p = *static_cast<const PoolParams*>(raw);
  const int64_t blocks = (p.channels + kChannelsPerTask - 1) / kChannelsPerTask,
                pixels = p.shape.height * p.shape.width;
  for (int64_t task = first; task < last; ++task) {
    const int64_t image = task / blocks, begin = task % blocks * kChannelsPerTask;
    p.kernels->global_average(pixels, begin, std::min(begin + kChannelsPerTask, p.channels),
                              context.raw(p.x) + image * pixels * p.input_stride, p.input_stride, p.in,
                              context.raw(p.y) + image * p.output_stride, p.out, p.mean);
  }
}

kernels::QLayerShape pool_shape(const PoolGeometry& g, int64_t images) {
  const auto& [d, h, w] = g.axes;
  kernels::QLayerShape s;
  s.images = images;
  s.height = h.in;
  s.width = w.in;
  s.kernel_h = h.kernel;
  s.kernel_w = w.kernel;
  s.stride_h = h.stride;
  s.stride_w = w.stride;
  s.dilation_h = h.dilation;
  s.dilation_w = w.dilation;
  s.pad_top = h.pad_begin;
  s.pad_left = w.pad_begin;
  s.out_height = h.out;
  s.out_width = w.out;
  return s;
}

bool is_byte(const Quantization& q) {
  const auto code = code_of(code_dtype(q));
  return code && kernels::code_bytes(*code) == 1;
}

void emit_pool(Builder& builder, int32_t n, PoolParams params, const View& x, const View& y, TaskFn run, int64_t tasks,
               std::string kernel) {
  params.x = x.ref();
  params.y = y.ref();
  params.input_stride = *pixel_stride(x);
  params.output_stride = *pixel_stride(y);
  params.kernels = &kernels::qpool();
  Draft draft;
  draft.run = run;
  draft.tasks = tasks;
  draft.nanoseconds =
      static_cast<double>(params.shape.pixels() * params.channels * params.shape.kernel_h * params.shape.kernel_w) *
      0.08;
  draft.reads = {x.buffer};
  draft.writes = {y.buffer};
  draft.details.integer = true;
  draft.details.bytes = x.count() + y.count();
  draft.details.kernel = std::move(kernel);
  draft.params = std::make_shared<const PoolParams>(params);
  builder.emit(n, std::move(draft));
}

/// True if ReduceMean runs over exactly the spatial axes of a [N, C, spatial...] value.
bool reduces_spatial(const Builder& builder, const Node& node) {
  const auto rank = static_cast<int64_t>(builder.dims(node.inputs[0]).size());
  const auto& shape = builder.graph().value(node.inputs[0]).shape;
  const Tensor* axes = builder.graph().constant(node.input(1));
  if (!shape || shape->size() < 3 || !axes) return false;
  std::vector<int64_t> wanted, given;
  for (int64_t a = 2; a < rank; ++a) wanted.push_back(a);
  for (const int64_t a : to_int64(*axes)) given.push_back(a < 0 ? a + rank : a);
  std::sort(given.begin(), given.end());
  return given == wanted;
}

bool make_global(Builder& builder, int32_t n, PoolParams params, const Dims& output_dims, std::string kernel,
                 std::string& why) {
  const Node& node = builder.node(n);
  const Dims dims = builder.dims(node.inputs[0]);
  const int64_t pixels = element_count(dims) / (dims[0] * dims[1]);
  if (pixels > (1 << 20)) return why = "its images are too large", false;
  params.channels = dims[1];
  params.shape.images = dims[0];
  params.shape.height = 1;
  params.shape.width = params.shape.kernel_w = pixels;
  params.shape.out_height = params.shape.out_width = 1;
  const View x = builder.operand(node.inputs[0], Order::channels_last);
  const View y = builder.result(node.outputs[0], DType::float32, output_dims,
                                output_dims.size() > 2 ? Order::channels_last : Order::row_major);
  emit_pool(builder, n, params, x, y, run_global, dims[0] * ((dims[1] + kChannelsPerTask - 1) / kChannelsPerTask),
            std::move(kernel));
  return true;
}

}  // namespace

bool make_max_pool(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  const Quantization* x = builder.context().per_tensor(node.input(0));
  if (!x || builder.known(node.inputs[0])) return why = "its input stays float", false;
  if (node.outputs.size() > 1) return why = "its indices are read", false;
  if (!kept_alike(builder, node.inputs[0], node.outputs[0]))
    return why = "its result has other parameters than its input", false;
  const Dims dims = builder.dims(node.inputs[0]);
  if (!is_byte(*x) || dims.size() < 3 || dims.size() > 4)
    return why = "its codes are wider than 8 bits, or it has more than two spatial axes", false;
  const PoolGeometry g = pool_geometry(node, dims);
  PoolParams params{};
  params.shape = pool_shape(g, dims[0]);
  params.channels = dims[1];
  params.in = params.out = *code_of(code_dtype(*x));
  const View in = builder.operand(node.inputs[0], Order::channels_last);
  const View out = builder.result(node.outputs[0], DType::float32, g.out, Order::channels_last);
  emit_pool(builder, n, params, in, out, run_pool, (params.shape.pixels() + kPixelsPerTask - 1) / kPixelsPerTask,
            fmt::format("maximum {}x{} {}", params.shape.kernel_h, params.shape.kernel_w, to_string(x->format)));
  return true;
}

bool make_mean(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  const Quantization *x = builder.context().per_tensor(node.input(0)), *y = builder.context().per_tensor(node.output());
  if (!x || builder.known(node.inputs[0])) return why = "its input stays float", false;
  if (!y) return why = "its result stays float", false;
  if (!is_byte(*x) || !is_byte(*y)) return why = "its codes are wider than 8 bits", false;
  if (node.is("ReduceMean") && !reduces_spatial(builder, node))
    return why = "it is no mean over the spatial axes", false;
  const Dims dims = builder.dims(node.inputs[0]);
  if (dims.size() < 3) return why = "it has no spatial axes", false;
  const LinearParams px = x->linear_at(0), py = y->linear_at(0);
  const CodeRange range = y->codes();
  PoolParams params{};
  params.average = true;
  params.in = *code_of(code_dtype(*x));
  params.out = *code_of(code_dtype(*y));
  params.mean = {px.scale, py.scale, px.zero_point, py.zero_point, range.min, range.max, false};
  std::string kernel = fmt::format("mean {} -> {}", to_string(x->format), to_string(y->format));
  if (!node.is("AveragePool")) {
    Dims out{dims[0], dims[1]};
    if (node.attr_int("keepdims", 1) != 0) out.resize(dims.size(), 1);
    return make_global(builder, n, params, out, std::move(kernel), why);
  }
  const PoolGeometry g = pool_geometry(node, dims);
  const bool whole = std::all_of(g.axes.begin(), g.axes.end(), [](const WindowAxis& a) {
    return a.out == 1 && a.kernel == a.in && a.pad_begin == 0 && a.dilation == 1;
  });
  if (whole) return make_global(builder, n, params, g.out, std::move(kernel), why);
  if (dims.size() > 4) return why = "it has more than two spatial axes", false;
  params.shape = pool_shape(g, dims[0]);
  params.channels = dims[1];
  params.mean.count_padding = node.attr_int("count_include_pad", 0) != 0;
  if (params.shape.kernel_h * params.shape.kernel_w > 65536) return why = "its windows are too large", false;
  for (const WindowAxis& a : g.axes) {
    const int64_t end = a.start(a.out - 1) + a.extent();
    if (params.mean.count_padding && end > a.in + a.pad_end)
      return why = "its last window lies partly outside the padding", false;
    if (a.taps(0)[0] >= a.taps(0)[1] || a.taps(a.out - 1)[0] >= a.taps(a.out - 1)[1])
      return why = "a window lies outside the input", false;
  }
  const View in = builder.operand(node.inputs[0], Order::channels_last);
  const View out = builder.result(node.outputs[0], DType::float32, g.out, Order::channels_last);
  emit_pool(builder, n, params, in, out, run_pool, (params.shape.pixels() + kPixelsPerTask - 1) / kPixelsPerTask,
            std::move(kernel));
  return true;
}

}  // namespace lowbit::plan
