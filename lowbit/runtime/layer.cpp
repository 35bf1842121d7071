#include "lowbit/runtime/layer.h"

#include <algorithm>
#include <cmath>
#include <mutex>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/core/weights.h"
#include "lowbit/kernels/gemm_i16.h"
#include "lowbit/numbers/element_groups.h"

namespace lowbit {
namespace {

/// Integers of the weights in matrix order; the scale of each channel. False if a scale varies inside a channel.
bool pack_weights(const IntegerWeights& weights, const Granularity& granularity, const Dims& dims,
                  const WeightOrder& order, IntegerLayer& layer, std::vector<float>& scales) {
  const std::vector<int32_t> groups = group_of_elements(granularity, dims);
  const bool in_order = std::is_sorted(order.perm.begin(), order.perm.end());
  const std::vector<int64_t> offsets = in_order ? std::vector<int64_t>() : permuted_offsets(dims, order.perm);
  layer.weights.resize(weights.values.size());
  scales.resize(static_cast<size_t>(layer.channels));
  for (int64_t c = 0; c < layer.channels; ++c)
    for (int64_t i = 0; i < layer.k; ++i) {
      const auto position = static_cast<size_t>(c * layer.k + i);
      const auto at = in_order ? position : static_cast<size_t>(offsets[position]);
      const float scale = weights.scales[static_cast<size_t>(groups[at])];
      if (i == 0)
        scales[static_cast<size_t>(c)] = scale;
      else if (scales[static_cast<size_t>(c)] != scale)
        return false;
      layer.weights[position] = weights.values[at];
    }
  return true;
}

template <typename Acc>
void finish(const IntegerLayer& layer, const Acc* acc, int64_t stride, int64_t first, int64_t rows, int64_t channels,
            const OutputPlace& out, int64_t* clipped) {
  std::vector<int32_t> codes(static_cast<size_t>(channels));
  const float* factors = layer.factors.data() + first;
  const auto store_row = [&]<typename T>(T* y, const auto* values) {
    for (int64_t c = 0; c < channels; ++c) y[c * out.channel_stride] = static_cast<T>(values[c]);
  };
  for (int64_t r = 0; r < rows; ++r) {
    const Acc* row = acc + r * stride;
    const int64_t at = out.begin + r * out.row_stride;
    if (!layer.output) {
      float* y = reinterpret_cast<float*>(out.data) + at;
      for (int64_t c = 0; c < channels; ++c)
        y[c * out.channel_stride] =
            static_cast<float>(static_cast<double>(row[c]) * layer.scales[static_cast<size_t>(first + c)]);
      continue;
    }
    requantize_row(row, factors, channels, layer.codes, codes.data());
    if constexpr (std::is_same_v<Acc, int32_t>)
      if (clipped)
        *clipped += count_clipped(row, factors, channels, layer.codes.zero_point, layer.counted.min, layer.counted.max);
    switch (out.dtype) {
      case DType::uint8:
        store_row(reinterpret_cast<uint8_t*>(out.data) + at, codes.data());
        break;
      case DType::int8:
        store_row(reinterpret_cast<int8_t*>(out.data) + at, codes.data());
        break;
      case DType::uint16:
        store_row(reinterpret_cast<uint16_t*>(out.data) + at, codes.data());
        break;
      case DType::int16:
        store_row(reinterpret_cast<int16_t*>(out.data) + at, codes.data());
        break;
      default:
        store_row(reinterpret_cast<int32_t*>(out.data) + at, codes.data());
        break;
    }
  }
}

}  // namespace

std::vector<int64_t> permuted_offsets(const Dims& dims, const std::vector<int64_t>& perm) {
  const Dims strides = row_major_strides(dims);
  std::vector<int64_t> offsets{0};
  for (int64_t axis : perm) {
    std::vector<int64_t> next;
    next.reserve(offsets.size() * static_cast<size_t>(dims[static_cast<size_t>(axis)]));
    for (int64_t offset : offsets)
      for (int64_t i = 0; i < dims[static_cast<size_t>(axis)]; ++i)
        next.push_back(offset + i * strides[static_cast<size_t>(axis)]);
    offsets = std::move(next);
  }
  return offsets;
}

void prove_accumulator(IntegerLayer& layer) {
  layer.accumulator_bound = 0;
  for (int64_t c = 0; c < layer.channels; ++c) {
    int64_t sum = layer.bias.empty() ? 0 : std::abs(static_cast<int64_t>(layer.bias[static_cast<size_t>(c)]));
    for (int64_t i = 0; i < layer.k; ++i) {
      const int32_t magnitude = std::abs(static_cast<int32_t>(layer.weights[static_cast<size_t>(c * layer.k + i)]));
      layer.weight_span = std::max(layer.weight_span, magnitude);
      sum += static_cast<int64_t>(magnitude) * layer.input_span;
    }
    layer.accumulator_bound = std::max(layer.accumulator_bound, sum);
  }
}

std::optional<IntegerLayer> make_weight_layer(const LowerContext& context, const Node& node, const WeightOrder& order,
                                              int32_t input_span, std::string& why) {
  const Tensor* weight = context.graph.constant(node.input(1));
  if (!weight) return why = "its weights are not constant", std::nullopt;
  const auto& w = context.graph.value(node.inputs[1]).quantization;
  if (!w) return why = "its weights have no annotation", std::nullopt;
  const auto integers = integer_weights(context.graph.value(node.inputs[1]));
  if (!integers) return why = "its weights are no integers times a scale", std::nullopt;
  IntegerLayer layer;
  layer.channels = 1;
  for (int64_t i = 0; i < order.channel_axes; ++i) layer.channels *= weight->dim(order.perm[static_cast<size_t>(i)]);
  layer.k = layer.channels > 0 ? weight->count() / layer.channels : 0;
  if (layer.channels == 0 || layer.k == 0) return why = "its weights are empty", std::nullopt;
  layer.input_span = input_span;
  if (layer.input_span > INT16_MAX) return why = "input codes minus zero point do not fit 16 bits", std::nullopt;
  if (!pack_weights(*integers, w->granularity, weight->dims(), order, layer, layer.weight_scales))
    return why = "its weight scales vary inside an output channel", std::nullopt;
  if (integers->shifts) layer.shifts = shift_rows(layer.weights.data(), layer.channels, layer.k);
  return layer;
}

std::optional<IntegerLayer> make_integer_layer(const LowerContext& context, const Node& node, ValueId bias,
                                               const WeightOrder& order, const FusedActivation& activation,
                                               std::string& why) {
  const Quantization* x = context.per_tensor(node.input(0));
  if (!x) return why = "its input stays float", std::nullopt;
  const LinearParams input = x->linear_at(0);
  const CodeRange input_codes = x->codes();
  auto made = make_weight_layer(context, node, order,
                                std::max(input_codes.max - input.zero_point, input.zero_point - input_codes.min), why);
  if (!made) return std::nullopt;
  IntegerLayer& layer = *made;
  layer.input_zero_point = input.zero_point;
  const std::vector<float>& weight_scales = layer.weight_scales;
  const Graph& graph = context.graph;
  const Tensor* bias_values = nullptr;
  if (bias != kNone && !(bias_values = graph.constant(bias))) return why = "its bias is not constant", std::nullopt;
  for (float s : weight_scales) layer.scales.push_back(static_cast<double>(s) * static_cast<double>(input.scale));
  if (bias_values) {
    const Tensor b = unrounded_values(graph.value(bias)).cast(DType::float64);
    if (b.count() != layer.channels && b.count() != 1)
      return why = "its bias has another length than its channels", std::nullopt;
    for (int64_t c = 0; c < layer.channels; ++c) {
      const double code =
          std::nearbyint(b.data<double>()[b.count() == 1 ? 0 : c] / layer.scales[static_cast<size_t>(c)]);
      if (!(std::abs(code) <= static_cast<double>(INT32_MAX)))
        return why = "a bias does not fit 32 bits at the layer's scale", std::nullopt;
      layer.bias.push_back(static_cast<int32_t>(code));
    }
  }
  prove_accumulator(layer);
  if (const Quantization* y = context.per_tensor(activation.output)) {
    layer.output = *y;
    layer.codes = output_codes(*y, activation);
    layer.counted = y->codes();
    constexpr int32_t kOpen = 1 << 30;
    if (layer.codes.low > layer.counted.min || activation.low >= 0) layer.counted.min = -kOpen;
    if (layer.codes.high < layer.counted.max) layer.counted.max = kOpen;
    const float output_scale = y->linear_at(0).scale;
    for (float s : weight_scales) layer.factors.push_back(input.scale * s / output_scale);
  } else if (activation.node >= 0) {
    return why = "its activation's result has no linear annotation", std::nullopt;
  }
  return made;
}

void finish_rows(const IntegerLayer& layer, const int32_t* acc, int64_t stride, int64_t first, int64_t rows,
                 int64_t channels, const OutputPlace& out, int64_t* clipped) {
  finish(layer, acc, stride, first, rows, channels, out, clipped);
}
void finish_rows(const IntegerLayer& layer, const int64_t* acc, int64_t stride, int64_t first, int64_t rows,
                 int64_t channels, const OutputPlace& out, int64_t* clipped) {
  finish(layer, acc, stride, first, rows, channels, out, clipped);
}

namespace {

/// The same without multiplications: every product is one or two shifts.
void run_shift_rows(const IntegerLayer& layer, int64_t first, int64_t count, int64_t rows, const int16_t* a,
                    const OutputPlace& out, int64_t* clipped) {
  const int64_t k_padded = kernels::gemm_padded_k(layer.k);
  std::vector<int64_t> acc(static_cast<size_t>(rows * count));
  for (int64_t r = 0; r < rows; ++r) {
    int64_t* row = acc.data() + r * count;
    accumulate_shifts(layer.shifts, first, count, a + r * k_padded, row);
    if (!layer.bias.empty())
      for (int64_t c = 0; c < count; ++c) row[c] += layer.bias[static_cast<size_t>(first + c)];
  }
  finish_rows(layer, acc.data(), count, first, rows, count, out, clipped);
}

}  // namespace

void run_layer_rows(const IntegerLayer& layer, const std::vector<int16_t>& packed, int64_t first, int64_t count,
                    int64_t rows, const int16_t* a, const OutputPlace& out, int64_t* clipped) {
  const int64_t k_padded = kernels::gemm_padded_k(layer.k);
  const int64_t stride = (count + kernels::kGemmColumns - 1) / kernels::kGemmColumns * kernels::kGemmColumns;
  if (!layer.shifts.begin.empty()) return run_shift_rows(layer, first, count, rows, a, out, clipped);
  std::vector<int32_t> part(static_cast<size_t>(rows * stride));
  if (!layer.needs_64_bits()) {
    kernels::gemm_i16(rows, count, 0, k_padded, layer.k, a, k_padded, packed.data(), part.data(), stride);
    if (!layer.bias.empty())
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t c = 0; c < count; ++c)
          part[static_cast<size_t>(r * stride + c)] += layer.bias[static_cast<size_t>(first + c)];
    finish_rows(layer, part.data(), stride, first, rows, count, out, clipped);
    return;
  }
  // Too many products for 32 bits: sum parts of k that cannot overflow whatever the weights, in 64 bits.
  const int64_t step =
      std::max<int64_t>(2, INT32_MAX / (static_cast<int64_t>(layer.input_span) * layer.weight_span) / 2 * 2);
  std::vector<int64_t> acc(static_cast<size_t>(rows * stride), 0);
  for (int64_t k = 0; k < k_padded; k += step) {
    kernels::gemm_i16(rows, count, k, std::min(k + step, k_padded), layer.k, a, k_padded, packed.data(), part.data(),
                      stride);
    for (size_t i = 0; i < acc.size(); ++i) acc[i] += part[i];
  }
  if (!layer.bias.empty())
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < count; ++c)
        acc[static_cast<size_t>(r * stride + c)] += layer.bias[static_cast<size_t>(first + c)];
  finish_rows(layer, acc.data(), stride, first, rows, count, out, clipped);
}

void describe_layer(const IntegerLayer& layer, const Quantization& input, const Quantization& weight,
                    std::string_view kind, StepInfo& info) {
  info.integer = true;
  info.kernel = fmt::format("{} {} x {} -> {}", kind, to_string(input.format), to_string(weight.format),
                            layer.output ? to_string(layer.output->format) : std::string("float32"));
  if (!layer.shifts.begin.empty()) info.note = "shifts and additions, no multiplications";
  info.accumulator_bound = layer.accumulator_bound;
  info.accumulator_bits = layer.needs_64_bits() ? 64 : 32;
}

}  // namespace lowbit
