// linear_algebra.h: symmetric positive definite systems in double precision, for the second-order methods. All results
// are the same for every number of threads: work is cut into blocks of fixed size.
#pragma once

#include <cstdint>
#include <vector>

#include "lowbit/base/threads.h"

namespace lowbit {

/// A row-major matrix whose rows are padded for the kernels; padding holds zeros.
class Matrix {
 public:
  Matrix() = default;
  Matrix(int64_t rows, int64_t columns);
  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  int64_t stride() const { return stride_; }
  double* row(int64_t i) { return data_.data() + i * stride_; }
  const double* row(int64_t i) const { return data_.data() + i * stride_; }
  double& at(int64_t i, int64_t j) { return row(i)[j]; }
  double at(int64_t i, int64_t j) const { return row(i)[j]; }

 private:
  int64_t rows_ = 0, columns_ = 0, stride_ = 0;
  std::vector<double> data_;
};

/// The factor R, upper triangular with a positive diagonal, of H = R R^T (not R^T R): with e = w - q the error
/// e^T H e = sum_i (R_ii e_i + sum_{j<i} R_ji e_j)^2 is a sum in which term i depends on e_0 ... e_i only, which is
/// what rounding one element after the other needs. `h`: symmetric, both halves set. Returns false, without a usable
/// result, if h is not positive definite in double precision.
bool factor_upper(const Matrix& h, Matrix& r, ThreadPool& threads);

/// Solves X H = B for X, given H = R R^T. `bt`: B transposed (columns of B as rows), replaced by X transposed.
void solve_factored(const Matrix& r, Matrix& bt, ThreadPool& threads);

/// The transpose.
Matrix transposed(const Matrix& a);

/// A^T B. Dimensions: a [k, m], b [k, n].
Matrix transposed_product(const Matrix& a, const Matrix& b, ThreadPool& threads);

}  // namespace lowbit
