// integer_weights.h: weights as integers times one scale a group, where their number system allows it: linear codes
// minus the zero point; ternary, binary, powers of two, sums of two powers, small floats, whose levels are integer
// multiples of the smallest one. What cannot be said so is decoded and computed in float.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "lowbit/core/graph.h"

namespace lowbit {

struct IntegerWeights {
  std::vector<int16_t> values;  ///< in the order of the tensor
  std::vector<float> scales;    ///< by group: value = scale * integer
  /// No integer has more than two bits set, and the system is made for that: products are shifts and additions.
  bool shifts = false;
};

/// Nothing if a level is no multiple of the smallest one, or an integer does not fit 16 bits.
/// `weight`: an annotated constant.
std::optional<IntegerWeights> integer_weights(const Value& weight);

/// A weight as up to two signed powers of two: x * w = sum of sign * (x << shift).
struct ShiftTerm {
  int32_t k = 0;  ///< index along the inner dimension
  int8_t shift = 0;
  bool negative = false;
};

/// Terms of row-major weights [channels][k], with the begin of each channel's terms (channels + 1 entries).
struct ShiftRows {
  std::vector<ShiftTerm> terms;
  std::vector<size_t> begin;
};
ShiftRows shift_rows(const int16_t* weights, int64_t channels, int64_t k);

/// acc[c] = sum over the channel's terms, for channels [first, first + count): additions, subtractions and shifts only.
void accumulate_shifts(const ShiftRows& rows, int64_t first, int64_t count, const int16_t* x, int64_t* acc);

}  // namespace lowbit
