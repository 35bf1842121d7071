// A vector holds a chunk's k of all sixteen rows; vpdpbusd multiplies unsigned codes with signed activations and sums
// four k in each 32-bit lane, without saturation. Levels of a table are taken as bytes from 1 to 255, 128 above the
// level.
#include "lowbit/kernels/lowbit_tile.h"

#include <immintrin.h>

namespace lowbit::kernels::avx512vnni {
namespace {

[[gnu::always_inline]] inline __m512i load(const uint8_t* p) { return _mm512_loadu_si512(p); }

[[gnu::always_inline]] inline __m512i broadcast4(const int8_t* x) {
  int32_t word;
  __builtin_memcpy(&word, x, 4);
  return _mm512_set1_epi32(word);
}

// Two sums per row of activations hide the latency of the instruction.
template <int M>
struct Sums {
  __m512i part[M][2];

  [[gnu::always_inline]] void multiply_add(int which, __m512i codes, const int8_t* x, int64_t stride) {
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i) part[i][which] = _mm512_dpbusd_epi32(part[i][which], codes, broadcast4(x + i * stride));
  }
};

// Codes f = 0 ... fields - 1 of a vector, `bits` wide each.
template <int kBits>
[[gnu::always_inline]] inline __m512i field(__m512i w, int f) {
  const __m512i mask = _mm512_set1_epi8((1 << kBits) - 1);
  return _mm512_and_si512(f == 0 ? w : _mm512_srli_epi16(w, static_cast<unsigned>(kBits * f)), mask);
}

// One chunk: 64 * bits bytes against 32 activations of each row.
template <LowbitCoding kCoding, int M>
[[gnu::always_inline]] inline void add_chunk(const uint8_t* chunk, const int8_t* x, int64_t stride, __m512i levels,
                                             Sums<M>& sums) {
  if constexpr (kCoding == LowbitCoding::u1) {
    const __m512i w = load(chunk);
#pragma GCC unroll 8
    for (int f = 0; f < 8; ++f) sums.multiply_add(f & 1, field<1>(w, f), x + 4 * f, stride);
  } else if constexpr (kCoding == LowbitCoding::u2) {
#pragma GCC unroll 8
    for (int f = 0; f < 8; ++f)
      sums.multiply_add(f & 1, field<2>(load(chunk + 64 * (f / 4)), f % 4), x + 4 * f, stride);
  } else if constexpr (kCoding == LowbitCoding::u3) {
    const __m512i bits = load(chunk + 128), high_bit = _mm512_set1_epi8(4);
#pragma GCC unroll 8
    for (int f = 0; f < 8; ++f) {
      const __m512i top = f < 2 ? _mm512_slli_epi16(bits, static_cast<unsigned>(f < 2 ? 2 - f : 0))
                                : _mm512_srli_epi16(bits, static_cast<unsigned>(f < 2 ? 0 : f - 2));
      const __m512i codes =
          _mm512_or_si512(field<2>(load(chunk + 64 * (f / 4)), f % 4), _mm512_and_si512(top, high_bit));
      sums.multiply_add(f & 1, codes, x + 4 * f, stride);
    }
  } else if constexpr (kCoding == LowbitCoding::u7 || kCoding == LowbitCoding::u8) {
#pragma GCC unroll 8
    for (int v = 0; v < 8; ++v) sums.multiply_add(v & 1, load(chunk + 64 * v), x + 4 * v, stride);
  } else {
#pragma GCC unroll 8
    for (int f = 0; f < 8; ++f) {
      __m512i codes = field<4>(load(chunk + 64 * (f / 2)), f % 2);
      if (kCoding == LowbitCoding::table) codes = _mm512_shuffle_epi8(levels, codes);
      sums.multiply_add(f & 1, codes, x + 4 * f, stride);
    }
  }
}

constexpr int64_t chunk_bytes(LowbitCoding coding) {
  switch (coding) {
    case LowbitCoding::u1:
      return 64;
    case LowbitCoding::u2:
      return 128;
    case LowbitCoding::u3:
      return 192;
    case LowbitCoding::u7:
    case LowbitCoding::u8:
      return 512;
    default:
      return 256;
  }
}

// step * sum - zero * x_sum.
template <LowbitCoding kCoding>
[[gnu::always_inline]] inline __m512i centre(__m512i sum, const LowbitTile& tile, int64_t group, int i) {
  const __m512i x_sum = _mm512_set1_epi32(tile.x_sums[i * tile.x_sums_stride + group]);
  if (kCoding == LowbitCoding::table) return _mm512_sub_epi32(sum, _mm512_slli_epi32(x_sum, 7));
  if (tile.step == 2) sum = _mm512_slli_epi32(sum, 1);
  const __m512i zero =
      tile.zeros
          ? _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(tile.zeros + group * kLowbitRows)))
          : _mm512_set1_epi32(tile.zero);
  return _mm512_sub_epi32(sum, _mm512_mullo_epi32(zero, x_sum));
}

