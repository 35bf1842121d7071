// Packing for lowbit_product.h: layouts of lowbit_tile.h.
#include <algorithm>
#include <cstring>
#include <vector>

#include "lowbit/base/small_floats.h"
#include "lowbit/kernels/lowbit_product.h"

namespace lowbit::kernels {
namespace {

// Where the bits of a code go: byte within the chunk, shift within the byte, for up to two parts.
struct Part {
  int64_t byte;
  int shift, first_bit, bits;
};

int parts_of(LowbitCoding coding, int64_t row, int64_t k, Part* parts) {
  const int64_t byte = 4 * row + k % 4;
  switch (coding) {
    case LowbitCoding::u1:
      parts[0] = {byte, static_cast<int>(k / 4), 0, 1};
      return 1;
    case LowbitCoding::u2:
      parts[0] = {64 * (k / 16) + byte, static_cast<int>(2 * (k % 16 / 4)), 0, 2};
      return 1;
    case LowbitCoding::u3:
      parts[0] = {64 * (k / 16) + byte, static_cast<int>(2 * (k % 16 / 4)), 0, 2};
      parts[1] = {128 + byte, static_cast<int>(k / 4), 2, 1};
      return 2;
    case LowbitCoding::u7:
    case LowbitCoding::u8:
      parts[0] = {64 * (k / 4) + byte, 0, 0, 8};
      return 1;
    default:
      parts[0] = {64 * (k / 8) + byte, static_cast<int>(4 * (k % 8 / 4)), 0, 4};
      return 1;
  }
}

template <typename T>
void pack_rows(int64_t n, int64_t groups, const T* rows, T* packed) {
  for (int64_t block = 0; block * kLowbitRows < n; ++block)
    for (int64_t g = 0; g < groups; ++g)
      for (int64_t r = 0; r < kLowbitRows; ++r) {
        const int64_t row = block * kLowbitRows + r;
        packed[(block * groups + g) * kLowbitRows + r] = row < n ? rows[row * groups + g] : T{};
      }
}

}  // namespace

int lowbit_bits(LowbitCoding coding) {
  constexpr int kBits[kLowbitCodings] = {1, 2, 3, 4, 8, 8, 4};
  return kBits[static_cast<size_t>(coding)];
}

size_t lowbit_code_bytes(LowbitCoding coding, int64_t n, int64_t k) {
  const int64_t blocks = (n + kLowbitRows - 1) / kLowbitRows, chunks = (k + kLowbitChunk - 1) / kLowbitChunk;
  return static_cast<size_t>(blocks * chunks) * 64 * static_cast<size_t>(lowbit_bits(coding));
}

void lowbit_pack_codes(LowbitCoding coding, int64_t n, int64_t k, const uint8_t* codes, int64_t stride,
                       uint8_t* packed) {
  const int64_t chunks = (k + kLowbitChunk - 1) / kLowbitChunk, chunk_bytes = 64 * lowbit_bits(coding);
  std::memset(packed, 0, lowbit_code_bytes(coding, n, k));
  for (int64_t row = 0; row < n; ++row) {
    uint8_t* block = packed + row / kLowbitRows * chunks * chunk_bytes;
    for (int64_t i = 0; i < k; ++i) {
      Part parts[2];
      const int count = parts_of(coding, row % kLowbitRows, i % kLowbitChunk, parts);
      for (int p = 0; p < count; ++p) {
        const int bits = codes[row * stride + i] >> parts[p].first_bit & ((1 << parts[p].bits) - 1);
        block[i / kLowbitChunk * chunk_bytes + parts[p].byte] |= static_cast<uint8_t>(bits << parts[p].shift);
      }
    }
  }
}

void lowbit_pack_rows(int64_t n, int64_t groups, const float* rows, float* packed) {
  pack_rows(n, groups, rows, packed);
}
void lowbit_pack_rows(int64_t n, int64_t groups, const uint16_t* rows, uint16_t* packed) {
  pack_rows(n, groups, rows, packed);
}
void lowbit_pack_rows(int64_t n, int64_t groups, const uint8_t* rows, uint8_t* packed) {
  pack_rows(n, groups, rows, packed);
}

void lowbit_row_offsets(const LowbitMatrix& w, float* offsets) {
  // The product with x = 1 everywhere is the sum of the levels; padding is multiplied by 0.
  const int64_t group = w.groups() == 1 ? w.padded_k() : w.group;
  std::vector<int8_t> ones(static_cast<size_t>(w.padded_k()), 0);
  std::fill_n(ones.begin(), w.k, int8_t{1});
  std::vector<double> sums(static_cast<size_t>(w.blocks() * kLowbitRows), 0.0);
  for (int64_t block = 0; block < w.blocks(); ++block)
    for (int64_t g = 0; g < w.groups(); ++g) {
      const int64_t first = g * group, length = std::min(group, w.padded_k() - first);
      const auto chunk_bytes = static_cast<int64_t>(64 * lowbit_bits(w.coding));
      const int32_t x_sum = static_cast<int32_t>(std::max<int64_t>(0, std::min(length, w.k - first)));
      int32_t levels[kLowbitRows];
      LowbitTile tile = {};
      tile.codes = w.codes + (block * w.chunks() + first / kLowbitChunk) * chunk_bytes;
      tile.chunks = tile.group_chunks = length / kLowbitChunk;
      const int64_t parameter = (block * w.groups() + g) * kLowbitRows;
      if (w.zeros) tile.zeros = w.zeros + parameter;
      tile.zero = w.zero;
      tile.step = w.step;
      tile.table = w.table;
      tile.x = ones.data() + first;
      tile.x_sums = &x_sum;
      tile.sums = levels;
      ref::lowbit_kernels.tiles[static_cast<size_t>(w.coding)](tile, 1);
      for (int64_t r = 0; r < kLowbitRows; ++r)
        sums[static_cast<size_t>(block * kLowbitRows + r)] +=
            static_cast<double>(levels[r]) *
            static_cast<double>(w.scales ? w.scales[parameter + r] : half_to_float(w.half_scales[parameter + r]));
    }
  for (size_t i = 0; i < sums.size(); ++i) offsets[i] = static_cast<float>(sums[i]);
}

}  // namespace lowbit::kernels
