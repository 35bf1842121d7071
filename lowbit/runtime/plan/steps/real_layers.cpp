// Conv, Gemm and MatMul with constant weights in float32, channels last, with bias and activation fused.
#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "lowbit/kernels/float_layer.h"
#include "lowbit/ops/convolution.h"
#include "lowbit/runtime/plan/shapes.h"
#include "lowbit/runtime/plan/steps/steps.h"

namespace lowbit::plan {
namespace {

struct RealLayerParams {
  kernels::QLayerShape shape;
  Ref input, output, packed, bias;
  bool has_bias;
  int64_t input_stride, output_stride;
  float low, high;
  int64_t pixel_step, channel_step;
  kernels::Isa isa;
};

constexpr int64_t kRealPixelsPerTask = 32, kRealChannelsPerTask = 16;

void run_real_layer(const void* raw, const RunContext& context, int64_t first, int64_t last,
                    std::byte* scratch) noexcept {
  const auto& p = *static_cast<const RealLayerParams*>(raw);
  kernels::FloatLayerCall call{};
  call.shape = &p.shape;
  call.packed = context.raw(p.packed);
  call.bias = p.has_bias ? context.at<const float>(p.bias) : nullptr;
  call.low = p.low;
  call.high = p.high;
  call.input = context.at<const float>(p.input);
  call.input_stride = p.input_stride;
  call.output = context.at<float>(p.output);
  call.output_stride = p.output_stride;
  const int64_t pixels = p.shape.pixels(), channels = p.shape.out_channels;
  const bool by_pixels = p.channel_step >= channels;
  call.pixel_begin = by_pixels ? first * p.pixel_step : 0;
  call.pixel_end = by_pixels ? std::min(last * p.pixel_step, pixels) : pixels;
  call.channel_begin = by_pixels ? 0 : first * p.channel_step;
  call.channel_end = by_pixels ? channels : std::min(last * p.channel_step, channels);
  call.scratch = scratch;
  kernels::run_float_layer(call, p.isa);
}

/// A Relu or Clip behind an unannotated result that nobody else reads.
FusedActivation real_activation(const Builder& builder, ValueId result) {
  FusedActivation none;
  none.output = result;
  none.low = -__builtin_inff();
  none.high = __builtin_inff();
  const int32_t next = builder.graph().value(result).quantization ? -1 : builder.only_reader(result);
  if (next < 0) return none;
  const Node& node = builder.node(next);
  FusedActivation fused{next, node.output(), none.low, none.high};
  if (node.is("Relu")) {
    fused.low = 0;
    return fused;
  }
  if (!node.is("Clip") || node.input(0) != result) return none;
  for (size_t side = 1; side <= 2; ++side) {
    if (node.input(side) == kNone) continue;
    const auto limit = scalar_constant(builder.graph(), node.inputs[side]);
    if (!limit) return none;
    (side == 1 ? fused.low : fused.high) = static_cast<float>(*limit);
  }
  return fused;
}

struct RealLayer {
  int32_t node;
  kernels::QLayerShape shape;
  ValueId bias;
  kernels::FloatWeights strides;  ///< without values
  std::string kind;
  Dims output_dims;
  Order memory;
};

bool emit_real_layer(Builder& builder, RealLayer l, std::string& why) {
  const Node& node = builder.node(l.node);
  const Tensor* bias = builder.graph().constant(l.bias);
  if (l.bias != kNone && (!bias || bias->count() != l.shape.out_channels))
    return why = "its bias is not one constant per channel", false;
  if (builder.graph().value(node.inputs[0]).dtype != DType::float32 &&
      builder.graph().value(node.inputs[0]).dtype != DType::undefined)
    return why = "its input is not float32", false;
  const std::string key = node.name + "/float";
  const size_t bytes = kernels::float_layer_packed_bytes(l.shape, kernels::FloatStorage::f32);
  auto blob = builder.weights().find(key);
  if (!blob || blob->size != bytes) {
    const Tensor values = builder.real_constant(node.inputs[1]);
    l.strides.values = values.data<float>();
    const auto packed = allocate_aligned(bytes);
    kernels::float_layer_pack(l.shape, l.strides, kernels::FloatStorage::f32, packed.get());
    blob = Blob{packed, bytes};
    builder.weights().put(key, *blob, builder.own_constant(node.inputs[1]));
  }
  const FusedActivation activation = real_activation(builder, node.outputs[0]);
  RealLayerParams params{};
  params.shape = l.shape;
  params.low = activation.low;
  params.high = activation.high;
  params.isa = kernels::active_isa();
  params.has_bias = bias != nullptr;
  const View in = builder.real_operand(node.inputs[0], l.memory);
  if (bias) params.bias = builder.constant_view(builder.real_constant(l.bias)).ref();
  const View out = builder.real_result(activation.output, l.output_dims, l.memory);
  const auto stride_of = [&](const View& view) {
    return l.memory == Order::channels_last ? *pixel_stride(view) : *row_stride(view);
  };
  params.input = in.ref();
  params.output = out.ref();
  params.input_stride = stride_of(in);
  params.output_stride = stride_of(out);
  params.packed = builder.constant(blob->bytes, blob->bytes.get(), static_cast<int64_t>(bytes));
  const int64_t pixels = l.shape.pixels(), channels = l.shape.out_channels;
  const bool by_pixels = l.shape.groups > 1 || (pixels + kRealPixelsPerTask - 1) / kRealPixelsPerTask >=
                                                   (channels + kRealChannelsPerTask - 1) / kRealChannelsPerTask;
  params.pixel_step = by_pixels ? kRealPixelsPerTask : pixels;
  params.channel_step = by_pixels ? channels : kRealChannelsPerTask;
  Draft draft;
  draft.run = run_real_layer;
  draft.tasks = by_pixels ? (pixels + kRealPixelsPerTask - 1) / kRealPixelsPerTask
                          : (channels + kRealChannelsPerTask - 1) / kRealChannelsPerTask;
  draft.details.macs = pixels * channels * l.shape.group_in() * l.shape.kernel_h * l.shape.kernel_w;
  draft.nanoseconds = static_cast<double>(draft.details.macs) / 25.0 + static_cast<double>(pixels * channels) * 0.1;
  draft.scratch_bytes = static_cast<int64_t>(kernels::float_layer_scratch_bytes(l.shape));
  draft.reads = {in.buffer, params.packed.buffer};
  draft.writes = {out.buffer};
  draft.details.bytes = static_cast<int64_t>(bytes) + 4 * (in.count() + out.count());
  draft.details.kernel = fmt::format("{} float32", l.kind);
  draft.details.nodes = {l.node};
  if (activation.node >= 0) {
    draft.details.nodes.push_back(activation.node);
    builder.cover(activation.node);
  }
  draft.params = std::make_shared<const RealLayerParams>(params);
  builder.emit(l.node, std::move(draft));
  builder.finish_real(activation.output);
  return true;
}

}  // namespace

bool make_real_conv(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  const Tensor* weight = builder.graph().constant(node.input(1));
  if (!weight || weight->rank() < 3 || weight->rank() > 4)
    return why = "its weights are not constant, or have more than two spatial axes", false;
  if (builder.known(node.inputs[0])) return why = "its input is constant", false;
  const ConvGeometry geometry = conv_geometry(node, builder.dims(node.inputs[0]), weight->dims());
  RealLayer l{n, conv_shape(geometry), node.input(2), {}, {}, geometry.output_dims(), Order::channels_last};
  kernels::QLayerWeights order{};
  kernels::set_onnx_strides(l.shape, order);
  l.strides = {nullptr, order.stride_out, order.stride_in, order.stride_y, order.stride_x};
  l.kind = fmt::format("conv {}x{}", l.shape.kernel_h, l.shape.kernel_w);
  return emit_real_layer(builder, std::move(l), why);
}

bool make_real_matrix(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  const Tensor* weight = builder.graph().constant(node.input(1));
  if (!weight || weight->rank() != 2) return why = "its second operand is no constant matrix", false;
  if (builder.known(node.inputs[0])) return why = "its input is constant", false;
  const bool gemm = node.is("Gemm");
  if (gemm && (node.attr_float("alpha", 1) != 1 || node.attr_float("beta", 1) != 1 || node.attr_int("transA", 0) != 0))
    return why = "it scales or transposes its input", false;
  const bool transposed = gemm && node.attr_int("transB", 0) != 0;
  const int64_t k = weight->dim(transposed ? 1 : 0), channels = weight->dim(transposed ? 0 : 1);
  const Dims& dims = builder.dims(node.inputs[0]);
  if (dims.empty() || dims.back() != k || k == 0 || channels == 0)
    return why = "its input does not fit its weights", false;
  RealLayer l{n,
              kernels::qgemm_shape(element_count(dims) / k, channels, k),
              gemm ? node.input(2) : kNone,
              {},
              "matrix",
              dims,
              Order::row_major};
  l.strides = {nullptr, transposed ? k : 1, transposed ? 1 : channels, 1, 1};
  l.output_dims.back() = channels;
  return emit_real_layer(builder, std::move(l), why);
}

}  // namespace lowbit::plan
