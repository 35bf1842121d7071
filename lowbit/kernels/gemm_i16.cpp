#include "lowbit/kernels/gemm_i16.h"

#include <algorithm>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lowbit/kernels/gemm_i16.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace lowbit::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_SCALAR || HWY_TARGET == HWY_EMU128
void run(int64_t m, int64_t n, int64_t k_begin, int64_t k_end, int64_t k, const int16_t* a, int64_t lda,
         const int16_t* packed, int32_t* c, int64_t ldc) {
  gemm_i16_reference(m, n, k_begin, k_end, k, a, lda, packed, c, ldc);
}
#else
/// kRows rows of A against one block of 16 columns.
template <int kRows>
void tile(int64_t pairs, const int16_t* HWY_RESTRICT a, int64_t lda, const int16_t* HWY_RESTRICT b,
          int32_t* HWY_RESTRICT c, int64_t ldc) {
  const hn::CappedTag<int32_t, kGemmColumns> d32;
  const hn::Repartition<int16_t, decltype(d32)> d16;
  const size_t lanes = hn::Lanes(d32);
  for (size_t column = 0; column < static_cast<size_t>(kGemmColumns); column += lanes) {
    using V = hn::Vec<decltype(d32)>;
    V even[kRows], odd[kRows];
    for (int r = 0; r < kRows; ++r) even[r] = odd[r] = hn::Zero(d32);
    for (int64_t p = 0; p < pairs; ++p) {
      const auto vb = hn::LoadU(d16, b + p * 2 * kGemmColumns + column * 2);
      for (int r = 0; r < kRows; ++r) {
        int32_t pair;
        std::memcpy(&pair, a + r * lda + p * 2, sizeof(pair));
        even[r] = hn::ReorderWidenMulAccumulate(d32, hn::BitCast(d16, hn::Set(d32, pair)), vb, even[r], odd[r]);
      }
    }
    for (int r = 0; r < kRows; ++r) hn::StoreU(hn::RearrangeToOddPlusEven(even[r], odd[r]), d32, c + r * ldc + column);
  }
}

void run(int64_t m, int64_t n, int64_t k_begin, int64_t k_end, int64_t k, const int16_t* a, int64_t lda,
         const int16_t* packed, int32_t* c, int64_t ldc) {
  const int64_t pairs = (k_end - k_begin) / 2, block = gemm_padded_k(k) * kGemmColumns;
  constexpr int kRows = 8;
  for (int64_t j = 0; j * kGemmColumns < n; ++j) {
    const int16_t* b = packed + j * block + k_begin * kGemmColumns;
    int64_t i = 0;
    for (; i + kRows <= m; i += kRows)
      tile<kRows>(pairs, a + i * lda + k_begin, lda, b, c + i * ldc + j * kGemmColumns, ldc);
    for (; i < m; ++i) tile<1>(pairs, a + i * lda + k_begin, lda, b, c + i * ldc + j * kGemmColumns, ldc);
  }
}

#endif

}  // namespace lowbit::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowbit::kernels {

HWY_EXPORT(run);

size_t gemm_packed_size(int64_t n, int64_t k) {
  return static_cast<size_t>((n + kGemmColumns - 1) / kGemmColumns * kGemmColumns * gemm_padded_k(k));
}

void gemm_pack(const int16_t* b, int64_t n, int64_t k, int64_t stride, int16_t* packed) {
  std::fill_n(packed, gemm_packed_size(n, k), int16_t{0});
  const int64_t block = gemm_padded_k(k) * kGemmColumns;
  for (int64_t j = 0; j < n; ++j) {
    int16_t* column = packed + j / kGemmColumns * block + j % kGemmColumns * 2;
    for (int64_t i = 0; i < k; ++i) column[i / 2 * 2 * kGemmColumns + i % 2] = b[j * stride + i];
  }
}

void gemm_i16(int64_t m, int64_t n, int64_t k_begin, int64_t k_end, int64_t k, const int16_t* a, int64_t lda,
              const int16_t* packed, int32_t* c, int64_t ldc) {
  HWY_DYNAMIC_DISPATCH(run)(m, n, k_begin, k_end, k, a, lda, packed, c, ldc);
}

void gemm_i16_reference(int64_t m, int64_t n, int64_t k_begin, int64_t k_end, int64_t k, const int16_t* a, int64_t lda,
                        const int16_t* packed, int32_t* c, int64_t ldc) {
  const int64_t padded_n = (n + kGemmColumns - 1) / kGemmColumns * kGemmColumns,
                block = gemm_padded_k(k) * kGemmColumns;
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < padded_n; ++j) {
      const int16_t* column = packed + j / kGemmColumns * block + j % kGemmColumns * 2;
      int32_t sum = 0;
      for (int64_t p = k_begin; p < k_end; ++p) sum += a[i * lda + p] * column[p / 2 * 2 * kGemmColumns + p % 2];
      c[i * ldc + j] = sum;
    }
}

}  // namespace lowbit::kernels
#endif
