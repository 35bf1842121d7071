#include "lowbit/api/shifted.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "lowbit/api/inference.h"
#include "lowbit/api/runner.h"
#include "lowbit/base/text.h"
#include "lowbit/eval/bootstrap.h"
#include "lowbit/eval/metrics.h"

namespace lowbit {
namespace {

/// What one model made of every sample of one data set.
struct Decisions {
  std::vector<int64_t> classes;
  std::vector<uint8_t> correct;  ///< empty without labels
  ErrorAccumulator error;        ///< against the reference
};

/// Sums over several data sets of the same samples, for means with an interval.
struct SampleSums {
  std::vector<double> reference, low_bit, agreement;
  double decibels = 0;
  int64_t sets = 0;
};

Metric share(std::span<const uint8_t> hits) {
  const auto count = static_cast<int64_t>(std::count(hits.begin(), hits.end(), 1));
  const auto n = static_cast<int64_t>(hits.size());
  return {static_cast<double>(count) / static_cast<double>(std::max<int64_t>(1, n)), wilson(count, n)};
}

Tensor rows_of(const Tensor& output, int64_t samples) {
  const bool batched = output.rank() > 0 && output.dim(0) == samples;
  const int64_t rows = batched ? samples : 1;
  return to_float32(output).reshaped({rows, rows > 0 ? output.count() / rows : 0});
}

class Evaluation {
 public:
  Evaluation(const std::vector<NamedModel>& models, const OpenData& open, ThreadPool& threads,
             const ShiftedOptions& options)
      : models_(models), open_(open), threads_(threads), options_(options) {
    for (const NamedModel& named : models) {
      if (named.model->graph.outputs.empty()) throw Error(ErrorCode::bad_file, "the model has no output", named.file);
      runs_.push_back(std::make_unique<Inference>(named.model->graph, threads));
      step_ = std::min(step_, usable_batch(named.model->graph, kBatchSamples));
    }
    total_ = 1 + static_cast<double>(options.kinds.size() * options.strengths.size());
  }

  std::vector<ShiftedEvaluation> run() {
    std::vector<ShiftedEvaluation> results(models_.size() - 1);
    std::vector<SampleSums> overall(results.size());
    const std::vector<Decisions> clean = decide(std::nullopt);
    for (size_t m = 0; m < results.size(); ++m) {
      results[m].reference_file = models_[0].file;
      results[m].file = models_[m + 1].file;
      results[m].samples = static_cast<int64_t>(clean[0].classes.size());
      results[m].clean = row_of("clean", 0, clean[0], clean[m + 1]);
    }
    for (const Corruption* kind : options_.kinds) {
      std::vector<SampleSums> sums(results.size());
      for (const int strength : options_.strengths) {
        const std::vector<Decisions> decisions = decide(CorruptionChoice{kind, strength, options_.seed});
        for (size_t m = 0; m < results.size(); ++m) {
          results[m].cells.push_back(row_of(std::string(kind->name), strength, decisions[0], decisions[m + 1]));
          add(sums[m], decisions[0], decisions[m + 1]);
          add(overall[m], decisions[0], decisions[m + 1]);
        }
      }
      for (size_t m = 0; m < results.size(); ++m)
        results[m].kinds.push_back(mean_row(std::string(kind->name), sums[m]));
    }
    for (size_t m = 0; m < results.size(); ++m) results[m].overall = mean_row("all", overall[m]);
    return results;
  }

 private:
  std::vector<Decisions> decide(std::optional<CorruptionChoice> choice) {
    const std::unique_ptr<DataSet> data = open_(choice);
    std::vector<Decisions> decisions(models_.size());
    const int64_t size = data->size();
    bool labelled = data->has_labels();
    for (int64_t begin = 0; begin < size; begin += step_) {
      const int64_t count = std::min(step_, size - begin);
      const Batch batch = data->read(begin, count, &threads_);
      std::optional<Tensor> reference;
      for (size_t m = 0; m < models_.size(); ++m) {
        const Tensor rows = rows_of(runs_[m]->run_ordered(bind_inputs(models_[m].model->graph, batch))[0], count);
        if (!reference) reference = rows;
        labelled = labelled && static_cast<int64_t>(batch.labels.size()) == rows.dim(0) && labels_fit(batch, rows);
        const std::vector<int64_t> classes = predicted_classes(rows);
        for (size_t i = 0; i < classes.size(); ++i) {
          decisions[m].classes.push_back(classes[i]);
          if (labelled) decisions[m].correct.push_back(classes[i] == batch.labels[i]);
        }
        if (m > 0) decisions[m].error.add(*reference, rows);
      }
      if (options_.progress)
        options_.progress((done_ + static_cast<double>(begin + count) / static_cast<double>(size)) / total_);
    }
    done_ += 1;
    if (!labelled)
      for (Decisions& model : decisions) model.correct.clear();
    return decisions;
  }

  /// Folders of another task's classes are still pictures to compare models on.
  static bool labels_fit(const Batch& batch, const Tensor& rows) {
    const int64_t classes = std::max<int64_t>(2, rows.dim(1));
    return std::all_of(batch.labels.begin(), batch.labels.end(),
                       [&](int64_t label) { return label >= 0 && label < classes; });
  }

