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

constexpr double kStretch = 0.1;  ///< the sigmoid reaches from -0.1 to 1.1 and is cut to [0, 1], as in AdaRound
constexpr double kPull = 0.1;     ///< weight of the regularizer beside an error of 1 for each rounding
constexpr double kRate = 0.02;    ///< of Adam

/// The rectified sigmoid and its derivative.
struct Rectified {
  double value, slope;
  explicit Rectified(double v) {
    const double sigmoid = 1 / (1 + std::exp(-v)), stretched = sigmoid * (1 + 2 * kStretch) - kStretch;
    value = std::clamp(stretched, 0.0, 1.0);
    slope = stretched > 0 && stretched < 1 ? sigmoid * (1 - sigmoid) * (1 + 2 * kStretch) : 0.0;
  }
};

/// Kingma and Ba, ICLR 2015, arXiv:1412.6980.
double adam_step(double slope, int step, double& first, double& second) {
  first = 0.9 * first + 0.1 * slope;
  second = 0.999 * second + 0.001 * slope * slope;
  const double mean = first / (1 - std::pow(0.9, step)), square = second / (1 - std::pow(0.999, step));
  return kRate * mean / (std::sqrt(square) + 1e-8);
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

RoundedMatrix MetricRounder::learn(const Matrix& target, const WeightGrid& grid, const GroupOf& group,
                                   int steps) const {
  const int64_t columns = target.rows(), rows = target.columns();
  // soft = below + h(v) * gap.
  Matrix below(columns, rows), gap(columns, rows), v(columns, rows), soft(columns, rows);
  Matrix first(columns, rows), second(columns, rows);  // Adam's moments
  std::vector<double> noise(static_cast<size_t>(rows), 0.0);
  for (int64_t i = 0; i < columns; ++i)
    for (int64_t r = 0; r < rows; ++r) {
      const auto [low, high] = grid.around(group(r, i), target.at(i, r));
      below.at(i, r) = static_cast<double>(low);
      gap.at(i, r) = static_cast<double>(high) - static_cast<double>(low);
      noise[static_cast<size_t>(r)] += h_.at(i, i) * gap.at(i, r) * gap.at(i, r) / static_cast<double>(12 * columns);
      const double share = gap.at(i, r) > 0 ? (target.at(i, r) - below.at(i, r)) / gap.at(i, r) : 0.0;
      const double sigmoid = (std::clamp(share, 0.01, 0.99) + kStretch) / (1 + 2 * kStretch);
      v.at(i, r) = std::log(sigmoid / (1 - sigmoid));
    }
  const double warm_up = 0.2 * steps;
  for (int step = 0; step < steps; ++step) {
    const double done = std::max(0.0, (step - warm_up) / std::max(1.0, steps - warm_up));
    const double power = 20 - 18 * done, pull = step < warm_up ? 0.0 : kPull;
    for (int64_t i = 0; i < columns; ++i)
      for (int64_t r = 0; r < rows; ++r) soft.at(i, r) = below.at(i, r) + gap.at(i, r) * Rectified(v.at(i, r)).value;
    const Matrix pressed = transposed_product(h_, difference(target, soft), threads_);
    threads_.parallel_blocks(columns, kTileColumns, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        for (int64_t r = 0; r < rows; ++r) {
          const double scale = noise[static_cast<size_t>(r)];
          if (gap.at(i, r) == 0 || !(scale > 0)) continue;
          const Rectified h(v.at(i, r));
          const double middle = 2 * h.value - 1;
          double slope = -2 * pressed.at(i, r) * gap.at(i, r) / scale;
          slope -= pull * 2 * power * std::pow(std::abs(middle), power - 1) * (middle < 0 ? -1 : 1);
          v.at(i, r) -= adam_step(slope * h.slope, step + 1, first.at(i, r), second.at(i, r));
        }
    });
  }
  for (int64_t i = 0; i < columns; ++i)
    for (int64_t r = 0; r < rows; ++r)
      soft.at(i, r) = static_cast<double>(
          static_cast<float>(below.at(i, r) + (Rectified(v.at(i, r)).value >= 0.5 ? gap.at(i, r) : 0.0)));
  std::vector<double> error = errors(target, soft);
  return {std::move(soft), std::move(error)};
}

}  // namespace lowbit
