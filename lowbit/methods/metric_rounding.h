// metric_rounding.h: rounding the rows of a weight matrix so that the error of the layer's result is small, not that of
// the weights: minimise (w - q)^T H (w - q) over the levels q of each element, for a symmetric positive definite H.
// With H = R R^T, R upper triangular, the error is sum_i (R_ii e_i + sum_{j<i} R_ji e_j)^2, e = w - q, and choosing
// q_0, q_1 ... in turn so that each term is as small as it can be is the column update of GPTQ (Frantar et al., ICLR
// 2023, arXiv:2210.17323), which is Babai's nearest plane method (Chen et al., arXiv:2507.18553).
#pragma once

#include <functional>
#include <vector>

#include "lowbit/methods/layer_matrix.h"
#include "lowbit/methods/weight_grid.h"

namespace lowbit {

/// The quantization group of (row, column) of a matrix.
using GroupOf = std::function<int32_t(int64_t row, int64_t column)>;

/// Levels of a matrix, transposed: [columns, rows], and the error of each row in the metric.
struct RoundedMatrix {
  Matrix levels;
  std::vector<double> error;
};

class MetricRounder {
 public:
  /// `ordered`: columns with a large H_ii first, so that the others can make up for their error.
  MetricRounder(Matrix h, bool ordered, ThreadPool& threads);
  /// False: H is not positive definite.
  bool usable() const { return usable_; }
  const Matrix& metric() const { return h_; }

  /// X = B H^-1, both transposed: [columns, rows].
  Matrix solve(const Matrix& bt) const;

  /// Column updates. target: [columns, rows].
  RoundedMatrix round(const Matrix& target, const WeightGrid& grid, const GroupOf& group) const;

  /// Coordinate descent from given levels: each element in turn moves to the level that is best with all others fixed,
  /// until none moves or `sweeps` are over. Never increases the error, which is set again.
  void descend(const Matrix& target, const WeightGrid& grid, const GroupOf& group, int sweeps,
               RoundedMatrix& rounded) const;

  /// Per row q^T H w / q^T H q: what scaling all levels of the row by makes the error least; 1 where q is 0.
  std::vector<double> best_scaling(const Matrix& target, const Matrix& levels) const;

  /// Per row (w - q)^T H (w - q).
  std::vector<double> errors(const Matrix& target, const Matrix& levels) const;

 private:
  Matrix h_, r_;
  std::vector<int64_t> order_;
  bool usable_ = false;
  ThreadPool& threads_;
};

}  // namespace lowbit
