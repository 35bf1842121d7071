// level_model.h: the values of an annotated constant as few tables and factors, so that a file can hold them beside the
// codes:
//   value = float32(mean + deviation * (scale * unit[row][code])),   all in double
// where scale, deviation and mean are parameters of the group and a row of units belongs to each set of remaining
// parameters (a companding curve, "all codes on one side"). Systems whose levels are no multiples of one factor
// (codebooks) have the levels themselves as units and no factors.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "lowbit/core/quantization.h"

namespace lowbit {

struct LevelModel {
  /// Indices of the group parameters that are factors and offset; -1: there is none.
  int scale_at = -1, deviation_at = -1, mean_at = -1;
  int first_rest = 0;                    ///< the parameters from here on choose the row (all, if there are no factors)
  std::vector<std::vector<float>> rows;  ///< the different sets of remaining parameters
  std::vector<int32_t> row_of_group;     ///< by group
  std::vector<double> units;             ///< rows x number of codes
  bool units_are_float32 = false;        ///< every unit is a float32, and no sum follows: float32 products are exact

  bool has_factors() const { return scale_at >= 0; }
  /// Bytes that tables, factors and row numbers take.
  int64_t bytes() const;
};

/// Finds the smaller model that gives exactly `values` (the decoded codes). Nothing if a code has more than 16 bits.
std::optional<LevelModel> level_model(const Quantization& quantization, const Dims& dims,
                                      std::span<const int32_t> codes, std::span<const float> values);

}  // namespace lowbit
