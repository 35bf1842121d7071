#include "lowbit/kernels/lowbit_binary_product.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace lowbit::kernels {
namespace {

TEST(LowbitBinary, EveryInstructionSetSumsTheProductsOfSigns) {
  EXPECT_TRUE(rc::check([] {
    const int64_t m = *rc::gen::inRange<int64_t>(1, 6), n = *rc::gen::inRange<int64_t>(1, 40);
    const int64_t k = *rc::gen::element<int64_t>(1, 3, 63, 64, 65, 200, 64 * 31, 64 * 31 + 1, 5000),
                  words = binary_words(k);
    const int fill = *rc::gen::inRange(0, 4);  // all different, all equal, random
    std::mt19937 rng(*rc::gen::arbitrary<uint32_t>());
    std::vector<float> a(static_cast<size_t>(m * k)), b(static_cast<size_t>(n * k));
    for (float& v : a) v = fill == 0 ? 1.0f : fill == 1 ? -1.0f : rng() % 2 ? 1.0f : -1.0f;
    for (float& v : b) v = fill < 2 ? -1.0f : rng() % 2 ? 1.0f : -1.0f;
    std::vector<uint64_t> bits_a(static_cast<size_t>(m * words)), bits_b(static_cast<size_t>(n * words));
    for (int64_t i = 0; i < m; ++i) binary_signs(a.data() + i * k, k, 0.0f, bits_a.data() + i * words);
    for (int64_t i = 0; i < n; ++i) binary_signs(b.data() + i * k, k, 0.0f, bits_b.data() + i * words);
    std::vector<uint64_t> packed(binary_packed_words(n, k));
    binary_pack(n, k, bits_b.data(), words, packed.data());
    for (const BinaryRow& row : binary_table()) {
      if (!isa_row(row.isa).supported) continue;
      std::vector<int32_t> y(static_cast<size_t>(m * n), 7);
      binary_product({m, n, k, bits_a.data(), words, packed.data(), y.data(), n}, 0, (n + 15) / 16, row.isa);
      for (int64_t i = 0; i < m; ++i)
        for (int64_t j = 0; j < n; ++j) {
          double sum = 0;
          for (int64_t q = 0; q < k; ++q)
            sum += static_cast<double>(a[static_cast<size_t>(i * k + q)]) * b[static_cast<size_t>(j * k + q)];
          RC_ASSERT(y[static_cast<size_t>(i * n + j)] == static_cast<int32_t>(sum));
        }
    }
  }));
}

TEST(LowbitBinary, SignsOfFloatsAndCodesCompareWithTheThreshold) {
  const float x[4] = {0.5f, 0.6f, NAN, -1.0f};
  const int8_t codes[3] = {-3, -2, 127};
  uint64_t bits = 0;
  binary_signs(x, 4, 0.5f, &bits);
  EXPECT_EQ(bits, 0b0010u);
  binary_signs(codes, 3, -2, &bits);
  EXPECT_EQ(bits, 0b110u);
}

}  // namespace
}  // namespace lowbit::kernels
