// level_table.h: a system of few codes as a table of its levels: the generic encode and decode, and the oracle of the
// fast ones. Levels are the float32 values that decode gives, so that decode, encode, decode is always decode.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "lowbit/numbers/number_system.h"

namespace lowbit {

/// Every system of at most this width can go through a table.
inline constexpr int kTableBits = 16;

/// float32(value), with finite values beyond its range set to the largest float of that sign. NaN and infinities stay.
float saturate_to_float(double value);

/// The largest float a value may have and still belong to the lower of two neighbouring levels, low < high.
/// `tie_goes_low`: the exact middle belongs to `low`.
float split_between(float low, float high, bool tie_goes_low);

/// float32(level) of every code of the format, in the order of the codes.
std::vector<float> level_values(const NumberFormat& format, const float* params);

/// The same for a vector system: [codes, vector_size].
std::vector<float> vector_values(const NumberFormat& format, const float* params);

class LevelTable {
 public:
  /// Table of level(params, code) for every code of the format.
  LevelTable(const NumberFormat& format, const float* params);

  /// The code of the nearest level. A tie goes to the even code, or to the smaller code where both or neither is even.
  /// NaN gives the code nearest to 0; infinities saturate. Codes whose level is not finite are never chosen.
  void encode(const float* x, int64_t n, int32_t* codes) const;

  /// The levels in ascending order without repetition or non-finite ones, and their codes.
  const std::vector<float>& levels() const { return levels_; }
  const std::vector<int32_t>& level_codes() const { return level_codes_; }

 private:
  void sort_levels();
  CodeRange range_;
  std::vector<float> values_;  ///< by code
  std::vector<float> levels_;
  std::vector<int32_t> level_codes_;  ///< padded to the length of thresholds_
  std::vector<float> thresholds_;     ///< 2^k, padded with +infinity
};

/// `own`, or the generic path (a table of levels or vectors) where it is null.
void encode_with(decltype(NumberSystem::encode) own, const NumberFormat& format, const float* params, const float* x,
                 int64_t n, int32_t* codes);
void decode_with(decltype(NumberSystem::decode) own, const NumberFormat& format, const float* params,
                 const int32_t* codes, int64_t n, float* y);

}  // namespace lowbit
