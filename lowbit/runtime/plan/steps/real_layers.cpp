// Conv, Gemm and MatMul with constant weights in float32, channels last, with bias and activation fused.
#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "lowbit/kernels/float_layer.h"
#include "lowbit/ops/convolution.h"
#include "lowbit/runtime/plan/lowbit_blob.h"
#include "lowbit/runtime/plan/shapes.h"
#include "lowbit/runtime/plan/steps/dynamic_codes.h"
#include "lowbit/runtime/plan/steps/steps.h"

namespace lowbit::plan {
namespace {

struct RealLayerParams {
  kernels::QLayerShape shape;
  Ref input, output, packed, bias;
  bool has_bias, decodes;
  kernels::FloatLowbitWeights lowbit;  ///< if it decodes
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
  call.lowbit = p.decodes ? &p.lowbit : nullptr;
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
  WeightOrder order;              ///< rows the channels, k as [kernel row][kernel column][channel]
  std::string kind;
  Dims output_dims;
  Order memory;
};

/// Weights of a layer: packed in their few bits, or as float32.
struct PackedLayer {
  Blob blob;
  std::optional<LowbitEntry> lowbit;
};

/// The annotated weights in their few bits, if a coding holds them and the kernel can decode them.
std::optional<PackedLayer> lowbit_weights(Builder& builder, const RealLayer& l) {
  const Node& node = builder.node(l.node);
  const Value& weight = builder.graph().value(node.inputs[1]);
  if (!weight.quantization || !kernels::float_layer_decodes(l.shape)) return std::nullopt;
  const LowbitForm form{l.shape.out_channels, l.shape.in_channels * l.shape.kernel_h * l.shape.kernel_w, true, false,
                        true};
  if (form.k < kernels::kLowbitChunk || form.n < kernels::kLowbitRows) return std::nullopt;  // mostly padding
  const std::string key = node.name + "/decoded";
  std::string why;
  auto blob = builder.weights().find(key);
  if (!blob || !open_lowbit(*blob, form)) {
    builder.require_elements(node.inputs[1]);
    const auto matrix = real_level_matrix(weight, l.order, why);
    if (!matrix || matrix->rows != form.n || matrix->k != form.k) return std::nullopt;
    std::vector<int64_t> rows(static_cast<size_t>(matrix->rows));
    std::iota(rows.begin(), rows.end(), int64_t{0});
    blob = make_lowbit(*matrix, rows, form, why);
    if (!blob) return std::nullopt;
    builder.weights().put(key, *blob, builder.own_constant(node.inputs[1]));
  }
  return PackedLayer{*blob, open_lowbit(*blob, form)};
}

PackedLayer packed_layer(Builder& builder, RealLayer& l) {
  if (auto found = lowbit_weights(builder, l)) return *found;
  const Node& node = builder.node(l.node);
  const std::string key = node.name + "/float";
  const size_t bytes = kernels::float_layer_packed_bytes(l.shape, kernels::FloatStorage::f32);
  if (const auto blob = builder.weights().find(key); blob && blob->size == bytes) return {*blob, std::nullopt};
  const Tensor values = builder.real_constant(node.inputs[1]);
  l.strides.values = values.data<float>();
  const auto packed = allocate_aligned(bytes);
  kernels::float_layer_pack(l.shape, l.strides, kernels::FloatStorage::f32, packed.get());
  builder.weights().put(key, {packed, bytes}, builder.own_constant(node.inputs[1]));
  return {{packed, bytes}, std::nullopt};
}

bool emit_real_layer(Builder& builder, RealLayer l, std::string& why) {
  const Node& node = builder.node(l.node);
  const Tensor* bias = builder.graph().constant(l.bias);
  if (l.bias != kNone && (!bias || bias->count() != l.shape.out_channels))
    return why = "its bias is not one constant per channel", false;
  if (builder.graph().value(node.inputs[0]).dtype != DType::float32 &&
      builder.graph().value(node.inputs[0]).dtype != DType::undefined)
    return why = "its input is not float32", false;
  const auto &x = builder.graph().value(node.inputs[0]).quantization,
             &w = builder.graph().value(node.inputs[1]).quantization;
  const PackedLayer packed = packed_layer(builder, l);
  const FusedActivation activation = real_activation(builder, node.outputs[0]);
  RealLayerParams params{};
  params.shape = l.shape;
  params.low = activation.low;
  params.high = activation.high;
  params.isa = kernels::active_isa();
  params.has_bias = bias != nullptr;
  const bool rounds = x && x->dynamic && w;  // as the executor does, also where the layer has no integer form
  const View in = rounds ? dynamic_values(builder, l.node, node.inputs[0], l.memory)
                         : builder.real_operand(node.inputs[0], l.memory);
  if (bias) params.bias = builder.constant_view(builder.real_constant(l.bias)).ref();
  const View out = builder.real_result(activation.output, l.output_dims, l.memory);
  const auto stride_of = [&](const View& view) {
    return l.memory == Order::channels_last ? *pixel_stride(view) : *row_stride(view);
  };
  params.input = in.ref();
  params.output = out.ref();
  params.input_stride = stride_of(in);
  params.output_stride = stride_of(out);
  const auto bytes = static_cast<int64_t>(packed.blob.size);
  params.packed = builder.constant(packed.blob.bytes, packed.blob.bytes.get(), bytes);
  params.decodes = packed.lowbit.has_value();
  if (packed.lowbit) params.lowbit = {packed.lowbit->matrix, packed.lowbit->real_levels};
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
  draft.details.bytes = bytes + 4 * (in.count() + out.count());
  draft.details.kernel = packed.lowbit ? fmt::format("{} float32 x {} ({} bits stored)", l.kind, to_string(w->format),
                                                     kernels::lowbit_bits(packed.lowbit->matrix.coding))
                                       : fmt::format("{} float32", l.kind);
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
  RealLayer l{n, conv_shape(geometry), node.input(2), {}, {}, {}, geometry.output_dims(), Order::channels_last};
  l.order = weight->rank() == 4 ? WeightOrder{{0, 2, 3, 1}, 1} : WeightOrder{{0, 2, 1}, 1};
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
              transposed ? WeightOrder{{0, 1}, 1} : WeightOrder{{1, 0}, 1},
              "matrix",
              dims,
              Order::row_major};
  l.strides = {nullptr, transposed ? k : 1, transposed ? 1 : channels, 1, 1};
  l.output_dims.back() = channels;
  return emit_real_layer(builder, std::move(l), why);
}

}  // namespace lowbit::plan
