// divergence.h: how far a low-bit network's output for one sample is from the float network's: one number that adds up
// over independent small errors, which is what spreading bits over layers needs.
#pragma once

#include <span>
#include <string_view>

#include "lowbit/core/tensor.h"

namespace lowbit::search {

/// What the numbers of an output row mean.
enum class OutputKind : uint8_t {
  probabilities,  ///< of classes, sum 1: KL divergence in nats
  scores,         ///< of classes, before softmax: KL divergence of their softmax
  chances,        ///< each in 0..1 by itself: mean of their binary KL divergences
  values,         ///< anything else: squared error relative to the square of the row
};
std::string_view kind_name(OutputKind kind);

/// rows: [samples, numbers] of the float network. Rows of non-negative numbers with sum 1 are probabilities; a single
/// number in 0..1 is a chance; others are scores if there are class labels, else values.
OutputKind output_kind(const Tensor& rows, bool has_labels);

/// >= 0; a low-bit row with NaN gets the largest value there is for finite rows (kWorstDivergence).
double divergence(OutputKind kind, std::span<const float> reference, std::span<const float> row);
inline constexpr double kWorstDivergence = 1e3;

}  // namespace lowbit::search
