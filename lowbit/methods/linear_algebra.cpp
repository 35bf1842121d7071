#include "lowbit/methods/linear_algebra.h"

#include <algorithm>
#include <cmath>

#include "lowbit/methods/matrix_kernels.h"

namespace lowbit {
namespace {

constexpr int64_t kBlock = 64;        ///< columns that are factored at once
constexpr int64_t kRowsPerTask = 32;  ///< of a product

/// Factors the diagonal block [at, at + size) of the lower triangle in place. False if a pivot is not positive.
bool factor_diagonal(Matrix& a, int64_t at, int64_t size) {
  for (int64_t k = at; k < at + size; ++k) {
    const double pivot = a.at(k, k);
    if (!(pivot > 0) || !std::isfinite(pivot)) return false;
    const double root = std::sqrt(pivot);
    a.at(k, k) = root;
    for (int64_t i = k + 1; i < at + size; ++i) a.at(i, k) /= root;
    for (int64_t i = k + 1; i < at + size; ++i)
      for (int64_t j = k + 1; j <= i; ++j) a.at(i, j) -= a.at(i, k) * a.at(j, k);
  }
  return true;
}

/// Cholesky factor of the lower triangle of `a`, in place: a = L L^T.
bool factor_lower(Matrix& a, ThreadPool& threads) {
  const int64_t n = a.rows();
  for (int64_t at = 0; at < n; at += kBlock) {
    const int64_t size = std::min(kBlock, n - at), rest = at + size;
    if (!factor_diagonal(a, at, size)) return false;
    threads.parallel_blocks(n - rest, kRowsPerTask, [&](int64_t begin, int64_t end) {
      for (int64_t i = rest + begin; i < rest + end; ++i)
        for (int64_t j = at; j < rest; ++j) {
          double sum = a.at(i, j);
          for (int64_t k = at; k < j; ++k) sum -= a.at(i, k) * a.at(j, k);
          a.at(i, j) = sum / a.at(j, j);
        }
    });
    if (rest >= n) break;
    // The panel transposed: row k holds column at + k of L below the block.
    Matrix panel(size, padded(n - rest, kTileColumns));
    for (int64_t k = 0; k < size; ++k)
      for (int64_t i = rest; i < n; ++i) panel.at(k, i - rest) = a.at(i, at + k);
    threads.parallel_blocks(n - rest, kRowsPerTask, [&](int64_t begin, int64_t end) {
      // Into a buffer of whole tiles: the rows of `a` end before the last tile does.
      const int64_t width = padded(end, kTileColumns), height = padded(end - begin, kTileRows);
      Matrix update(height, width);
      add_transposed_product(1.0, end - begin, end, size, panel.row(0) + begin, panel.stride(), panel.row(0),
                             panel.stride(), update.row(0), update.stride());
      for (int64_t i = begin; i < end; ++i)
        for (int64_t j = 0; j <= i; ++j) a.at(rest + i, rest + j) -= update.at(i - begin, j);
    });
  }
  return true;
}

}  // namespace

Matrix::Matrix(int64_t rows, int64_t columns)
    : rows_(rows),
      columns_(columns),
      stride_(padded(std::max<int64_t>(columns, 1), kTileColumns)),
      // Whole tiles of rows too, so that kernels may write to the last one.
      data_(static_cast<size_t>(padded(std::max<int64_t>(rows, 1), kTileRows) * stride_), 0.0) {}

bool factor_upper(const Matrix& h, Matrix& r, ThreadPool& threads) {
  const int64_t n = h.rows();
  // In reversed order of rows and columns R becomes the lower factor L.
  Matrix reversed(n, n);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j <= i; ++j) reversed.at(i, j) = h.at(n - 1 - i, n - 1 - j);
  if (!factor_lower(reversed, threads)) return false;
  r = Matrix(n, n);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j <= i; ++j) r.at(n - 1 - i, n - 1 - j) = reversed.at(i, j);
  return true;
}

void solve_factored(const Matrix& r, Matrix& bt, ThreadPool& threads) {
  const int64_t n = r.rows();
  // Columns of bt are independent systems.
  threads.parallel_blocks(bt.columns(), kTileColumns, [&](int64_t begin, int64_t end) {
    for (int64_t i = n - 1; i >= 0; --i) {  // R y = b
      const double* row = r.row(i);
      double* target = bt.row(i);
      for (int64_t j = i + 1; j < n; ++j) {
        const double factor = row[j];
        const double* known = bt.row(j);
        for (int64_t c = begin; c < end; ++c) target[c] -= factor * known[c];
      }
      for (int64_t c = begin; c < end; ++c) target[c] /= row[i];
    }
    for (int64_t i = 0; i < n; ++i) {  // R^T x = y
      const double* row = r.row(i);
      const double* known = bt.row(i);
      double* own = bt.row(i);
      for (int64_t c = begin; c < end; ++c) own[c] /= row[i];
      for (int64_t j = i + 1; j < n; ++j) {
        const double factor = row[j];
        double* target = bt.row(j);
        for (int64_t c = begin; c < end; ++c) target[c] -= factor * known[c];
      }
    }
  });
}

Matrix transposed(const Matrix& a) {
  Matrix result(a.columns(), a.rows());
  for (int64_t i = 0; i < a.rows(); ++i)
    for (int64_t j = 0; j < a.columns(); ++j) result.at(j, i) = a.at(i, j);
  return result;
}

Matrix transposed_product(const Matrix& a, const Matrix& b, ThreadPool& threads) {
  Matrix result(a.columns(), b.columns());
  threads.parallel_blocks(a.columns(), kRowsPerTask, [&](int64_t begin, int64_t end) {
    add_transposed_product(1.0, end - begin, b.columns(), a.rows(), a.row(0) + begin, a.stride(), b.row(0), b.stride(),
                           result.row(begin), result.stride());
  });
  return result;
}

}  // namespace lowbit
