// lowbit_weights.h: annotated constants packed for the low-bit products of kernels/lowbit_product.h: a matrix of
// integer levels with a scale for each row or for each run of k.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lowbit/core/graph.h"
#include "lowbit/kernels/lowbit_product.h"
#include "lowbit/runtime/layer.h"

namespace lowbit {

/// Levels [rows][k] and the scale of each (row, group of k): weight = scale * (level - zero).
struct LevelMatrix {
  int64_t rows = 0, k = 0, group = 0;  ///< group: a multiple of 32, or k for one scale per row
  std::vector<int32_t> levels;
  std::vector<float> scales;   ///< [rows][groups]
  std::vector<uint8_t> zeros;  ///< [rows][groups]; empty: all 0. Only with levels of 0 ... 15
  /// If not empty, `levels` are indices of these values (at most 16), which are no integers.
  std::vector<float> real_levels;

  int64_t groups() const { return group >= k ? 1 : (k + group - 1) / group; }
};

/// An annotated constant of integer levels as a matrix in the order of `order`. Nothing with `why` if its levels are no
/// integers, or scales change inside a row at places that are no multiples of 32.
std::optional<LevelMatrix> level_matrix(const Value& weight, const WeightOrder& order, std::string& why);
/// The same for any system of at most 16 levels which a scale multiplies (normal floats, a codebook of the tensor):
/// scale * real level in float32 is what each code stands for, up to one rounding of the level.
std::optional<LevelMatrix> real_level_matrix(const Value& weight, const WeightOrder& order, std::string& why);

/// How the levels of a matrix become codes.
struct LevelCoding {
  kernels::LowbitCoding coding = kernels::LowbitCoding::u4;
  int32_t zero = 0, step = 1;            ///< level = step * code - zero
  std::array<int8_t, 16> table = {};     ///< LowbitCoding::table: level = table[code]
  uint8_t code_of(int32_t level) const;  ///< of a level that the matrix has
};
/// The narrowest one. Nothing with `why` if levels need more than 8 bits or reach -128.
std::optional<LevelCoding> narrowest_coding(const LevelMatrix& matrix, std::string& why);

/// The rows of the packed matrix: packed row i is row_of[i] of `matrix`, -1 a row of zeros. Buffers as
/// kernels::lowbit_pack_codes and lowbit_pack_rows want them; `zeros` may be null.
struct PackedPlaces {
  uint8_t* codes;
  float* scales;
  uint8_t* zeros;
};
void write_packed(const LevelMatrix& matrix, const LevelCoding& coding, const std::vector<int64_t>& row_of,
                  const PackedPlaces& to);

/// Owns what a LowbitMatrix points to.
struct PackedWeights {
  kernels::LowbitMatrix view;
  std::vector<uint8_t> codes;  ///< with room to begin at a multiple of 64
  std::vector<float> scales, offsets;
  std::vector<uint8_t> zeros;
  LevelCoding coding;
};

/// Packs the rows where `row_of(i)` (-1: a row of zeros) is the matrix row of packed row i, in the narrowest coding.
/// Null with `why` as narrowest_coding().
std::shared_ptr<const PackedWeights> pack_levels(const LevelMatrix& matrix, const std::vector<int64_t>& row_of,
                                                 std::string& why);

}  // namespace lowbit
