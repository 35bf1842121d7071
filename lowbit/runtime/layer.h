// layer.h: constant weights of Conv, Gemm, MatMul made ready for integer arithmetic: codes, integer bias, factors, and
// the proof that the accumulator is wide enough.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lowbit/runtime/integer_weights.h"
#include "lowbit/runtime/step.h"

namespace lowbit {

/// Weights as a matrix [channels][k] of codes minus zero points, rows in the order of output channels.
struct IntegerLayer {
  int64_t channels = 0, k = 0;
  std::vector<int16_t> weights;      ///< channels x k; empty once they are packed
  std::vector<int32_t> bias;         ///< B[c], empty if there is none
  std::vector<float> weight_scales;  ///< s_w[c]
  ShiftRows shifts;                  ///< the weights as powers of two, where their system is made of them; else empty
  std::vector<double> scales;        ///< s_x * s_w[c]
  std::vector<float> factors;        ///< m[c] = s_x * s_w[c] / s_y in float32; empty if the output is float
  int32_t input_zero_point = 0;
  int32_t input_span = 0;              ///< max |x - z_x|
  int32_t weight_span = 0;             ///< max |w - z_w|
  int64_t accumulator_bound = 0;       ///< proven from the weights
  std::optional<Quantization> output;  ///< nothing: float output
  OutputCodes codes;
  CodeRange counted;  ///< results outside are saturation; a side that a fused activation cuts on purpose is open

  bool needs_64_bits() const { return accumulator_bound > INT32_MAX; }
};

/// How the weight tensor maps to the matrix.
struct WeightOrder {
  std::vector<int64_t> perm;  ///< axes in the order: output channel axes first, then k
  int64_t channel_axes = 1;   ///< how many leading axes of `perm` make the channels
};

/// Element offsets of a tensor in the order of the permuted axes.
std::vector<int64_t> permuted_offsets(const Dims& dims, const std::vector<int64_t>& perm);

/// The weights of a node's input 1 and what follows from them; the rest is left to the caller. Nothing with `why` if
/// they are no integers times a scale for each channel.
std::optional<IntegerLayer> make_weight_layer(const LowerContext& context, const Node& node, const WeightOrder& order,
                                              int32_t input_span, std::string& why);

/// Sets accumulator_bound and weight_span from weights, bias and input_span.
void prove_accumulator(IntegerLayer& layer);

/// Packs the layer of node inputs x (0), w (1), bias (2). Nothing with `why` if an annotation is missing or
/// not of integers, or the scale does not vary along the channels only.
std::optional<IntegerLayer> make_integer_layer(const LowerContext& context, const Node& node, ValueId bias,
                                               const WeightOrder& order, const FusedActivation& activation,
                                               std::string& why);

/// Where results go: element (row, channel) at begin + row * row_stride + channel * channel_stride of a buffer of codes
/// or floats.
struct OutputPlace {
  std::byte* data;
  DType dtype;
  int64_t begin, row_stride, channel_stride;
};

/// Accumulators [rows][channels] with the bias included -> codes, or floats if the layer's output is float. `clipped`
/// may be null.
void finish_rows(const IntegerLayer& layer, const int32_t* acc, int64_t stride, int64_t first_channel, int64_t rows,
                 int64_t channels, const OutputPlace& out, int64_t* clipped);
void finish_rows(const IntegerLayer& layer, const int64_t* acc, int64_t stride, int64_t first_channel, int64_t rows,
                 int64_t channels, const OutputPlace& out, int64_t* clipped);

/// out[rows][channels] = a[rows][k] * weights^T + bias for the channels [first, first + count), then finished. `a` has
/// rows of gemm_padded_k(k) int16. packed: gemm_pack of these channels' weights.
void run_layer_rows(const IntegerLayer& layer, const std::vector<int16_t>& packed, int64_t first, int64_t count,
                    int64_t rows, const int16_t* a, const OutputPlace& out, int64_t* clipped);

/// Fills info.kernel, accumulator_bound, accumulator_bits.
void describe_layer(const IntegerLayer& layer, const Quantization& input, const Quantization& weight,
                    std::string_view kind, StepInfo& info);

}  // namespace lowbit
