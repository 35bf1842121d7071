#include <immintrin.h>
#include <stdint.h>

#include "lowbit/kernels/peak.h"

namespace lowbit::kernels::avx2 {
namespace {

int32_t run(int64_t rounds) noexcept {
  __m256i sums[12];
  for (__m256i& sum : sums) sum = _mm256_setzero_si256();
  __m256i x = _mm256_set1_epi16(static_cast<int16_t>(rounds));
  const __m256i w = _mm256_set1_epi16(3);
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < 12; ++j) {
      asm volatile("" : "+x"(x), "+x"(sums[j]));  // x counts as changed: each product is computed
      sums[j] = _mm256_add_epi32(sums[j], _mm256_madd_epi16(x, w));
    }
  }
  __m256i all = sums[0];
  for (int j = 1; j < 12; ++j) all = _mm256_add_epi32(all, sums[j]);
  return _mm256_extract_epi32(all, 0);
}

}  // namespace

extern const PeakLoop peak_loop;
const PeakLoop peak_loop = {Isa::avx2, "vpmaddwd", 12 * 16 * 2, run};

}  // namespace lowbit::kernels::avx2
