// lowbit_weights.h: annotated constants packed for the low-bit products of kernels/lowbit_product.h: a matrix of
// integer levels with a scale for each row or for each run of k.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lowbit/core/graph.h"
#include "lowbit/kernels/lowbit_product.h"

namespace lowbit {

/// Integer levels [rows][k] and the scale of each (row, group of k).
struct LevelMatrix {
  int64_t rows = 0, k = 0, group = 0;  ///< group: a multiple of 32, or k for one scale per row
  std::vector<int32_t> levels;
  std::vector<float> scales;  ///< [rows][groups]
};

struct Value;

/// A linear annotated constant as a matrix of its last axis. Nothing with `why` if it is not linear, or scales change
/// inside a row at places that are no multiples of 32.
std::optional<LevelMatrix> level_matrix(const Value& weight, std::string& why);

/// Owns what a LowbitMatrix points to.
struct PackedWeights {
  kernels::LowbitMatrix view;
  std::vector<uint8_t> codes;  ///< with room to begin at a multiple of 64
  std::vector<float> scales, offsets;
};

/// Packs the rows [first, first + rows) where `row_of(i)` (-1: a row of zeros) is the matrix row of packed row i, in
/// the narrowest coding that holds the levels. Null with `why` if levels need more than 8 bits or reach -128.
std::shared_ptr<const PackedWeights> pack_levels(const LevelMatrix& matrix, const std::vector<int64_t>& row_of,
                                                 std::string& why);

}  // namespace lowbit
