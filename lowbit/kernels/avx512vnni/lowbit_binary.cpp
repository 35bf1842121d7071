// Bits of bytes are counted by two look-ups of four bits; counts of up to 31 words fit a byte, then the eight bytes of
// a row are summed by vpsadbw. A vector holds one word of eight rows.
#include "lowbit/kernels/lowbit_binary.h"

#include <immintrin.h>

namespace lowbit::kernels::avx512vnni {
namespace {

constexpr int64_t kByteWords = 31;  // 31 * 8 <= 255

template <int M>
void tile_rows(const BinaryTile& tile) {
  const __m512i counts = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
  const __m512i mask = _mm512_set1_epi8(15);
  __m512i totals[M][2];
#pragma GCC unroll 2
  for (int i = 0; i < M; ++i) totals[i][0] = totals[i][1] = _mm512_setzero_si512();
  for (int64_t begin = 0; begin < tile.words; begin += kByteWords) {
    const int64_t end = begin + kByteWords < tile.words ? begin + kByteWords : tile.words;
    __m512i bytes[M][2];
#pragma GCC unroll 2
    for (int i = 0; i < M; ++i) bytes[i][0] = bytes[i][1] = _mm512_setzero_si512();
    for (int64_t w = begin; w < end; ++w)
#pragma GCC unroll 2
      for (int i = 0; i < M; ++i) {
        const __m512i a = _mm512_set1_epi64(static_cast<int64_t>(tile.a[i * tile.a_stride + w]));
#pragma GCC unroll 2
        for (int v = 0; v < 2; ++v) {
          const __m512i bits = _mm512_xor_si512(a, _mm512_loadu_si512(tile.b + w * kBinaryRows + 8 * v));
          const __m512i low = _mm512_shuffle_epi8(counts, _mm512_and_si512(bits, mask));
          const __m512i high = _mm512_shuffle_epi8(counts, _mm512_and_si512(_mm512_srli_epi16(bits, 4), mask));
          bytes[i][v] = _mm512_add_epi8(bytes[i][v], _mm512_add_epi8(low, high));
        }
      }
#pragma GCC unroll 2
    for (int i = 0; i < M; ++i)
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v)
        totals[i][v] = _mm512_add_epi64(totals[i][v], _mm512_sad_epu8(bytes[i][v], _mm512_setzero_si512()));
  }
#pragma GCC unroll 2
  for (int i = 0; i < M; ++i)
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
      const __m256i different = _mm512_cvtepi64_epi32(totals[i][v]);
      _mm256_storeu_si256(
          reinterpret_cast<__m256i*>(tile.y + i * tile.y_stride + 8 * v),
          _mm256_sub_epi32(_mm256_set1_epi32(static_cast<int32_t>(tile.k)), _mm256_slli_epi32(different, 1)));
    }
}

}  // namespace

void binary_tile(const BinaryTile& tile, int m) noexcept { m == 1 ? tile_rows<1>(tile) : tile_rows<2>(tile); }

}  // namespace lowbit::kernels::avx512vnni
