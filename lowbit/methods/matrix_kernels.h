// matrix_kernels.h: the one inner loop of the methods' linear algebra, vectorised: C += A^T B or C -= A^T B. Single
// threaded; callers cut the work by the problem, so that results do not depend on the number of threads.
#pragma once

#include <cstdint>

namespace lowbit {

/// Rows and columns of C are computed in whole tiles: m is rounded up to kTileRows and n to kTileColumns, so A must be
/// readable up to the rounded m in each row, B up to the rounded n, and C writable over the whole tiles. Padding may
/// hold anything finite.
inline constexpr int64_t kTileRows = 4;
inline constexpr int64_t kTileColumns = 16;

inline int64_t padded(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

/// C[i][j] += sign * sum_p A[p][i] * B[p][j] for i < m, j < n, p < k; sums over p in ascending order, in the type of
/// the matrices. Row strides are in elements.
void add_transposed_product(float sign, int64_t m, int64_t n, int64_t k, const float* a, int64_t lda, const float* b,
                            int64_t ldb, float* c, int64_t ldc);
void add_transposed_product(double sign, int64_t m, int64_t n, int64_t k, const double* a, int64_t lda, const double* b,
                            int64_t ldb, double* c, int64_t ldc);

}  // namespace lowbit
