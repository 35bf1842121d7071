// metrics.h: classification and regression metrics with 95 % intervals, from per-sample results.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "lowbit/core/measurements.h"
#include "lowbit/core/tensor.h"

namespace lowbit {

/// Collects predictions of a classifier sample by sample (scores: any monotone ones).
class ClassificationScores {
 public:
  /// scores [batch, classes] (other dimensions of size 1 are ignored; a [batch] or [batch, 1] output is a binary score with threshold 0.5).
  void add(const Tensor& scores, std::span<const int64_t> labels);
  int64_t samples() const;
  const std::vector<int64_t>& predictions() const;
  /// accuracy, top5 (if > 5 classes), precision, recall, f1 (macro), auc (two classes); with intervals: Wilson for shares, seeded bootstrap
  /// (2,000 resamples) for the others.
  std::map<std::string, Metric> metrics() const;
  /// [true][predicted] counts.
  std::vector<std::vector<int64_t>> confusion() const;

 private:
  std::vector<int64_t> predictions_, labels_;
  std::vector<uint8_t> in_top5_;
  std::vector<float> positive_score_;
  int64_t classes_ = 0;
};

/// Wilson score interval of k successes in n.
Interval wilson(int64_t successes, int64_t n);
/// McNemar's exact test (two-sided p) and the 95 % interval of the difference in accuracy of two models on the same samples.
struct PairedComparison {
  double difference = 0, p_value = 1;
  Interval ci95;
};
PairedComparison compare_paired(std::span<const uint8_t> correct_a, std::span<const uint8_t> correct_b);

/// Streaming comparison of a tensor with its reference.
class ErrorAccumulator {
 public:
  void add(const Tensor& reference, const Tensor& other);
  TensorError result() const;

 private:
  double signal_ = 0, noise_ = 0, dot_ = 0, other_ = 0, max_abs_ = 0;
  int64_t count_ = 0;
};

}  // namespace lowbit
