// Codes of up to four bits are multiplied as unsigned bytes (vpmaddubsw); a sum of few products fits int16, and is
// widened once per kFlush chunks. Bytes and table levels use |x| * sign(w, x), whose pair sums stay below 2^15 since
// |w| <= 127, and are widened at once.
#include "lowbit/kernels/lowbit_tile.h"

#include <immintrin.h>

namespace lowbit::kernels::avx2 {
namespace {

struct Wide {  // 16 rows of int32
  __m256i half[2];
};

__m256i load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

__m256i broadcast4(const int8_t* x) {
  int32_t word;
  __builtin_memcpy(&word, x, 4);
  return _mm256_set1_epi32(word);
}

__m256i widen(__m256i pairs) { return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)); }

// Keeps the compiler from summing in another order: it would hold every product at once, and spill.
void keep(__m256i* sum) { __asm__("" : "+x"(*sum)); }

void multiply_add(__m256i* pairs, __m256i codes, const int8_t* x) {
  *pairs = _mm256_add_epi16(*pairs, _mm256_maddubs_epi16(codes, broadcast4(x)));
  keep(pairs);
}

// --- Small unsigned codes: `kFlush` chunks at most are added into int16 pairs before they are widened. ---

struct U4 {
  static constexpr int kBits = 4, kFlush = 1;  // 8 products pairs of 2 * 15 * 128
  template <int M>
  static void add(const uint8_t* chunk, const int8_t* x, int64_t stride, int64_t chunks, Wide* sums) {
    const __m256i mask = _mm256_set1_epi8(15);
    __m256i pairs[M][2] = {};
    for (int64_t c = 0; c < chunks; ++c, chunk += 256, x += kLowbitChunk)
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v)
#pragma GCC unroll 2
        for (int h = 0; h < 2; ++h) {
          const __m256i w = load(chunk + 64 * v + 32 * h);
          const __m256i low = _mm256_and_si256(w, mask), high = _mm256_and_si256(_mm256_srli_epi16(w, 4), mask);
#pragma GCC unroll 4
          for (int i = 0; i < M; ++i) {
            multiply_add(&pairs[i][h], low, x + i * stride + 8 * v);
            multiply_add(&pairs[i][h], high, x + i * stride + 8 * v + 4);
          }
        }
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i)
      for (int h = 0; h < 2; ++h) sums[i].half[h] = _mm256_add_epi32(sums[i].half[h], widen(pairs[i][h]));
  }
};

struct U2 {
  static constexpr int kBits = 2, kFlush = 2;
  // One row: the codes stay where they are in the byte, worth 1 or 4 times their value; the pairs of the upper field
  // (at most 2 * 8 sums of 2 * 12 * 128 ... below 2^15) are divided by 4 exactly at the end.
  static void add_one(const uint8_t* chunk, const int8_t* x, int64_t chunks, Wide* sums) {
    const __m256i mask = _mm256_set1_epi8(3), mask4 = _mm256_set1_epi8(12);
    __m256i pairs[2] = {}, pairs4[2] = {};
    for (int64_t c = 0; c < chunks; ++c, chunk += 128, x += kLowbitChunk)
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v)
#pragma GCC unroll 2
        for (int h = 0; h < 2; ++h) {
          const __m256i w = load(chunk + 64 * v + 32 * h), upper = _mm256_srli_epi16(w, 4);
          multiply_add(&pairs[h], _mm256_and_si256(w, mask), x + 16 * v);
          multiply_add(&pairs4[h], _mm256_and_si256(w, mask4), x + 16 * v + 4);
          multiply_add(&pairs[h], _mm256_and_si256(upper, mask), x + 16 * v + 8);
          multiply_add(&pairs4[h], _mm256_and_si256(upper, mask4), x + 16 * v + 12);
        }
    for (int h = 0; h < 2; ++h)
      sums->half[h] =
          _mm256_add_epi32(sums->half[h], widen(_mm256_add_epi16(pairs[h], _mm256_srai_epi16(pairs4[h], 2))));
  }
  template <int M>
  static void add(const uint8_t* chunk, const int8_t* x, int64_t stride, int64_t chunks, Wide* sums) {
    if (M == 1) return add_one(chunk, x, chunks, sums);
    const __m256i mask = _mm256_set1_epi8(3);
    __m256i pairs[M][2] = {};
    for (int64_t c = 0; c < chunks; ++c, chunk += 128, x += kLowbitChunk)
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v)
#pragma GCC unroll 2
        for (int h = 0; h < 2; ++h) {
          const __m256i w = load(chunk + 64 * v + 32 * h);
#pragma GCC unroll 4
          for (int f = 0; f < 4; ++f) {
            const __m256i codes = _mm256_and_si256(_mm256_srli_epi16(w, 2 * f), mask);
#pragma GCC unroll 4
            for (int i = 0; i < M; ++i) multiply_add(&pairs[i][h], codes, x + i * stride + 16 * v + 4 * f);
          }
        }
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i)
      for (int h = 0; h < 2; ++h) sums[i].half[h] = _mm256_add_epi32(sums[i].half[h], widen(pairs[i][h]));
  }
};

