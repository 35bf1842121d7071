// verdict.h: how much a low-bit network loses against the float one on the same samples, with a 95 % interval, and
// whether a target is met. A target counts as met only when the whole interval is within it; an estimate within it
// whose interval reaches beyond it is "not shown": more samples would be needed to say.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/core/measurements.h"

namespace lowbit::search {

/// What "loses X" means for the data at hand.
enum class Measure : uint8_t {
  accuracy,      ///< points of accuracy: labels are there
  agreement,     ///< per cent of samples that get another class than from the float network: no labels
  output_error,  ///< root mean square error of the output in per cent of the output's: no classes either
};
std::string_view measure_name(Measure measure);
/// "points of accuracy" ...
std::string_view measure_unit(Measure measure);

/// Of each sample: for accuracy whether float and low-bit are right, for agreement whether they agree (in low_right),
/// for output_error the squares of the error and of the float output.
struct SampleResults {
  std::vector<uint8_t> float_right, low_right;
  std::vector<double> noise, signal;
  std::vector<double> divergence;  ///< loss of the output, for ranking: KL divergence, or noise / signal
};

struct Drop {
  double value = 0;  ///< in the measure's unit; negative: the low-bit network is better
  Interval ci95;     ///< paired (accuracy), Wilson (agreement), bootstrap (output error)
  double loss = 0;   ///< mean divergence
  int64_t samples = 0;
};
Drop measure_drop(Measure measure, const SampleResults& results);

enum class Verdict : uint8_t { met, not_shown, missed };
Verdict judge(const Drop& drop, double most);
std::string_view verdict_name(Verdict verdict);

/// About how many samples would let the interval say what the estimate says; 0 if no number would (the estimate is not
/// within the target) or none more are needed.
int64_t samples_needed(const Drop& drop, double most);

}  // namespace lowbit::search
