#include "lowbit/methods/linear_algebra.h"

#include <gtest/gtest.h>

#include <cmath>

#include "lowbit/base/random.h"
#include "lowbit/methods/matrix_kernels.h"

namespace lowbit {
namespace {

Matrix random_matrix(int64_t rows, int64_t columns, uint64_t seed) {
  Matrix a(rows, columns);
  Random random(seed);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) a.at(i, j) = random.normal();
  return a;
}

/// A^T A + 0.1 I of a random A.
Matrix positive_definite(int64_t n, uint64_t seed) {
  ThreadPool threads(1);
  const Matrix a = random_matrix(n + 3, n, seed);
  Matrix h = transposed_product(a, a, threads);
  for (int64_t i = 0; i < n; ++i) h.at(i, i) += 0.1;
  return h;
}

TEST(MatrixKernels, SumOfProductsEqualsTheDefinitionForEverySize) {
  for (int64_t m : {1, 3, 4, 9})
    for (int64_t n : {1, 15, 16, 17, 40})
      for (int64_t k : {0, 1, 5}) {
        const Matrix a = random_matrix(k, m, 1), b = random_matrix(k, n, 2);
        Matrix c = random_matrix(m, n, 3);
        const Matrix before = c;
        add_transposed_product(-1.0, m, n, k, a.row(0), a.stride(), b.row(0), b.stride(), c.row(0), c.stride());
        for (int64_t i = 0; i < m; ++i)
          for (int64_t j = 0; j < n; ++j) {
            double expected = before.at(i, j);
            for (int64_t p = 0; p < k; ++p) expected -= a.at(p, i) * b.at(p, j);
            EXPECT_NEAR(c.at(i, j), expected, 1e-12) << m << " " << n << " " << k;
          }
      }
}

TEST(LinearAlgebra, TheFactorGivesTheMatrixBack) {
  for (int64_t n : {1, 2, 63, 64, 65, 200}) {
    const Matrix h = positive_definite(n, 7);
    ThreadPool threads(2);
    Matrix r;
    ASSERT_TRUE(factor_upper(h, r, threads)) << n;
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) {
        if (j < i) {
          ASSERT_EQ(r.at(i, j), 0.0);
        }
        double product = 0;
        for (int64_t k = 0; k < n; ++k) product += r.at(i, k) * r.at(j, k);
        ASSERT_NEAR(product, h.at(i, j), 1e-10 * static_cast<double>(n)) << n;
      }
  }
}

TEST(LinearAlgebra, ASolvedSystemHasNoResidual) {
  const int64_t n = 90, rows = 21;
  const Matrix h = positive_definite(n, 8), b = random_matrix(n, rows, 9);
  ThreadPool threads(2);
  Matrix r, x = b;
  ASSERT_TRUE(factor_upper(h, r, threads));
  solve_factored(r, x, threads);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t c = 0; c < rows; ++c) {
      double product = 0;
      for (int64_t k = 0; k < n; ++k) product += h.at(i, k) * x.at(k, c);
      ASSERT_NEAR(product, b.at(i, c), 1e-8);
    }
}

TEST(LinearAlgebra, AnIndefiniteMatrixIsRefused) {
  Matrix h(2, 2), r;
  h.at(0, 0) = h.at(1, 1) = 1;
  h.at(0, 1) = h.at(1, 0) = 2;
  ThreadPool threads(1);
  EXPECT_FALSE(factor_upper(h, r, threads));
  h.at(0, 1) = h.at(1, 0) = NAN;
  EXPECT_FALSE(factor_upper(h, r, threads));
}

TEST(LinearAlgebra, TheFactorDoesNotDependOnTheThreads) {
  const Matrix h = positive_definite(150, 3);
  ThreadPool one(1), two(3);
  Matrix a, b;
  ASSERT_TRUE(factor_upper(h, a, one) && factor_upper(h, b, two));
  for (int64_t i = 0; i < 150; ++i)
    for (int64_t j = 0; j < 150; ++j) ASSERT_EQ(a.at(i, j), b.at(i, j));
}

}  // namespace
}  // namespace lowbit