struct U3 {
  static constexpr int kBits = 3, kFlush = 2;  // 16 pairs of 2 * 7 * 128
  template <int M>
  static void add(const uint8_t* chunk, const int8_t* x, int64_t stride, int64_t chunks, Wide* sums) {
    const __m256i mask = _mm256_set1_epi8(3), high_bit = _mm256_set1_epi8(4);
    __m256i pairs[M][2] = {};
    for (int64_t c = 0; c < chunks; ++c, chunk += 192, x += kLowbitChunk)
#pragma GCC unroll 2
      for (int h = 0; h < 2; ++h) {
        const __m256i bits = load(chunk + 128 + 32 * h);
#pragma GCC unroll 8
        for (int f = 0; f < 8; ++f) {
          const __m256i w = load(chunk + 64 * (f / 4) + 32 * h);
          const __m256i top = f < 2 ? _mm256_slli_epi16(bits, 2 - f) : _mm256_srli_epi16(bits, f - 2);
          const __m256i codes = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(w, 2 * (f % 4)), mask),
                                                _mm256_and_si256(top, high_bit));
#pragma GCC unroll 4
          for (int i = 0; i < M; ++i) multiply_add(&pairs[i][h], codes, x + i * stride + 4 * f);
        }
      }
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i)
      for (int h = 0; h < 2; ++h) sums[i].half[h] = _mm256_add_epi32(sums[i].half[h], widen(pairs[i][h]));
  }
};

struct U1 {
  static constexpr int kBits = 1, kFlush = 4;
  // One row: bits stay in place, worth 1, 2, 4, 8 times their value; at most 8 sums of 2 * 8 * 128.
  static void add_one(const uint8_t* chunk, const int8_t* x, int64_t chunks, Wide* sums) {
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      __m256i pairs[4] = {};
      for (int64_t c = 0; c < chunks; ++c) {
        const __m256i w = load(chunk + 64 * c + 32 * h), upper = _mm256_srli_epi16(w, 4);
        const int8_t* xc = x + kLowbitChunk * c;
#pragma GCC unroll 4
        for (int f = 0; f < 4; ++f) {
          const __m256i mask = _mm256_set1_epi8(static_cast<char>(1 << f));
          multiply_add(&pairs[f], _mm256_and_si256(w, mask), xc + 4 * f);
          multiply_add(&pairs[f], _mm256_and_si256(upper, mask), xc + 16 + 4 * f);
        }
      }
      const __m256i low = _mm256_add_epi16(pairs[0], _mm256_srai_epi16(pairs[1], 1));
      const __m256i high = _mm256_add_epi16(_mm256_srai_epi16(pairs[2], 2), _mm256_srai_epi16(pairs[3], 3));
      sums->half[h] = _mm256_add_epi32(sums->half[h], widen(_mm256_add_epi16(low, high)));
    }
  }
  template <int M>
  static void add(const uint8_t* chunk, const int8_t* x, int64_t stride, int64_t chunks, Wide* sums) {
    if (M == 1) return add_one(chunk, x, chunks, sums);
    const __m256i mask = _mm256_set1_epi8(1);
    __m256i pairs[M][2] = {};
    for (int64_t c = 0; c < chunks; ++c, chunk += 64, x += kLowbitChunk)
#pragma GCC unroll 2
      for (int h = 0; h < 2; ++h) {
        const __m256i w = load(chunk + 32 * h);
#pragma GCC unroll 8
        for (int f = 0; f < 8; ++f) {
          const __m256i codes = _mm256_and_si256(_mm256_srli_epi16(w, f), mask);
#pragma GCC unroll 4
          for (int i = 0; i < M; ++i) multiply_add(&pairs[i][h], codes, x + i * stride + 4 * f);
        }
      }
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i)
      for (int h = 0; h < 2; ++h) sums[i].half[h] = _mm256_add_epi32(sums[i].half[h], widen(pairs[i][h]));
  }
};

