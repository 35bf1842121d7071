#include "lowbit/methods/metric_rounding.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "lowbit/methods/matrix_kernels.h"

namespace lowbit {
namespace {

constexpr int64_t kColumnBlock = 64;            ///< columns whose errors are passed on together
constexpr int64_t kRowsPerTask = kTileColumns;  ///< rows of the matrix, which are columns here

Matrix with_rows_in_order(const Matrix& a, const std::vector<int64_t>& order) {
  Matrix result(a.rows(), a.columns());
  for (int64_t i = 0; i < a.rows(); ++i) std::copy_n(a.row(order[static_cast<size_t>(i)]), a.columns(), result.row(i));
  return result;
}

Matrix difference(const Matrix& a, const Matrix& b) {
  Matrix result(a.rows(), a.columns());
  for (int64_t i = 0; i < a.rows(); ++i)
    for (int64_t j = 0; j < a.columns(); ++j) result.at(i, j) = a.at(i, j) - b.at(i, j);
  return result;
}

/// Per column j: sum_i a_ij b_ij.
std::vector<double> column_products(const Matrix& a, const Matrix& b) {
  std::vector<double> sums(static_cast<size_t>(a.columns()), 0.0);
  for (int64_t i = 0; i < a.rows(); ++i)
    for (int64_t j = 0; j < a.columns(); ++j) sums[static_cast<size_t>(j)] += a.at(i, j) * b.at(i, j);
  return sums;
}

}  // namespace

MetricRounder::MetricRounder(Matrix h, bool ordered, ThreadPool& threads) : h_(std::move(h)), threads_(threads) {
  order_.resize(static_cast<size_t>(h_.rows()));
  std::iota(order_.begin(), order_.end(), int64_t{0});
  if (ordered)
    std::stable_sort(order_.begin(), order_.end(), [&](int64_t a, int64_t b) { return h_.at(a, a) > h_.at(b, b); });
  Matrix arranged(h_.rows(), h_.rows());
  for (int64_t i = 0; i < h_.rows(); ++i)
    for (int64_t j = 0; j < h_.rows(); ++j)
      arranged.at(i, j) = h_.at(order_[static_cast<size_t>(i)], order_[static_cast<size_t>(j)]);
  usable_ = factor_upper(arranged, r_, threads_);
}

Matrix MetricRounder::solve(const Matrix& bt) const {
  Matrix arranged = with_rows_in_order(bt, order_);
  solve_factored(r_, arranged, threads_);
  Matrix result(bt.rows(), bt.columns());
  for (int64_t i = 0; i < bt.rows(); ++i)
    std::copy_n(arranged.row(i), bt.columns(), result.row(order_[static_cast<size_t>(i)]));
  return result;
}

RoundedMatrix MetricRounder::round(const Matrix& target, const WeightGrid& grid, const GroupOf& group) const {
  const int64_t columns = target.rows(), rows = target.columns();
  RoundedMatrix result{Matrix(columns, rows), std::vector<double>(static_cast<size_t>(rows), 0.0)};
  threads_.parallel_blocks(rows, kRowsPerTask, [&](int64_t first, int64_t last) {
    const int64_t width = last - first;
    Matrix carried(columns, kRowsPerTask);  // sum_{j<i} R_ji e_j
    for (int64_t at = 0; at < columns; at += kColumnBlock) {
      const int64_t end = std::min(columns, at + kColumnBlock);
      Matrix errors(end - at, kRowsPerTask);
      for (int64_t i = at; i < end; ++i) {
        const int64_t column = order_[static_cast<size_t>(i)];
        const double* r = r_.row(i);
        double* e = errors.row(i - at);
        for (int64_t k = 0; k < width; ++k) {
          const double want = target.at(column, first + k), carry = carried.at(i, k);
          const float level = grid.nearest(group(first + k, column), want + carry / r[i]);
          result.levels.at(column, first + k) = static_cast<double>(level);
          e[k] = want - static_cast<double>(level);
          const double term = r[i] * e[k] + carry;
          result.error[static_cast<size_t>(first + k)] += term * term;
        }
        for (int64_t j = i + 1; j < end; ++j) {
          double* to = carried.row(j);
          for (int64_t k = 0; k < kRowsPerTask; ++k) to[k] += r[j] * e[k];
        }
      }
      if (end < columns)
        add_transposed_product(1.0, columns - end, kRowsPerTask, end - at, r_.row(at) + end, r_.stride(), errors.row(0),
                               errors.stride(), carried.row(end), carried.stride());
    }
  });
  return result;
}

void MetricRounder::descend(const Matrix& target, const WeightGrid& grid, const GroupOf& group, int sweeps,
                            RoundedMatrix& rounded) const {
  const int64_t columns = target.rows(), rows = target.columns();
  // Column r of `gradient` is H (w - q) of row r.
  const Matrix gradient = transposed_product(h_, difference(target, rounded.levels), threads_);
  threads_.parallel_for(rows, [&](int64_t row) {
    std::vector<double> g(static_cast<size_t>(columns));
    for (int64_t i = 0; i < columns; ++i) g[static_cast<size_t>(i)] = gradient.at(i, row);
    for (int sweep = 0; sweep < sweeps; ++sweep) {
      bool moved = false;
      for (int64_t i : order_) {
        const double now = rounded.levels.at(i, row), curvature = h_.at(i, i);
        const auto best = static_cast<double>(grid.nearest(group(row, i), now + g[static_cast<size_t>(i)] / curvature));
        const double step = best - now;
        // The change of the error is step^2 H_ii - 2 step g_i; equal errors do not move, so that sweeps end.
        if (step == 0 || !(step * step * curvature - 2 * step * g[static_cast<size_t>(i)] < 0)) continue;
        const double* h = h_.row(i);
        for (int64_t j = 0; j < columns; ++j) g[static_cast<size_t>(j)] -= step * h[j];
        rounded.levels.at(i, row) = best;
        moved = true;
      }
      if (!moved) break;
    }
  });
  rounded.error = errors(target, rounded.levels);
}

std::vector<double> MetricRounder::best_scaling(const Matrix& target, const Matrix& levels) const {
  const Matrix weighted = transposed_product(h_, levels, threads_);
  std::vector<double> scaling = column_products(weighted, target);
  const std::vector<double> squares = column_products(weighted, levels);
  for (size_t r = 0; r < scaling.size(); ++r) scaling[r] = squares[r] > 0 ? scaling[r] / squares[r] : 1.0;
  return scaling;
}

std::vector<double> MetricRounder::errors(const Matrix& target, const Matrix& levels) const {
  const Matrix error = difference(target, levels);
  return column_products(transposed_product(h_, error, threads_), error);
}

}  // namespace lowbit