  static ShiftedRow row_of(std::string name, int strength, const Decisions& reference, const Decisions& other) {
    ShiftedRow row;
    row.corruption = std::move(name);
    row.strength = strength;
    row.agreement = agreement(reference.classes, other.classes);
    row.sqnr_db = other.error.result().sqnr_db;
    if (reference.correct.empty()) return row;
    row.reference = share(reference.correct);
    row.low_bit = share(other.correct);
    const PairedComparison paired = compare_paired(other.correct, reference.correct);
    row.difference = Metric{paired.difference, paired.ci95};
    return row;
  }

  static void add(SampleSums& sums, const Decisions& reference, const Decisions& other) {
    const size_t n = reference.classes.size();
    sums.agreement.resize(n, 0);
    if (!reference.correct.empty()) sums.reference.resize(n, 0), sums.low_bit.resize(n, 0);
    for (size_t i = 0; i < n; ++i) {
      sums.agreement[i] += reference.classes[i] == other.classes[i] && reference.classes[i] != kNoPrediction;
      if (reference.correct.empty()) continue;
      sums.reference[i] += reference.correct[i];
      sums.low_bit[i] += other.correct[i];
    }
    sums.decibels += other.error.result().sqnr_db;
    ++sums.sets;
  }

  static ShiftedRow mean_row(std::string name, const SampleSums& sums) {
    ShiftedRow row;
    row.corruption = std::move(name);
    const size_t n = sums.agreement.size();
    if (n == 0 || sums.sets == 0) return row;
    const bool labelled = !sums.reference.empty();
    const double sets = static_cast<double>(sums.sets);
    const auto means = [&](auto times) {
      double reference = 0, low_bit = 0, agree = 0, count = 0;
      for (size_t i = 0; i < n; ++i) {
        const double weight = times(i);
        count += weight;
        agree += weight * sums.agreement[i];
        if (!labelled) continue;
        reference += weight * sums.reference[i];
        low_bit += weight * sums.low_bit[i];
      }
      count *= sets;
      return std::vector<double>{reference / count, low_bit / count, (low_bit - reference) / count, agree / count};
    };
    const std::vector<double> values = means([](size_t) { return 1.0; });
    const std::vector<Interval> intervals =
        bootstrap(static_cast<int64_t>(n), values.size(), [&](const std::vector<int32_t>& times) {
          return means([&](size_t i) { return static_cast<double>(times[i]); });
        });
    row.agreement = {values[3], intervals[3]};
    row.sqnr_db = sums.decibels / sets;
    if (!labelled) return row;
    row.reference = Metric{values[0], intervals[0]};
    row.low_bit = Metric{values[1], intervals[1]};
    row.difference = Metric{values[2], intervals[2]};
    return row;
  }

  const std::vector<NamedModel>& models_;
  const OpenData& open_;
  ThreadPool& threads_;
  const ShiftedOptions& options_;
  std::vector<std::unique_ptr<Inference>> runs_;
  int64_t step_ = kBatchSamples;
  double total_ = 1, done_ = 0;
};

}  // namespace

std::vector<ShiftedEvaluation> evaluate_shifted(const std::vector<NamedModel>& models, const OpenData& open,
                                                ThreadPool& threads, const ShiftedOptions& options) {
  if (models.size() < 2)
    throw Error(ErrorCode::bad_argument, "needs a float and at least one low-bit model (eval FLOAT LOWBIT ...)",
                "--corruptions");
  return Evaluation(models, open, threads, options).run();
}

std::vector<const Corruption*> parse_corruptions(const std::string& text, bool pictures) {
  std::vector<const Corruption*> kinds;
  if (text == "all") {
    for (const Corruption& kind : corruption_table())
      if (pictures ? kind.picture != nullptr : kind.signal != nullptr) kinds.push_back(&kind);
    return kinds;
  }
  for (const std::string& name : split(text, ',')) {
    const Corruption& kind = find_corruption(trim(name));
    if (pictures ? !kind.picture : !kind.signal)
      throw Error(ErrorCode::bad_argument,
                  fmt::format("{} is for {}, the data are {} (--corruptions all takes what fits)", kind.name,
                              pictures ? "arrays" : "pictures", pictures ? "pictures" : "arrays"),
                  "--corruptions");
    if (std::find(kinds.begin(), kinds.end(), &kind) == kinds.end()) kinds.push_back(&kind);
  }
  return kinds;
}

std::vector<int> parse_strengths(const std::string& text) {
  std::set<int> strengths;
  for (const std::string& part : split(text, ',')) {
    const size_t dash = part.find('-');
    const auto low = parse_int(trim(std::string_view(part).substr(0, dash)));
    const auto high = dash == std::string::npos ? low : parse_int(trim(std::string_view(part).substr(dash + 1)));
    if (!low || !high || *low < 1 || *high > kStrengths || *low > *high)
      throw Error(
          ErrorCode::bad_argument,
          fmt::format("'{}' is no strength (give 1 to {}, as 3, 1-5 or 1,3,5)", printable(part, 40), kStrengths),
          "--strengths");
    for (int64_t s = *low; s <= *high; ++s) strengths.insert(static_cast<int>(s));
  }
  return {strengths.begin(), strengths.end()};
}

}  // namespace lowbit
