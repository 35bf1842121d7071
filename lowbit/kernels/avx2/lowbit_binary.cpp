// Bits of bytes are counted by two look-ups of four bits; counts of up to 31 words fit a byte, then the eight bytes of
// a row are summed by vpsadbw. A vector holds one word of four rows.
#include "lowbit/kernels/lowbit_binary.h"

#include <immintrin.h>

namespace lowbit::kernels::avx2 {
namespace {

constexpr int64_t kByteWords = 31;  // 31 * 8 <= 255

[[gnu::always_inline]] inline __m256i load(const uint64_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

[[gnu::always_inline]] inline __m256i count_bytes(__m256i bits, __m256i counts, __m256i mask) {
  const __m256i low = _mm256_shuffle_epi8(counts, _mm256_and_si256(bits, mask));
  const __m256i high = _mm256_shuffle_epi8(counts, _mm256_and_si256(_mm256_srli_epi16(bits, 4), mask));
  return _mm256_add_epi8(low, high);
}

template <int M>
void tile_rows(const BinaryTile& tile) {
  const __m256i counts =
      _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  const __m256i mask = _mm256_set1_epi8(15);
  __m256i totals[M][4] = {};
  for (int64_t begin = 0; begin < tile.words; begin += kByteWords) {
    const int64_t end = begin + kByteWords < tile.words ? begin + kByteWords : tile.words;
    __m256i bytes[M][4] = {};
    for (int64_t w = begin; w < end; ++w)
#pragma GCC unroll 2
      for (int i = 0; i < M; ++i) {
        const __m256i a = _mm256_set1_epi64x(static_cast<int64_t>(tile.a[i * tile.a_stride + w]));
#pragma GCC unroll 4
        for (int v = 0; v < 4; ++v) {
          const __m256i different = _mm256_xor_si256(a, load(tile.b + w * kBinaryRows + 4 * v));
          bytes[i][v] = _mm256_add_epi8(bytes[i][v], count_bytes(different, counts, mask));
        }
      }
#pragma GCC unroll 2
    for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < 4; ++v)
        totals[i][v] = _mm256_add_epi64(totals[i][v], _mm256_sad_epu8(bytes[i][v], _mm256_setzero_si256()));
  }
  const __m256i even = _mm256_setr_epi32(0, 2, 4, 6, 0, 0, 0, 0);
  const __m128i k = _mm_set1_epi32(static_cast<int32_t>(tile.k));
#pragma GCC unroll 2
  for (int i = 0; i < M; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const __m128i different = _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(totals[i][v], even));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(tile.y + i * tile.y_stride + 4 * v),
                       _mm_sub_epi32(k, _mm_slli_epi32(different, 1)));
    }
}

}  // namespace

void binary_tile(const BinaryTile& tile, int m) noexcept { m == 1 ? tile_rows<1>(tile) : tile_rows<2>(tile); }

}  // namespace lowbit::kernels::avx2