// --- Full bytes. ---

struct U7 {
  static constexpr int kBits = 8, kFlush = 1 << 20;
  template <int M>
  static void add(const uint8_t* chunk, const int8_t* x, int64_t stride, int64_t chunks, Wide* sums) {
    for (int64_t v = 0; v < 8 * chunks; ++v) {
      const __m256i w[2] = {load(chunk + 64 * v), load(chunk + 64 * v + 32)};
#pragma GCC unroll 4
      for (int i = 0; i < M; ++i) {
        const __m256i xs = broadcast4(x + i * stride + 4 * v);
#pragma GCC unroll 2
        for (int h = 0; h < 2; ++h) {
          sums[i].half[h] = _mm256_add_epi32(sums[i].half[h], widen(_mm256_maddubs_epi16(w[h], xs)));
          keep(&sums[i].half[h]);
        }
      }
    }
  }
};

// x times w of both halves.
void multiply_signed(Wide* sums, const __m256i* w, const int8_t* x) {
  const __m256i xs = broadcast4(x), size = _mm256_abs_epi8(xs);
#pragma GCC unroll 2
  for (int h = 0; h < 2; ++h) {
    const __m256i products = widen(_mm256_maddubs_epi16(size, _mm256_sign_epi8(w[h], xs)));
    sums->half[h] = _mm256_add_epi32(sums->half[h], products);
    keep(&sums->half[h]);
  }
}

struct U8 {
  static constexpr int kBits = 8, kFlush = 1 << 20;
  // Codes are taken as w = u - 128; the caller of add() corrects `zero` by 128.
  template <int M>
  static void add(const uint8_t* chunk, const int8_t* x, int64_t stride, int64_t chunks, Wide* sums) {
    const __m256i flip = _mm256_set1_epi8(-128);
    for (int64_t v = 0; v < 8 * chunks; ++v) {
      const __m256i w[2] = {_mm256_xor_si256(load(chunk + 64 * v), flip),
                            _mm256_xor_si256(load(chunk + 64 * v + 32), flip)};
#pragma GCC unroll 4
      for (int i = 0; i < M; ++i) multiply_signed(&sums[i], w, x + i * stride + 4 * v);
    }
  }
};

struct Table {
  static constexpr int kBits = 4, kFlush = 1 << 20;
  template <int M>
  static void add(const uint8_t* chunk, const int8_t* x, int64_t stride, int64_t chunks, __m256i levels, Wide* sums) {
    const __m256i mask = _mm256_set1_epi8(15);
    for (int64_t v = 0; v < 4 * chunks; ++v) {
      const __m256i codes[2] = {load(chunk + 64 * v), load(chunk + 64 * v + 32)};
#pragma GCC unroll 2
      for (int f = 0; f < 2; ++f) {
        __m256i w[2];
#pragma GCC unroll 2
        for (int h = 0; h < 2; ++h)
          w[h] = _mm256_shuffle_epi8(levels, _mm256_and_si256(f ? _mm256_srli_epi16(codes[h], 4) : codes[h], mask));
#pragma GCC unroll 4
        for (int i = 0; i < M; ++i) multiply_signed(&sums[i], w, x + i * stride + 8 * v + 4 * f);
      }
    }
  }
};

// --- The tile. ---

