#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include "lowbit/eval/bootstrap.h"
#include "lowbit/eval/metrics.h"

namespace lowbit {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// Scores as [batch, columns]; one column: binary.
struct ScoreTable {
  Tensor floats;
  int64_t batch = 0, columns = 0;

  explicit ScoreTable(const Tensor& scores) : floats(to_float32(scores)) {
    int64_t wide = 0;
    for (size_t axis = 1; axis < scores.dims().size(); ++axis) wide += scores.dims()[axis] != 1;
    if (scores.rank() == 0 || scores.dim(0) < 1 || scores.count() == 0 || wide > 1)
      throw Error(ErrorCode::bad_argument,
                  fmt::format("an output of shape {} is not the scores of a classifier (expected batch x classes)",
                              dims_text(scores.dims())));
    batch = scores.dim(0);
    columns = scores.count() / batch;
  }

  int64_t classes() const { return std::max<int64_t>(columns, 2); }

  std::span<const float> row(int64_t sample) const {
    return floats.values<float>().subspan(static_cast<size_t>(sample * columns), static_cast<size_t>(columns));
  }

  int64_t prediction(int64_t sample) const {
    const std::span<const float> scores = row(sample);
    if (std::any_of(scores.begin(), scores.end(), [](float s) { return std::isnan(s); })) return kNoPrediction;
    if (columns == 1) return scores[0] > 0.5f ? 1 : 0;
    return std::max_element(scores.begin(), scores.end()) - scores.begin();
  }

  /// Number of classes that stand before `label`.
  int64_t rank_of(int64_t sample, int64_t label) const {
    const std::span<const float> scores = row(sample);
    const float own = scores[static_cast<size_t>(label)];
    int64_t before = 0;
    for (int64_t c = 0; c < columns; ++c) {
      const float score = scores[static_cast<size_t>(c)];
      before += score > own || (score == own && c < label);
    }
    return before;
  }

  double positive(int64_t sample) const {
    const std::span<const float> scores = row(sample);
    if (columns == 1) return scores[0];
    return static_cast<double>(scores[1]) - static_cast<double>(scores[0]);
  }
};

Metric share(int64_t successes, int64_t n) {
  return {static_cast<double>(successes) / static_cast<double>(n), wilson(successes, n)};
}

/// Macro precision, recall and f1 of samples that count `times` each.
std::vector<double> macro_averages(std::span<const int64_t> labels, std::span<const int64_t> predictions,
                                   int64_t classes, const std::vector<int32_t>& times) {
  std::vector<double> right(static_cast<size_t>(classes)), labelled = right, predicted = right;
  for (size_t i = 0; i < labels.size(); ++i) {
    labelled[static_cast<size_t>(labels[i])] += times[i];
    if (predictions[i] == kNoPrediction) continue;
    predicted[static_cast<size_t>(predictions[i])] += times[i];
    if (predictions[i] == labels[i]) right[static_cast<size_t>(labels[i])] += times[i];
  }
  double precision = 0, recall = 0, f1 = 0, occurring = 0;
  for (size_t c = 0; c < right.size(); ++c) {
    if (labelled[c] + predicted[c] == 0) continue;
    ++occurring;
    precision += predicted[c] > 0 ? right[c] / predicted[c] : 0;
    recall += labelled[c] > 0 ? right[c] / labelled[c] : 0;
    f1 += 2 * right[c] / (labelled[c] + predicted[c]);
  }
  return {precision / occurring, recall / occurring, f1 / occurring};
}

/// Area under the ROC curve of samples that count `times` each; `order` sorts them by score. NaN unless both classes
/// occur.
double area_under_curve(std::span<const int64_t> labels, std::span<const double> scores, std::span<const size_t> order,
                        const std::vector<int32_t>& times) {
  double negatives = 0, positives = 0, area = 0;
  for (size_t begin = 0; begin < order.size();) {
    double tied_negatives = 0, tied_positives = 0;
    size_t end = begin;
    for (; end < order.size() && scores[order[end]] == scores[order[begin]]; ++end)
      (labels[order[end]] == 1 ? tied_positives : tied_negatives) += times[order[end]];
    area += tied_positives * (negatives + tied_negatives / 2);
    negatives += tied_negatives;
    positives += tied_positives;
    begin = end;
  }
  return negatives == 0 || positives == 0 ? kNan : area / (negatives * positives);
}

}  // namespace

