// lowbit_binary_product.h: packing and whole products for lowbit_binary.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lowbit/kernels/cpu.h"
#include "lowbit/kernels/lowbit_binary.h"

namespace lowbit::kernels {

[[gnu::always_inline]] inline int64_t binary_words(int64_t k) { return (k + 63) / 64; }

/// Words of packed B.
size_t binary_packed_words(int64_t n, int64_t k);
/// Row-major rows of whole words ([n][stride words]) to the packed layout.
void binary_pack(int64_t n, int64_t k, const uint64_t* rows, int64_t stride, uint64_t* packed);
/// Bits of signs: bit = 1 where x > threshold (a NaN gives 0). row: binary_words(k) words.
void binary_signs(const float* x, int64_t k, float threshold, uint64_t* row);
/// The same of codes: bit = 1 where code >= threshold.
void binary_signs(const int8_t* codes, int64_t k, int32_t threshold, uint64_t* row);

struct BinaryProduct {
  int64_t m, n, k;
  const uint64_t* a;  ///< [m][a_stride]
  int64_t a_stride;
  const uint64_t* packed;
  int32_t* y;  ///< [m][y_stride]
  int64_t y_stride;
};
/// Columns [16 first_block, min(n, 16 last_block)) of every row.
void binary_product(const BinaryProduct& product, int64_t first_block, int64_t last_block, Isa isa) noexcept;

struct BinaryRow {
  Isa isa;
  BinaryTileFn tile;
};
std::span<const BinaryRow> binary_table();

}  // namespace lowbit::kernels
