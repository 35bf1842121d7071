// learning_data.h: calibration samples cut into small blocks in random order, with what the float network makes of
// them.
#pragma once

#include <vector>

#include "lowbit/methods/activation_store.h"
#include "lowbit/methods/method.h"

namespace lowbit {

/// A value in which loss is made: D(float, low-bit) of one block, and its derivative by the low-bit value.
class LossPoint {
 public:
  /// `classes`: the value goes into a Softmax over its last axis.
  LossPoint(ValueId value, bool classes) : value_(value), classes_(classes) {}
  ValueId value() const { return value_; }
  /// Adds a block's float values to the power that errors are divided by.
  void observe(const Tensor& wanted);
  /// Classes: Kullback-Leibler divergence of the distributions, and a tenth of the relative squared error. Otherwise
  /// the squared error divided by the variance of the float values. Means over the block; `gradient` (may be null) gets
  /// the derivative.
  double loss(const Tensor& wanted, const Tensor& made, Tensor* gradient) const;

 private:
  double add_squares(const Tensor& wanted, const Tensor& made, double weight, Tensor* gradient) const;
  double add_divergence(const Tensor& wanted, const Tensor& made, Tensor* gradient) const;
  ValueId value_;
  bool classes_;
  double sum_ = 0, squares_ = 0, count_ = 0;
};

class LearningData {
 public:
  static constexpr int64_t kBlock = 8;  ///< samples

  /// Reads all of `context.batches` and runs the float network on them once, keeping what the loss points want.
  LearningData(const MethodContext& context, std::vector<LossPoint>& points);

  int64_t blocks() const { return blocks_; }
  /// By position in the graph's inputs.
  std::vector<Tensor> inputs(int64_t block) const;
  Tensor wanted(int64_t block, ValueId value) const { return store_.get(block, value); }

 private:
  void cut(const std::vector<std::vector<Tensor>>& chunks, const std::vector<int64_t>& samples, uint64_t seed);
  void run_float(const MethodContext& context, std::vector<LossPoint>& points);
  const Graph& graph_;
  ActivationStore store_;
  int64_t blocks_ = 0;
};

}  // namespace lowbit
