// Conv, Gemm and MatMul with constant weights on codes, with activation, requantization and a residual sum fused.
#include <algorithm>

#include <fmt/format.h>

#include "lowbit/kernels/qlayer.h"
#include "lowbit/runtime/plan/convert.h"
#include "lowbit/runtime/plan/residual.h"
#include "lowbit/runtime/plan/steps/layer_node.h"
#include "lowbit/runtime/plan/steps/steps.h"

namespace lowbit::plan {
namespace {

using kernels::Code;
using kernels::QLayerKernel;
using kernels::QLayerShape;

struct LayerParams {
  const QLayerKernel* kernel;
  QLayerShape shape;
  Ref input, output, packed, other;
  int64_t input_stride, output_stride;
  kernels::QOutput out;
  kernels::QResidual residual;
  bool has_residual;
  int64_t pixel_step, channel_step;  ///< of a task; one of them covers everything
};

void run_layer(const void* raw, const RunContext& context, int64_t first, int64_t last, std::byte* scratch) noexcept {
  const auto& p = *static_cast<const LayerParams*>(raw);
  kernels::QLayerCall call{};
  call.shape = &p.shape;
  call.packed = context.raw(p.packed);
  call.input = context.raw(p.input);
  call.input_stride = p.input_stride;
  call.output = context.raw(p.output);
  call.output_stride = p.output_stride;
  call.out = p.out;
  kernels::QResidual residual;
  if (p.has_residual) {
    residual = p.residual;
    residual.other = context.raw(p.other);
    call.out.residual = &residual;
  }
  const int64_t pixels = p.shape.pixels(), channels = p.shape.out_channels;
  const bool by_pixels = p.channel_step >= channels;
  call.pixel_begin = by_pixels ? first * p.pixel_step : 0;
  call.pixel_end = by_pixels ? std::min(last * p.pixel_step, pixels) : pixels;
  call.channel_begin = by_pixels ? 0 : first * p.channel_step;
  call.channel_end = by_pixels ? channels : std::min(last * p.channel_step, channels);
  call.scratch = scratch;
  p.kernel->run(call);
}

/// The packed weights: from the store, or made now. Nothing with the reason if the layer has no 8-bit form.
std::optional<Blob> packed_weights(Builder& builder, const LayerNode& l, const QLayerKernel& kernel, Code input,
                                   Code output, std::string& why) {
  const Node& node = builder.node(l.node);
  const size_t bytes = kernel.packed_bytes(l.shape, output);
  const std::string key = fmt::format("{}/{}/{}", node.name, kernel.name, static_cast<int>(output));
  if (const auto found = builder.weights().find(key);
      found && found->size == bytes && kernel.packed_fits(l.shape, output, found->bytes.get()))
    return found;
  builder.require_elements(node.input(1));
  const auto layer = make_integer_layer(builder.context(), node, l.bias, l.order, l.activation, why);
  if (!layer) return std::nullopt;
  if (layer->needs_64_bits()) return why = "its accumulators need 64 bits", std::nullopt;
  if (layer->channels != l.shape.out_channels) return why = "its weights do not fit its channels", std::nullopt;
  std::vector<int8_t> codes(layer->weights.size());
  for (size_t i = 0; i < codes.size(); ++i) {
    if (layer->weights[i] < -128 || layer->weights[i] > 127)
      return why = "its weights minus zero point exceed 8 bits", std::nullopt;
    codes[i] = static_cast<int8_t>(layer->weights[i]);
  }
  kernels::QLayerWeights weights{};
  weights.codes = codes.data();
  kernels::set_onnx_strides(l.shape, weights);
  weights.bias = layer->bias.empty() ? nullptr : layer->bias.data();
  weights.factors = output == Code::f32 ? nullptr : layer->factors.data();
  weights.scales = output == Code::f32 ? layer->scales.data() : nullptr;
  weights.zero_point_in = layer->input_zero_point;
  weights.input = input;
  const std::shared_ptr<std::byte> packed = allocate_aligned(bytes);
  kernel.pack(l.shape, weights, output, packed.get());
  Blob blob{packed, bytes};
  builder.weights().put(key, blob, builder.own_constant(node.input(1)));
  return blob;
}

void split(LayerParams& params, int threads, int64_t& tasks) {
  const kernels::QLayerGrain grain = params.kernel->grain(params.shape);
  const int64_t pixels = params.shape.pixels(), channels = params.shape.out_channels;
  const int64_t pixel_tasks = (pixels + grain.pixels - 1) / grain.pixels,
                channel_tasks = (channels + grain.channels - 1) / grain.channels;
  const bool by_pixels = pixel_tasks >= channel_tasks || pixel_tasks >= 4 * threads;
  params.pixel_step = by_pixels ? grain.pixels : pixels;
  params.channel_step = by_pixels ? channels : grain.channels;
  tasks = by_pixels ? pixel_tasks : channel_tasks;
}

/// Estimate of the time on one thread: multiply-adds, and the bytes that go through.
double nanoseconds_of(const QLayerShape& s) {
  const bool depthwise = s.group_in() == 1 && s.groups > 1;
  return static_cast<double>(macs_of(s)) / (depthwise ? 8.0 : 60.0) +
         static_cast<double>(s.pixels() * s.out_channels) * 0.1;
}

/// Common end of all layers: packs, allocates the result (of the residual sum, if one is fused) and emits the step.
bool emit_layer(Builder& builder, LayerNode l, std::string& why) {
  const Quantization* x = builder.context().per_tensor(builder.node(l.node).input(0));
  const auto& w = builder.graph().value(builder.node(l.node).inputs[1]).quantization;
  if (!x) return why = "its input stays float", false;
  if (!w || !builder.graph().constant(builder.node(l.node).input(1)))
    return why = "its weights are no constant codes", false;
  const auto input = code_of(code_dtype(*x));
  if (!input || kernels::code_bytes(*input) != 1) return why = "its input codes are wider than 8 bits", false;
  const Quantization* y = builder.context().per_tensor(l.activation.output);
  if (!y && (builder.graph().value(l.activation.output).quantization || l.activation.node >= 0))
    return why = "its result has no per-tensor linear codes", false;
  const auto output = y ? code_of(code_dtype(*y)) : std::optional(Code::f32);
  if (!output || *output == Code::s32) return why = "its result codes are too wide", false;
  const QLayerKernel& kernel = kernels::select_qlayer(l.shape, *input);
  LayerParams params{};
  params.kernel = &kernel;
  params.shape = l.shape;
  params.out.type = *output;
  if (y) {
    const OutputCodes codes = output_codes(*y, l.activation);
    params.out.zero_point = codes.zero_point;
    params.out.low = codes.low;
    params.out.high = codes.high;
  }
  // The result of the layer alone decides the packing; a residual's type may differ.
  const auto blob = packed_weights(builder, l, kernel, *input, *output, why);
  if (!blob) return false;

  const View in = builder.operand(l.x, l.memory);
  ValueId result = l.activation.output;
  std::optional<View> other;
  const auto sum =
      y && kernels::code_bytes(*output) == 1 ? find_residual(builder, result, l.output_dims) : std::nullopt;
  if (sum) {
    other = builder.operand(sum->other, l.memory);
    params.has_residual = true;
    params.residual = sum->residual;
    params.residual.other_stride = l.stride_of(*other);
    params.other = other->ref();
    params.out.type = sum->type;
    result = sum->output;
    l.fused.insert(l.fused.end(), sum->nodes.begin(), sum->nodes.end());
  }
  if (l.activation.node >= 0) l.fused.push_back(l.activation.node);
  const View out = builder.result(result, DType::float32, l.output_dims, l.memory);
  params.input = in.ref();
  params.output = out.ref();
  params.packed = builder.constant(blob->bytes, blob->bytes.get(), static_cast<int64_t>(blob->size));
  params.input_stride = l.stride_of(in);
  params.output_stride = l.stride_of(out);

  Draft draft;
  draft.run = run_layer;
  split(params, builder.options().threads, draft.tasks);
  draft.nanoseconds = nanoseconds_of(l.shape);
  draft.scratch_bytes = static_cast<int64_t>(kernel.scratch_bytes(l.shape));
  draft.reads = {in.buffer, params.packed.buffer};
  if (other) {
    draft.reads.push_back(other->buffer);
    if (other->strides == out.strides && dtype_bytes(other->dtype) == dtype_bytes(out.dtype))
      draft.in_place.push_back({out.buffer, other->buffer});
  }
  draft.writes = {out.buffer};
  draft.details.integer = true;
  draft.details.macs = macs_of(l.shape);
  draft.details.bytes =
      static_cast<int64_t>(blob->size) + in.count() + out.count() * static_cast<int64_t>(dtype_bytes(out.dtype));
  draft.details.kernel = fmt::format("{} {} x {} -> {}, {}", l.kind, to_string(x->format), to_string(w->format),
                                     y ? to_string(y->format) : "float32", kernel.name);
  if (sum) draft.details.note = "residual sum fused";
  draft.details.nodes = {l.node};
  draft.details.nodes.insert(draft.details.nodes.end(), l.fused.begin(), l.fused.end());
  for (const int32_t n : l.fused) builder.cover(n);
  draft.params = std::make_shared<const LayerParams>(params);
  builder.emit(l.node, std::move(draft));
  return true;
}

}  // namespace

bool make_conv(Builder& builder, int32_t n, std::string& why) {
  auto layer = conv_layer(builder, n, why);
  return layer && emit_layer(builder, std::move(*layer), why);
}

bool make_matrix(Builder& builder, int32_t n, std::string& why) {
  auto layer = matrix_layer(builder, n, why);
  return layer && emit_layer(builder, std::move(*layer), why);
}

}  // namespace lowbit::plan
