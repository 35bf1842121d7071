// lowbit_binary.h: products of two matrices of signs, one bit each: y[m][n] = sum_k a[m][k] * b[n][k] with a, b in {-1,
// 1} and bit 1 meaning 1, by exclusive or and bit counts: y = k - 2 * popcount(a ^ b). Exact.
//
// Packed B: rows in blocks of 16, k in words of 64 bits; word w of row r of a block at byte
// ((block * words + w) * 16 + r) * 8, k = 64 w + bit, least significant bit first. A: rows of whole words. Bits beyond
// k are 0 in both; they are equal and count for nothing.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace lowbit::kernels {

constexpr int kBinaryRows = 16;
constexpr int kBinaryTileM = 2;  ///< most rows of A in a tile

struct BinaryTile {
  const uint64_t* b;  ///< the block
  int64_t words, k;
  const uint64_t* a;  ///< [m][a_stride]
  int64_t a_stride;   ///< words
  int32_t* y;         ///< [m][y_stride], sixteen columns
  int64_t y_stride;
};

/// m rows, 1 <= m <= kBinaryTileM.
using BinaryTileFn = void (*)(const BinaryTile& tile, int m) noexcept;

namespace ref {
void binary_tile(const BinaryTile& tile, int m) noexcept;
}
namespace avx2 {
void binary_tile(const BinaryTile& tile, int m) noexcept;
}
namespace avx512vnni {
void binary_tile(const BinaryTile& tile, int m) noexcept;
}
namespace neon {
void binary_tile(const BinaryTile& tile, int m) noexcept;
}

}  // namespace lowbit::kernels
