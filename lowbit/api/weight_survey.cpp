#include "lowbit/api/weight_survey.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "lowbit/methods/weight_fit.h"
#include "lowbit/numbers/level_table.h"
#include "lowbit/numbers/widths.h"
#include "lowbit/passes/raise_qdq.h"

namespace lowbit {
namespace {

constexpr int64_t kLeastElements = 32;
constexpr size_t kBins = 96;
constexpr double kDecibelsPerBit = 6.020599913279624;  // 20 log10(2)

void score(SurveyedSystem& system, int bits) {
  system.sqnr_db =
      system.relative_error > 0 ? -10 * std::log10(system.relative_error) : std::numeric_limits<double>::infinity();
  system.score_db = system.sqnr_db - kDecibelsPerBit * std::max(0.0, system.bits - bits);
}

bool better(const SurveyedSystem& a, const SurveyedSystem& b) {
  return a.score_db != b.score_db ? a.score_db > b.score_db : a.bits < b.bits;
}

/// A tensor without the values that no system can keep.
Tensor finite_weight(const Value& value) {
  Tensor x = to_float32(*value.constant);
  if (std::all_of(x.values<float>().begin(), x.values<float>().end(), [](float v) { return std::isfinite(v); }))
    return x;
  for (float& v : x.mutable_values<float>())
    if (!std::isfinite(v)) v = 0;
  return x;
}

void describe(const Tensor& x, int64_t axis, WeightSurvey& result) {
  float least = std::numeric_limits<float>::infinity(), most = 0;
  const auto values = x.values<float>();
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  result.low = *low;
  result.high = *high;
  for (const float v : values)
    if (v != 0) {
      least = std::min(least, std::abs(v));
      most = std::max(most, std::abs(v));
    }
  if (most > 0) result.dynamic_range_db = 20 * std::log10(static_cast<double>(most) / static_cast<double>(least));
  double narrowest = std::numeric_limits<double>::infinity(), widest = 0;
  const Granularity channel{.kind = Granularity::Kind::channel, .axis = axis};
  for_each_group(channel, x.dims(), [&](int64_t, std::span<const Run> runs) {
    double range = 0;
    for (const Run& run : runs)
      for (int64_t i = run.begin; i < run.begin + run.count; ++i)
        range = std::max(range, static_cast<double>(std::abs(values[static_cast<size_t>(i)])));
    if (range > 0) narrowest = std::min(narrowest, range);
    widest = std::max(widest, range);
  });
  if (widest > 0) result.channel_spread = widest / narrowest;
  if (!(result.high > result.low)) return;
  result.histogram.assign(kBins, 0);
  for (const float v : values) {
    const double place = (static_cast<double>(v) - result.low) / (result.high - result.low) * kBins;
    ++result.histogram[static_cast<size_t>(std::clamp(place, 0.0, kBins - 1.0))];
  }
}

/// One tensor that is surveyed, and what is tried on it.
struct Subject {
  Tensor weight;
  std::vector<std::pair<NumberFormat, Granularity>> tried;
  std::vector<WeightFit> fits;
};

Subject subject_of(const Tensor& weight, int64_t axis, int bits) {
  Subject subject{.weight = weight, .tried = {}, .fits = {}};
  for (const NumberFormat& format : formats_of_width(bits))
    for (const Granularity& granularity : granularities_for(format, weight.dims(), axis))
      if (stored_bits(format, granularity, weight.dims()) < 32 * weight.count())
        subject.tried.emplace_back(format, granularity);
  subject.fits.resize(subject.tried.size());
  return subject;
}

void collect(const Subject& subject, int bits, WeightSurvey& result) {
  for (const WeightFit& fit : subject.fits) {
    SurveyedSystem system{.system = to_string(fit.quantization.format),
                          .granularity = to_string(fit.quantization.granularity),
                          .relative_error = fit.relative_error(),
                          .bits = static_cast<double>(fit.bits) / static_cast<double>(subject.weight.count())};
    score(system, bits);
    result.systems.push_back(std::move(system));
  }
  std::stable_sort(result.systems.begin(), result.systems.end(), better);
  for (const SurveyedSystem& system : result.systems) {
    const NumberFormat format = parse_number_format(system.system);
    if (format.vector_size > 1) continue;
    const std::vector<float> params =
        fit_groups(format, {}, subject.weight.dims(), subject.weight.data<float>(), {}, {.rule = FitRule::mse});
    const LevelTable table(format, params.data());
    result.drawn_system = system.system;
    result.levels.assign(table.levels().begin(), table.levels().end());
    return;
  }
}

}  // namespace

std::vector<WeightSurvey> survey_weights(const Inspection& inspection, int bits, ThreadPool& threads) {
  Graph graph = inspection.model.graph;
  raise_qdq(graph);
  const auto uses = graph.uses();
  std::vector<WeightSurvey> results;
  std::vector<Subject> subjects;
  for (size_t id = 0; id < graph.values.size(); ++id) {
    const Value& value = graph.values[id];
    if (!value.constant || !is_float(value.constant->dtype()) || value.constant->rank() < 2 ||
        value.constant->count() < kLeastElements)
      continue;
    const Tensor weight = finite_weight(value);
    const int64_t axis = channel_axis(graph, uses[id], weight.rank());
    WeightSurvey& result = results.emplace_back();
    result.name = value.name;
    result.dims = weight.dims();
    result.count = weight.count();
    describe(weight, axis, result);
    subjects.push_back(subject_of(weight, axis, bits));
  }
  std::vector<std::pair<size_t, size_t>> tasks;
  for (size_t s = 0; s < subjects.size(); ++s)
    for (size_t i = 0; i < subjects[s].tried.size(); ++i) tasks.emplace_back(s, i);
  threads.parallel_for(static_cast<int64_t>(tasks.size()), [&](int64_t task) {
    const auto [s, i] = tasks[static_cast<size_t>(task)];
    const auto& [format, granularity] = subjects[s].tried[i];
    subjects[s].fits[i] = fit_weight(format, granularity, subjects[s].weight, {}, FitRule::mse, nullptr);
  });
  for (size_t s = 0; s < subjects.size(); ++s) collect(subjects[s], bits, results[s]);
  return results;
}

std::vector<ModelSurvey> summarize(const std::vector<WeightSurvey>& weights, int bits) {
  struct Sums {
    double error = 0, bits = 0, elements = 0;
    int64_t tensors = 0;
  };
  std::map<std::pair<std::string, std::string>, Sums> all;
  std::map<std::string, int64_t> best_in;
  for (const WeightSurvey& weight : weights) {
    if (!weight.systems.empty()) ++best_in[weight.systems.front().system];
    for (const SurveyedSystem& system : weight.systems) {
      Sums& sums = all[{system.system, system.granularity}];
      const double count = static_cast<double>(weight.count);
      sums.error += system.relative_error;
      sums.bits += system.bits * count;
      sums.elements += count;
      ++sums.tensors;
    }
  }
  std::map<std::string, ModelSurvey> best;
  for (const auto& [key, sums] : all) {
    // A granularity that suits only some of the tensors says nothing about the model.
    if (sums.tensors != static_cast<int64_t>(weights.size())) continue;
    SurveyedSystem mean{.system = key.first,
                        .granularity = key.second,
                        .relative_error = sums.error / static_cast<double>(sums.tensors),
                        .bits = sums.bits / sums.elements};
    score(mean, bits);
    const auto found = best.find(key.first);
    if (found == best.end() || better(mean, found->second.mean)) best[key.first] = {mean, best_in[key.first]};
  }
  std::vector<ModelSurvey> result;
  for (auto& [name, survey] : best) result.push_back(std::move(survey));
  std::stable_sort(result.begin(), result.end(),
                   [](const ModelSurvey& a, const ModelSurvey& b) { return better(a.mean, b.mean); });
  return result;
}

}  // namespace lowbit
