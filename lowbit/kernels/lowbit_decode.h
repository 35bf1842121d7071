// lowbit_decode.h: packed low-bit weights to float32, a piece at a time, for layers whose activations stay float32. The
// loops are written once and compiled for each instruction set: every function here is static and inlined.
#pragma once

#include "lowbit/kernels/lowbit_tile.h"

namespace lowbit::kernels {

/// Chunks of a block of 16 rows that share their parameters. out[k * 16 + r] = fl32(level * scale[r]), where level is
/// levels[u] if there are any, else step * u - zero (of the row, if `zeros` is there).
struct LowbitDecode {
  const uint8_t* codes;  ///< 64 * bits bytes for each chunk
  int64_t chunks;
  const float* scales;   ///< [16]
  const uint8_t* zeros;  ///< [16] or null
  int32_t zero, step;
  const float* levels;  ///< [16] or null; codes of at most 4 bits
  float* out;           ///< [chunks * 32][16]
};

namespace {

/// The codes of all rows for the k-th element of a chunk.
template <LowbitCoding kCoding>
[[gnu::always_inline]] inline void read_codes(const uint8_t* chunk, int k, uint32_t* u) {
  constexpr bool kBytes = kCoding == LowbitCoding::u8 || kCoding == LowbitCoding::u7;
  constexpr bool kNibbles = kCoding == LowbitCoding::u4 || kCoding == LowbitCoding::table;
  const int j = k % 4, q = k / 4;
  const int vector = kBytes ? q : kNibbles ? q / 2 : kCoding == LowbitCoding::u1 ? 0 : q / 4;
  const int shift = 8 * j + (kBytes ? 0 : kNibbles ? 4 * (q % 2) : kCoding == LowbitCoding::u1 ? q : 2 * (q % 4));
  constexpr uint32_t kMask = kBytes ? 255 : kNibbles ? 15 : kCoding == LowbitCoding::u1 ? 1 : 3;
  uint32_t words[kLowbitRows];
  __builtin_memcpy(words, chunk + 64 * vector, sizeof words);
  for (int r = 0; r < kLowbitRows; ++r) u[r] = words[r] >> shift & kMask;
  if (kCoding == LowbitCoding::u3) {
    __builtin_memcpy(words, chunk + 128, sizeof words);
    for (int r = 0; r < kLowbitRows; ++r) u[r] |= (words[r] >> (8 * j + q) & 1) << 2;
  }
}

template <LowbitCoding kCoding>
void decode_as(const LowbitDecode& d) noexcept {
  constexpr int kBits = kCoding == LowbitCoding::u1                                  ? 1
                        : kCoding == LowbitCoding::u2                                ? 2
                        : kCoding == LowbitCoding::u3                                ? 3
                        : kCoding == LowbitCoding::u8 || kCoding == LowbitCoding::u7 ? 8
                                                                                     : 4;
  float zeros[kLowbitRows], scales[kLowbitRows];
  for (int r = 0; r < kLowbitRows; ++r) {
    zeros[r] = static_cast<float>(d.zeros ? d.zeros[r] : d.zero);
    scales[r] = d.scales[r];
  }
  const auto step = static_cast<float>(d.step);
  float* out = d.out;
  for (int64_t c = 0; c < d.chunks; ++c)
    for (int k = 0; k < kLowbitChunk; ++k, out += kLowbitRows) {
      uint32_t u[kLowbitRows];
      read_codes<kCoding>(d.codes + c * 64 * kBits, k, u);
      if (d.levels) {
        for (int r = 0; r < kLowbitRows; ++r) out[r] = d.levels[u[r] & 15] * scales[r];
      } else {
        for (int r = 0; r < kLowbitRows; ++r)
          out[r] = (step * static_cast<float>(static_cast<int32_t>(u[r])) - zeros[r]) * scales[r];
      }
    }
}

}  // namespace
}  // namespace lowbit::kernels
