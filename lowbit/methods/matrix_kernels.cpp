#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lowbit/methods/matrix_kernels.cpp"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include "lowbit/methods/matrix_kernels.h"

HWY_BEFORE_NAMESPACE();
namespace lowbit::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// One tile of kTileRows x kVectors vectors.
template <int kVectors, class D, typename T = hn::TFromD<D>>
HWY_INLINE void tile(D d, T sign, int64_t k, const T* a, int64_t lda, const T* b, int64_t ldb, T* c, int64_t ldc) {
  static_assert(kTileRows == 4);
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  hn::Vec<D> sum[4][kVectors];
  for (auto& row : sum)
    for (auto& element : row) element = hn::Zero(d);
  for (int64_t p = 0; p < k; ++p) {
    hn::Vec<D> right[kVectors];
    for (int v = 0; v < kVectors; ++v) right[v] = hn::LoadU(d, b + p * ldb + v * lanes);
    for (int i = 0; i < 4; ++i) {
      const auto left = hn::Set(d, a[p * lda + i]);
      for (int v = 0; v < kVectors; ++v) sum[i][v] = hn::MulAdd(left, right[v], sum[i][v]);
    }
  }
  const auto factor = hn::Set(d, sign);
  for (int i = 0; i < 4; ++i)
    for (int v = 0; v < kVectors; ++v) {
      T* to = c + i * ldc + v * lanes;
      hn::StoreU(hn::MulAdd(factor, sum[i][v], hn::LoadU(d, to)), d, to);
    }
}

template <class D, typename T = hn::TFromD<D>>
HWY_INLINE void product(D d, T sign, int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const T* b, int64_t ldb,
                        T* c, int64_t ldc) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t rows = padded(m, kTileRows), columns = padded(n, kTileColumns);
  int64_t j = 0;
  // Three vectors wide: 12 sums, 3 loads and a broadcast just fit the 16 registers of AVX2.
  for (; j + 3 * lanes <= columns; j += 3 * lanes)
    for (int64_t i = 0; i < rows; i += kTileRows) tile<3>(d, sign, k, a + i, lda, b + j, ldb, c + i * ldc + j, ldc);
  for (; j + 2 * lanes <= columns; j += 2 * lanes)
    for (int64_t i = 0; i < rows; i += kTileRows) tile<2>(d, sign, k, a + i, lda, b + j, ldb, c + i * ldc + j, ldc);
  for (; j < columns; j += lanes)
    for (int64_t i = 0; i < rows; i += kTileRows) tile<1>(d, sign, k, a + i, lda, b + j, ldb, c + i * ldc + j, ldc);
}

void float_product(float sign, int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b,
                   int64_t ldb, float* c, int64_t ldc) {
  // At most one tile of columns wide, so that the padding to kTileColumns is enough on every target.
  const hn::CappedTag<float, kTileColumns> d;
  product(d, sign, m, n, k, a, lda, b, ldb, c, ldc);
}

void double_product(double sign, int64_t m, int64_t n, int64_t k, const double* a, int64_t lda, const double* b,
                    int64_t ldb, double* c, int64_t ldc) {
  const hn::CappedTag<double, kTileColumns> d;
  product(d, sign, m, n, k, a, lda, b, ldb, c, ldc);
}

}  // namespace lowbit::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace lowbit {

HWY_EXPORT(float_product);
HWY_EXPORT(double_product);

void add_transposed_product(float sign, int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b,
                            int64_t ldb, float* c, int64_t ldc) {
  HWY_DYNAMIC_DISPATCH(float_product)(sign, m, n, k, a, lda, b, ldb, c, ldc);
}

void add_transposed_product(double sign, int64_t m, int64_t n, int64_t k, const double* a, int64_t lda, const double* b,
                            int64_t ldb, double* c, int64_t ldc) {
  HWY_DYNAMIC_DISPATCH(double_product)(sign, m, n, k, a, lda, b, ldb, c, ldc);
}

}  // namespace lowbit
#endif
