#include "lowbit/api/automatic_scores.h"

#include <algorithm>
#include <cmath>

#include "lowbit/api/inference.h"
#include "lowbit/api/runner.h"
#include "lowbit/base/error.h"
#include "lowbit/eval/metrics.h"
#include "lowbit/search/sensitivity.h"

namespace lowbit {
namespace {}  // namespace

ReferenceScores::ReferenceScores(const Model& model, const DataSet& data, ThreadPool& threads)
    : data_(data), threads_(threads) {
  if (model.graph.outputs.empty()) throw Error(ErrorCode::bad_file, "the model has no output", model.source_path);
  if (data.has_labels()) {
    const int64_t step = usable_batch(model.graph, kBatchSamples);
    for (int64_t begin = 0; begin < data.size(); begin += step) {
      const Batch batch = data.read(begin, std::min(step, data.size() - begin), &threads);
      labels_.insert(labels_.end(), batch.labels.begin(), batch.labels.end());
    }
  }
  rows_ = run(model.graph, {});
  decide_measure();
}

void ReferenceScores::decide_measure() {
  const int64_t classes = std::max<int64_t>(rows_.front().dim(1), 2);
  int64_t rows = 0;
  for (const Tensor& batch : rows_) rows += batch.dim(0);
  const bool fit = static_cast<int64_t>(labels_.size()) == rows &&
                   std::all_of(labels_.begin(), labels_.end(), [&](int64_t l) { return l >= 0 && l < classes; });
  if (!labels_.empty() && !fit) {
    if (data_.labels_are_given())
      throw Error(ErrorCode::bad_file, "the labels do not fit the model's classes (check --labels and --classes)");
    note_ = "labels from folder names do not fit the model's classes and are left out";
    labels_.clear();
  }
  kind_ = search::output_kind(rows_.front(), !labels_.empty());
  measure_ = !labels_.empty()                      ? search::Measure::accuracy
             : kind_ == search::OutputKind::values ? search::Measure::output_error
                                                   : search::Measure::agreement;
  if (labels_.empty() && note_.empty())
    note_ = measure_ == search::Measure::agreement
                ? "no labels: what counts is how many samples get another class than from the float network"
                : "no labels and no classes: what counts is the error of the output";
}

std::vector<Tensor> ReferenceScores::run(const Graph& graph, const std::function<void(double share)>& progress) const {
  Inference inference(graph, threads_);
  std::vector<Tensor> rows;
  const int64_t size = data_.size(), step = usable_batch(graph, kBatchSamples);
  for (int64_t begin = 0; begin < size; begin += step) {
    const int64_t count = std::min(step, size - begin);
    const Batch batch = data_.read(begin, count, &threads_);
    rows.push_back(search::output_rows(inference.run_ordered(bind_inputs(graph, batch))[0], count));
    if (progress) progress(static_cast<double>(begin + count) / static_cast<double>(size));
  }
  return rows;
}

search::Drop ReferenceScores::compare(const Graph& graph, const std::function<void(double share)>& progress) const {
  const std::vector<Tensor> other = run(graph, progress);
  search::SampleResults results;
  size_t sample = 0;
  for (size_t b = 0; b < rows_.size(); ++b) {
    const Tensor &reference = rows_[b], &low = other[b];
    LOWBIT_CHECK(low.dims() == reference.dims());
    const auto width = static_cast<size_t>(low.dim(1));
    std::vector<int64_t> float_class, low_class;
    if (measure_ != search::Measure::output_error) {
      float_class = predicted_classes(reference);
      low_class = predicted_classes(low);
    }
    for (size_t r = 0; r < static_cast<size_t>(low.dim(0)); ++r, ++sample) {
      const auto wanted = reference.values<float>().subspan(r * width, width);
      const auto found = low.values<float>().subspan(r * width, width);
      results.divergence.push_back(search::divergence(kind_, wanted, found));
      if (measure_ == search::Measure::accuracy) {
        results.float_right.push_back(float_class[r] == labels_[sample]);
        results.low_right.push_back(low_class[r] == labels_[sample]);
      } else if (measure_ == search::Measure::agreement) {
        results.low_right.push_back(float_class[r] == low_class[r] && low_class[r] != kNoPrediction);
      } else {
        double noise = 0, signal = 0;
        for (size_t i = 0; i < width; ++i) {
          const double x = static_cast<double>(wanted[i]), d = static_cast<double>(found[i]) - x;
          noise += d * d;
          signal += x * x;
        }
        results.noise.push_back(std::isfinite(noise) ? noise : search::kWorstDivergence * (1 + signal));
        results.signal.push_back(signal);
      }
    }
  }
  return search::measure_drop(measure_, results);
}

}  // namespace lowbit
