#include "lowbit/search/verdict.h"

#include <cmath>
#include <numeric>

#include "lowbit/eval/bootstrap.h"
#include "lowbit/eval/metrics.h"

namespace lowbit::search {
namespace {

/// In per cent; 0 if the output is 0 everywhere and met.
double relative_error(double noise, double signal) {
  return signal > 0 ? 100 * std::sqrt(noise / signal) : noise > 0 ? 100.0 : 0.0;
}

Drop output_error(const SampleResults& results) {
  const auto n = static_cast<int64_t>(results.noise.size());
  const auto error_of = [&](const std::vector<int32_t>* times) {
    double noise = 0, signal = 0;
    for (size_t i = 0; i < results.noise.size(); ++i) {
      const double weight = times ? (*times)[i] : 1;
      noise += weight * results.noise[i];
      signal += weight * results.signal[i];
    }
    return relative_error(noise, signal);
  };
  const Interval ci =
      bootstrap(n, 1, [&](const std::vector<int32_t>& times) { return std::vector<double>{error_of(&times)}; })[0];
  return {error_of(nullptr), ci, 0, n};
}

}  // namespace

std::string_view measure_name(Measure measure) {
  return measure == Measure::accuracy ? "accuracy" : measure == Measure::agreement ? "agreement" : "output error";
}

std::string_view measure_unit(Measure measure) {
  return measure == Measure::accuracy    ? "points of accuracy"
         : measure == Measure::agreement ? "% of samples with another class than from the float network"
                                         : "% error of the output";
}

Drop measure_drop(Measure measure, const SampleResults& results) {
  Drop drop;
  if (measure == Measure::output_error) {
    drop = output_error(results);
  } else if (measure == Measure::accuracy) {
    const PairedComparison paired = compare_paired(results.float_right, results.low_right);
    drop = {100 * paired.difference,
            {100 * paired.ci95.low, 100 * paired.ci95.high},
            0,
            static_cast<int64_t>(results.low_right.size())};
  } else {
    const auto n = static_cast<int64_t>(results.low_right.size());
    const auto same = std::accumulate(results.low_right.begin(), results.low_right.end(), int64_t{0});
    const Interval share = wilson(same, n);
    drop = {n > 0 ? 100 - 100 * static_cast<double>(same) / static_cast<double>(n) : 0,
            {100 - 100 * share.high, 100 - 100 * share.low},
            0,
            n};
  }
  for (const double d : results.divergence) drop.loss += d / static_cast<double>(results.divergence.size());
  return drop;
}

Verdict judge(const Drop& drop, double most) {
  return drop.ci95.high <= most ? Verdict::met : drop.value <= most ? Verdict::not_shown : Verdict::missed;
}

std::string_view verdict_name(Verdict verdict) {
  return verdict == Verdict::met ? "met" : verdict == Verdict::not_shown ? "not shown" : "missed";
}

int64_t samples_needed(const Drop& drop, double most) {
  if (judge(drop, most) != Verdict::not_shown || !(most > drop.value)) return 0;
  const double ratio = (drop.ci95.high - drop.value) / (most - drop.value);  // widths fall with the root of the number
  const double needed = std::ceil(static_cast<double>(drop.samples) * ratio * ratio);
  return needed < 1e12 ? static_cast<int64_t>(needed) : 0;
}

}  // namespace lowbit::search