[[gnu::always_inline]] inline __m512 scale_of(const LowbitTile& tile, int64_t group) {
  if (tile.scales) return _mm512_loadu_ps(tile.scales + group * kLowbitRows);
  const auto* half = reinterpret_cast<const __m128i*>(tile.half_scales + group * kLowbitRows);
  const __m512 low = _mm512_castps256_ps512(_mm256_cvtph_ps(_mm_loadu_si128(half)));
  return _mm512_insertf32x8(low, _mm256_cvtph_ps(_mm_loadu_si128(half + 1)), 1);
}

template <LowbitCoding kCoding, int M>
void tile_rows(const LowbitTile& tile) {
  __m512i levels = _mm512_setzero_si512();
  if (kCoding == LowbitCoding::table)
    levels = _mm512_xor_si512(_mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(tile.table))),
                              _mm512_set1_epi8(-128));
  __m512 values[M];
#pragma GCC unroll 4
  for (int i = 0; i < M; ++i) values[i] = _mm512_setzero_ps();
  for (int64_t chunk = 0, group = 0; chunk < tile.chunks; ++group) {
    const int64_t end = chunk + tile.group_chunks < tile.chunks ? chunk + tile.group_chunks : tile.chunks;
    Sums<M> sums;
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i) sums.part[i][0] = sums.part[i][1] = _mm512_setzero_si512();
    for (; chunk < end; ++chunk)
      add_chunk<kCoding, M>(tile.codes + chunk * chunk_bytes(kCoding), tile.x + chunk * kLowbitChunk, tile.x_stride,
                            levels, sums);
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i) {
      const __m512i sum = centre<kCoding>(_mm512_add_epi32(sums.part[i][0], sums.part[i][1]), tile, group, i);
      if (tile.sums) {
        _mm512_storeu_si512(tile.sums + i * kLowbitRows, sum);
      } else {
        values[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), scale_of(tile, group), values[i]);
      }
    }
  }
  if (!tile.values) return;
#pragma GCC unroll 4
  for (int i = 0; i < M; ++i) {
    __m512 y = values[i];
    if (tile.x_scales) y = _mm512_mul_ps(y, _mm512_set1_ps(tile.x_scales[i]));
    if (tile.bias) y = _mm512_add_ps(y, _mm512_loadu_ps(tile.bias));
    _mm512_storeu_ps(tile.values + i * tile.values_stride, y);
  }
}

template <LowbitCoding kCoding>
void any_rows(const LowbitTile& tile, int m) noexcept {
  switch (m) {
    case 1:
      return tile_rows<kCoding, 1>(tile);
    case 2:
      return tile_rows<kCoding, 2>(tile);
    case 3:
      return tile_rows<kCoding, 3>(tile);
    default:
      return tile_rows<kCoding, 4>(tile);
  }
}

}  // namespace

const LowbitKernels lowbit_kernels = {
    {any_rows<LowbitCoding::u1>, any_rows<LowbitCoding::u2>, any_rows<LowbitCoding::u3>, any_rows<LowbitCoding::u4>,
     any_rows<LowbitCoding::u7>, any_rows<LowbitCoding::u8>, any_rows<LowbitCoding::table>},
    avx2::lowbit_quantize_row,
    avx2::lowbit_decoders,
};

}  // namespace lowbit::kernels::avx512vnni