template <LowbitCoding kCoding>
struct CodingOf;
template <>
struct CodingOf<LowbitCoding::u1> : U1 {};
template <>
struct CodingOf<LowbitCoding::u2> : U2 {};
template <>
struct CodingOf<LowbitCoding::u3> : U3 {};
template <>
struct CodingOf<LowbitCoding::u4> : U4 {};
template <>
struct CodingOf<LowbitCoding::u7> : U7 {};
template <>
struct CodingOf<LowbitCoding::u8> : U8 {};
template <>
struct CodingOf<LowbitCoding::table> : Table {};

// step * sum - zero * x_sum of 8 rows.
template <LowbitCoding kCoding>
[[gnu::always_inline]] inline __m256i centre(__m256i sum, const LowbitTile& tile, int64_t group, int i, int h) {
  if (kCoding == LowbitCoding::table) return sum;
  const int32_t x_sum = tile.x_sums[i * tile.x_sums_stride + group];
  constexpr int32_t kFlipped = kCoding == LowbitCoding::u8 ? 128 : 0;
  if (tile.step == 2) sum = _mm256_slli_epi32(sum, 1);
  if (!tile.zeros)
    return _mm256_sub_epi32(
        sum, _mm256_set1_epi32(static_cast<int32_t>(static_cast<uint32_t>(tile.zero - kFlipped * tile.step) *
                                                    static_cast<uint32_t>(x_sum))));
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(tile.zeros + group * kLowbitRows + 8 * h));
  const __m256i zero = _mm256_sub_epi32(_mm256_cvtepu8_epi32(bytes), _mm256_set1_epi32(kFlipped * tile.step));
  return _mm256_sub_epi32(sum, _mm256_mullo_epi32(zero, _mm256_set1_epi32(x_sum)));
}

__m256 scale_of(const LowbitTile& tile, int64_t group, int h) {
  if (tile.scales) return _mm256_loadu_ps(tile.scales + group * kLowbitRows + 8 * h);
  return _mm256_cvtph_ps(
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(tile.half_scales + group * kLowbitRows + 8 * h)));
}

template <LowbitCoding kCoding, int M>
void tile_rows(const LowbitTile& tile) {
  using Coding = CodingOf<kCoding>;
  constexpr int64_t kChunkBytes = 64 * Coding::kBits;
  __m256i levels = _mm256_setzero_si256();
  if (kCoding == LowbitCoding::table)
    levels = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(tile.table)));
  __m256 values[M][2] = {};
  for (int64_t chunk = 0, group = 0; chunk < tile.chunks; ++group) {
    const int64_t end = chunk + tile.group_chunks < tile.chunks ? chunk + tile.group_chunks : tile.chunks;
    Wide sums[M] = {};
    while (chunk < end) {
      const int64_t count = end - chunk < Coding::kFlush ? end - chunk : Coding::kFlush;
      const uint8_t* codes = tile.codes + chunk * kChunkBytes;
      const int8_t* x = tile.x + chunk * kLowbitChunk;
      if constexpr (kCoding == LowbitCoding::table) {
        Coding::template add<M>(codes, x, tile.x_stride, count, levels, sums);
      } else {
        Coding::template add<M>(codes, x, tile.x_stride, count, sums);
      }
      chunk += count;
    }
#pragma GCC unroll 4
    for (int i = 0; i < M; ++i)
#pragma GCC unroll 2
      for (int h = 0; h < 2; ++h) {
        const __m256i sum = centre<kCoding>(sums[i].half[h], tile, group, i, h);
        if (tile.sums) {
          _mm256_storeu_si256(reinterpret_cast<__m256i*>(tile.sums + i * kLowbitRows + 8 * h), sum);
        } else {
          values[i][h] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum), scale_of(tile, group, h), values[i][h]);
        }
      }
  }
  if (!tile.values) return;
#pragma GCC unroll 4
  for (int i = 0; i < M; ++i)
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      __m256 y = values[i][h];
      if (tile.x_scales) y = _mm256_mul_ps(y, _mm256_broadcast_ss(tile.x_scales + i));
      if (tile.bias) y = _mm256_add_ps(y, _mm256_loadu_ps(tile.bias + 8 * h));
      _mm256_storeu_ps(tile.values + i * tile.values_stride + 8 * h, y);
    }
}