std::vector<int64_t> predicted_classes(const Tensor& scores) {
  const ScoreTable table(scores);
  std::vector<int64_t> classes;
  for (int64_t sample = 0; sample < table.batch; ++sample) classes.push_back(table.prediction(sample));
  return classes;
}

void ClassificationScores::add(const Tensor& scores, std::span<const int64_t> labels) {
  const ScoreTable table(scores);
  if (table.batch != static_cast<int64_t>(labels.size()))
    throw Error(ErrorCode::bad_argument,
                fmt::format("an output of shape {} does not fit {} labels", dims_text(scores.dims()), labels.size()));
  if (classes_ != 0 && classes_ != table.classes())
    throw Error(ErrorCode::bad_argument,
                fmt::format("scores of {} classes follow scores of {} classes", table.classes(), classes_));
  classes_ = table.classes();
  for (int64_t sample = 0; sample < table.batch; ++sample) {
    const int64_t label = labels[static_cast<size_t>(sample)];
    if (label < 0 || label >= classes_)
      throw Error(ErrorCode::bad_file,
                  fmt::format("sample {} has the label {}, but the model has {} classes (use the labels that the model "
                              "was trained with, e.g. by --classes FILE)",
                              samples(), label, classes_));
    const int64_t prediction = table.prediction(sample);
    const bool valid = prediction != kNoPrediction;
    labels_.push_back(label);
    predictions_.push_back(prediction);
    if (classes_ > 5) in_top5_.push_back(valid && table.rank_of(sample, label) < 5);
    if (classes_ == 2) positive_score_.push_back(valid ? table.positive(sample) : kNan);
  }
}

int64_t ClassificationScores::invalid_samples() const {
  return std::count(predictions_.begin(), predictions_.end(), kNoPrediction);
}

std::vector<uint8_t> ClassificationScores::correct() const {
  std::vector<uint8_t> result;
  for (size_t i = 0; i < labels_.size(); ++i) result.push_back(predictions_[i] == labels_[i]);
  return result;
}

std::map<std::string, Metric> ClassificationScores::metrics() const {
  if (labels_.empty()) return {};
  const int64_t n = samples();
  const std::vector<uint8_t> right = correct();
  std::map<std::string, Metric> result;
  result["accuracy"] = share(std::count(right.begin(), right.end(), 1), n);
  if (classes_ > 5) result["top5"] = share(std::count(in_top5_.begin(), in_top5_.end(), 1), n);
  std::vector<size_t> order;  // by score; without NaN
  for (size_t i = 0; i < positive_score_.size(); ++i)
    if (!std::isnan(positive_score_[i])) order.push_back(i);
  std::sort(order.begin(), order.end(), [this](size_t a, size_t b) { return positive_score_[a] < positive_score_[b]; });
  const auto statistics = [&](const std::vector<int32_t>& times) {
    std::vector<double> values = macro_averages(labels_, predictions_, classes_, times);
    values.push_back(area_under_curve(labels_, positive_score_, order, times));
    return values;
  };
  const char* names[] = {"precision", "recall", "f1", "auc"};
  const std::vector<double> values = statistics(std::vector<int32_t>(labels_.size(), 1));
  const std::vector<Interval> intervals = bootstrap(n, values.size(), statistics);
  for (size_t k = 0; k < values.size(); ++k)
    if (!std::isnan(values[k])) result[names[k]] = {values[k], intervals[k]};
  return result;
}

std::vector<std::vector<int64_t>> ClassificationScores::confusion() const {
  const size_t classes = static_cast<size_t>(classes_);
  std::vector<std::vector<int64_t>> counts(classes, std::vector<int64_t>(classes));
  for (size_t i = 0; i < labels_.size(); ++i)
    if (predictions_[i] != kNoPrediction)
      ++counts[static_cast<size_t>(labels_[i])][static_cast<size_t>(predictions_[i])];
  return counts;
}

}  // namespace lowbit
