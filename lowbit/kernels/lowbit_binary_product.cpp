#include "lowbit/kernels/lowbit_binary_product.h"

#include <algorithm>
#include <cstring>

namespace lowbit::kernels {
namespace {

constexpr int64_t kPanelWords = 192 * 1024 / 8;  // of A, that stay in the second-level cache over all blocks

BinaryTileFn tile_of(Isa isa) {
  BinaryTileFn best = ref::binary_tile;
  for (const BinaryRow& row : binary_table())
    if (row.isa <= isa) best = row.tile;
  return best;
}

template <typename Positive>
void set_bits(int64_t k, uint64_t* row, Positive positive) {
  for (int64_t word = 0; word < binary_words(k); ++word) {
    uint64_t bits = 0;
    for (int64_t i = 64 * word; i < std::min(k, 64 * word + 64); ++i)
      bits |= static_cast<uint64_t>(positive(i)) << (i % 64);
    row[word] = bits;
  }
}

}  // namespace

std::span<const BinaryRow> binary_table() {
  static const BinaryRow kRows[] = {
    {Isa::ref, ref::binary_tile},
#if defined(__aarch64__)
    {Isa::neon, neon::binary_tile},
#endif
#if defined(__x86_64__)
    {Isa::avx2, avx2::binary_tile},
    {Isa::avx512vnni, avx512vnni::binary_tile},
#endif
  };
  return kRows;
}

size_t binary_packed_words(int64_t n, int64_t k) {
  return static_cast<size_t>((n + kBinaryRows - 1) / kBinaryRows * kBinaryRows * binary_words(k));
}

void binary_pack(int64_t n, int64_t k, const uint64_t* rows, int64_t stride, uint64_t* packed) {
  const int64_t words = binary_words(k);
  std::memset(packed, 0, binary_packed_words(n, k) * sizeof(uint64_t));
  for (int64_t row = 0; row < n; ++row)
    for (int64_t word = 0; word < words; ++word)
      packed[(row / kBinaryRows * words + word) * kBinaryRows + row % kBinaryRows] = rows[row * stride + word];
}

void binary_signs(const float* x, int64_t k, float threshold, uint64_t* row) {
  set_bits(k, row, [&](int64_t i) { return x[i] > threshold; });
}
void binary_signs(const int8_t* codes, int64_t k, int32_t threshold, uint64_t* row) {
  set_bits(k, row, [&](int64_t i) { return codes[i] >= threshold; });
}

void binary_product(const BinaryProduct& product, int64_t first_block, int64_t last_block, Isa isa) noexcept {
  const BinaryTileFn fn = tile_of(isa);
  const int64_t words = binary_words(product.k);
  const int64_t panel = std::max<int64_t>(
      kBinaryTileM, kPanelWords / std::max<int64_t>(1, product.a_stride) / kBinaryTileM * kBinaryTileM);
  BinaryTile tile = {};
  tile.words = words;
  tile.k = product.k;
  tile.a_stride = product.a_stride;
  for (int64_t begin = 0; begin < product.m; begin += panel)
    for (int64_t block = first_block; block < last_block; ++block) {
      const int64_t column = block * kBinaryRows, count = std::min<int64_t>(kBinaryRows, product.n - column);
      tile.b = product.packed + block * words * kBinaryRows;
      for (int64_t row = begin; row < std::min(product.m, begin + panel); row += kBinaryTileM) {
        const int m = static_cast<int>(std::min<int64_t>(kBinaryTileM, product.m - row));
        int32_t part[kBinaryTileM * kBinaryRows];
        tile.a = product.a + row * product.a_stride;
        tile.y = count == kBinaryRows ? product.y + row * product.y_stride + column : part;
        tile.y_stride = count == kBinaryRows ? product.y_stride : kBinaryRows;
        fn(tile, m);
        for (int i = 0; i < m && count < kBinaryRows; ++i)
          std::copy_n(part + i * kBinaryRows, count, product.y + (row + i) * product.y_stride + column);
      }
    }
}

}  // namespace lowbit::kernels