/// The same tile for the third of three rows: a form of its own for three would be code for the ends of matrices alone.
LowbitTile third_row(LowbitTile tile) {
  tile.x += 2 * tile.x_stride;
  if (tile.x_sums) tile.x_sums += 2 * tile.x_sums_stride;
  if (tile.sums) tile.sums += 2 * kLowbitRows;
  if (tile.values) tile.values += 2 * tile.values_stride;
  if (tile.x_scales) tile.x_scales += 2;
  return tile;
}

template <LowbitCoding kCoding>
void any_rows(const LowbitTile& tile, int m) noexcept {
  if (m == 4) return tile_rows<kCoding, 4>(tile);
  if (m >= 2) tile_rows<kCoding, 2>(tile);
  if (m == 3) tile_rows<kCoding, 1>(third_row(tile));
  if (m == 1) tile_rows<kCoding, 1>(tile);
}

// --- Activations. ---

__m256 quotient8(__m256 x, __m256 scale) {
  const __m256 q = _mm256_round_ps(_mm256_div_ps(x, scale), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m256 limited = _mm256_min_ps(_mm256_max_ps(q, _mm256_set1_ps(-127.0f)), _mm256_set1_ps(127.0f));
  return _mm256_and_ps(limited, _mm256_cmp_ps(x, x, _CMP_ORD_Q));
}

float largest_size(const float* x, int64_t k) {
  const __m256 positive = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
  __m256 largest = _mm256_setzero_ps();
  int64_t i = 0;
  // max(a, b) gives b if either is NaN: a NaN among x is skipped.
  for (; i + 8 <= k; i += 8) largest = _mm256_max_ps(_mm256_and_ps(_mm256_loadu_ps(x + i), positive), largest);
  __m128 four = _mm_max_ps(_mm256_castps256_ps128(largest), _mm256_extractf128_ps(largest, 1));
  four = _mm_max_ps(four, _mm_movehl_ps(four, four));
  float result = _mm_cvtss_f32(_mm_max_ss(four, _mm_shuffle_ps(four, four, 1)));
  for (; i < k; ++i) {
    const float size = __builtin_fabsf(x[i]);
    if (size > result) result = size;
  }
  return result;
}

int32_t sum_of(const int8_t* codes, int64_t count) {
  __m256i sum = _mm256_setzero_si256();
  for (int64_t i = 0; i < count; i += 32)
    sum = _mm256_add_epi32(sum, widen(_mm256_maddubs_epi16(_mm256_set1_epi8(1), load(codes + i))));
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1)));
}

}  // namespace

float lowbit_quantize_row(const float* x, int64_t k, int64_t padded_k, int64_t group, float fixed_scale, int8_t* codes,
                          int32_t* sums) noexcept {
  float scale = fixed_scale > 0 ? fixed_scale : largest_size(x, k) / 127.0f;
  if (!(scale > 0) || __builtin_isinf(scale)) scale = 1;
  const __m256 divisor = _mm256_set1_ps(scale);
  int64_t i = 0;
  for (; i + 8 <= k; i += 8) {
    const __m256i words = _mm256_cvtps_epi32(quotient8(_mm256_loadu_ps(x + i), divisor));
    const __m128i shorts = _mm_packs_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(codes + i), _mm_packs_epi16(shorts, shorts));
  }
  for (; i < k; ++i) codes[i] = static_cast<int8_t>(_mm256_cvtss_f32(quotient8(_mm256_set1_ps(x[i]), divisor)));
  for (; i < padded_k; ++i) codes[i] = 0;
  for (int64_t begin = 0, run = 0; begin < padded_k; begin += group, ++run)
    sums[run] = sum_of(codes + begin, begin + group < padded_k ? group : padded_k - begin);
  return scale;
}

const LowbitKernels lowbit_kernels = {
    {any_rows<LowbitCoding::u1>, any_rows<LowbitCoding::u2>, any_rows<LowbitCoding::u3>, any_rows<LowbitCoding::u4>,
     any_rows<LowbitCoding::u7>, any_rows<LowbitCoding::u8>, any_rows<LowbitCoding::table>},
    lowbit_quantize_row,
    lowbit_decoders,
};

}  // namespace lowbit::kernels::avx2
