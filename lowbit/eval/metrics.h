// metrics.h: classification and regression metrics with 95 % intervals, from per-sample results. Shares have Wilson's
// score interval; everything else a percentile bootstrap with a fixed seed, so that the same results give the same
// intervals.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "lowbit/core/measurements.h"
#include "lowbit/core/tensor.h"

namespace lowbit {

/// The class of each sample of scores [batch, classes] (other dimensions of size 1 are ignored): that of the largest
/// score, of equal ones the lowest; kNoPrediction if any score of the sample is NaN. Scores [batch] or [batch, 1] are
/// binary: class 1 above 0.5. Throws Error{bad_argument} for another shape.
std::vector<int64_t> predicted_classes(const Tensor& scores);
inline constexpr int64_t kNoPrediction = -1;

/// Collects predictions of a classifier sample by sample (scores: any monotone ones).
class ClassificationScores {
 public:
  /// Scores as in predicted_classes(), one label per sample; all batches must have the same number of classes.
  /// Throws Error{bad_argument} if numbers differ, Error{bad_file} for a label that is no class of the scores.
  void add(const Tensor& scores, std::span<const int64_t> labels);
  int64_t samples() const { return static_cast<int64_t>(labels_.size()); }
  int64_t classes() const { return classes_; }
  const std::vector<int64_t>& predictions() const { return predictions_; }
  /// Samples whose scores had NaN: they count as wrong everywhere.
  int64_t invalid_samples() const;
  /// 1 where the prediction equals the label.
  std::vector<uint8_t> correct() const;
  /// accuracy; top5 (if there are more than 5 classes; equal scores rank by class number); precision, recall, f1: means
  /// over the classes that occur as label or prediction, 0 where undefined (scikit-learn's macro averages); auc (two
  /// classes that both occur; area under the ROC curve, ties count half; samples with NaN left out). Empty without
  /// samples.
  std::map<std::string, Metric> metrics() const;
  /// [true][predicted] counts; samples without a prediction are in none.
  std::vector<std::vector<int64_t>> confusion() const;

 private:
  std::vector<int64_t> predictions_, labels_;
  std::vector<uint8_t> in_top5_;
  std::vector<double> positive_score_;  ///< two classes: score of class 1 minus that of class 0
  int64_t classes_ = 0;
};

/// Collects errors of a regression.
class RegressionScores {
 public:
  /// Outputs and targets of the same count, first dimension = batch. Throws Error{bad_argument} if they differ.
  void add(const Tensor& outputs, const Tensor& targets);
  int64_t samples() const { return static_cast<int64_t>(squared_.size()); }
  /// mse, mae (means over samples and elements) and max_error (its interval is the value itself). NaN outputs make them
  /// NaN. Empty without samples.
  std::map<std::string, Metric> metrics() const;

 private:
  std::vector<double> squared_, absolute_;  ///< mean per sample
  double max_ = 0;
};

/// Wilson score interval of k successes in n; [0, 1] for n = 0. E. B. Wilson, JASA 22 (1927), 209-212.
Interval wilson(int64_t successes, int64_t n);

/// McNemar's exact test (two-sided p) and the 95 % interval of the difference in accuracy, a minus b, of two models on
/// the same samples: Newcombe's square-and-add interval for paired shares with his correction of phi (R. G. Newcombe,
/// Statistics in Medicine 17 (1998), 2635-2650, method 10). Throws Error{bad_argument} if the numbers differ.
struct PairedComparison {
  double difference = 0, p_value = 1;
  Interval ci95;
};
PairedComparison compare_paired(std::span<const uint8_t> correct_a, std::span<const uint8_t> correct_b);

/// Share of samples for which two lists of predictions agree, with Wilson's interval; a sample without a prediction
/// agrees with nothing. Throws Error{bad_argument} if the numbers differ.
Metric agreement(std::span<const int64_t> predictions_a, std::span<const int64_t> predictions_b);

/// Streaming comparison of a tensor with its reference.
class ErrorAccumulator {
 public:
  /// Throws Error{bad_argument} if the counts differ.
  void add(const Tensor& reference, const Tensor& other);
  /// sqnr_db = 10 log10(sum r^2 / sum (r - o)^2): +inf if equal, -inf if only the reference is 0; cosine = r.o /
  /// |r||o|: 1 if both are 0, 0 if one is; mse, max_abs. NaN in either makes all NaN. clipped_share is left at 0.
  TensorError result() const;

 private:
  double signal_ = 0, noise_ = 0, dot_ = 0, other_ = 0, max_abs_ = 0;
  int64_t count_ = 0;
};

}  // namespace lowbit
