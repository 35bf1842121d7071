#include "lowbit/kernels/gemm_i16.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <vector>

#include "lowbit/base/random.h"

namespace lowbit::kernels {
namespace {

enum class GemmFill { random, minimum, maximum };

void check(int64_t m, int64_t n, int64_t k, GemmFill fill) {
  Random random(static_cast<uint64_t>(m * 1000 + n * 100 + k));
  const int64_t lda = gemm_padded_k(k), ldc = (n + 15) / 16 * 16;
  std::vector<int16_t> a(static_cast<size_t>(m * lda)), b(static_cast<size_t>(n * k));
  const auto draw = [&](int64_t span) -> int16_t {
    if (fill == GemmFill::random) return static_cast<int16_t>(random.below(2 * span + 1) - span);
    return static_cast<int16_t>(fill == GemmFill::minimum ? -span : span);
  };
  for (int16_t& x : a) x = draw(255);
  for (int16_t& x : b) x = draw(127);
  std::vector<int16_t> packed(gemm_packed_size(n, k));
  gemm_pack(b.data(), n, k, k, packed.data());
  std::vector<int32_t> c(static_cast<size_t>(m * ldc), -1), plain(static_cast<size_t>(m * n), 0);
  gemm_i16(m, n, 0, lda, k, a.data(), lda, packed.data(), c.data(), ldc);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t p = 0; p < k; ++p)
        plain[static_cast<size_t>(i * n + j)] +=
            a[static_cast<size_t>(i * lda + p)] * b[static_cast<size_t>(j * k + p)];
      ASSERT_EQ(c[static_cast<size_t>(i * ldc + j)], plain[static_cast<size_t>(i * n + j)])
          << m << "x" << n << "x" << k << " at " << i << "," << j;
    }
}

TEST(GemmI16, EqualsPlainLoopsOnEveryTarget) {
  for (int64_t target = hwy::SupportedTargets(), bit = 1; bit > 0 && bit <= target; bit <<= 1) {
    if (!(target & bit)) continue;
    hwy::SetSupportedTargetsForTest(bit);
    for (int64_t m : {1, 7, 8, 9})
      for (int64_t n : {1, 15, 16, 17, 33})
        for (int64_t k : {1, 2, 31, 64, 129})
          for (GemmFill fill : {GemmFill::random, GemmFill::minimum, GemmFill::maximum}) check(m, n, k, fill);
    hwy::SetSupportedTargetsForTest(0);
  }
}

TEST(GemmI16, PartsOfKAddUp) {
  Random random(3);
  const int64_t m = 3, n = 5, k = 50;
  std::vector<int16_t> a(static_cast<size_t>(m * k)), b(static_cast<size_t>(n * k));
  for (int16_t& x : a) x = static_cast<int16_t>(random.below(1000) - 500);
  for (int16_t& x : b) x = static_cast<int16_t>(random.below(1000) - 500);
  std::vector<int16_t> packed(gemm_packed_size(n, k));
  gemm_pack(b.data(), n, k, k, packed.data());
  std::vector<int32_t> whole(m * 16), first(m * 16), second(m * 16);
  gemm_i16(m, n, 0, k, k, a.data(), k, packed.data(), whole.data(), 16);
  gemm_i16(m, n, 0, 20, k, a.data(), k, packed.data(), first.data(), 16);
  gemm_i16(m, n, 20, k, k, a.data(), k, packed.data(), second.data(), 16);
  for (size_t i = 0; i < whole.size(); ++i) EXPECT_EQ(whole[i], first[i] + second[i]);
}

}  // namespace
}  // namespace lowbit::kernels
