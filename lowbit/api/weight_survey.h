// weight_survey.h: what each number system would make of the weights of a model at a given number of bits: the error,
// by measuring, and the bits that would really be stored. For `lowbit inspect --weights`.
#pragma once

#include <string>
#include <vector>

#include "lowbit/api/inspect.h"
#include "lowbit/base/threads.h"

namespace lowbit {

/// One system at one granularity on one tensor, fitted by least squared error.
struct SurveyedSystem {
  std::string system, granularity;
  double relative_error = 0;  ///< sum (w - q)^2 / sum w^2
  double sqnr_db = 0;         ///< -10 log10 of that; +inf if exact
  double bits = 0;            ///< stored for each weight, parameters included, without entropy coding
  /// sqnr_db less 6.02 dB for each stored bit above the width asked for: what compares systems that take unequal room.
  double score_db = 0;
};

struct WeightSurvey {
  std::string name;
  Dims dims;
  int64_t count = 0;
  double dynamic_range_db = 0;  ///< 20 log10(largest / smallest magnitude but 0); 0 without values
  double channel_spread = 1;    ///< largest / smallest range of an output channel, those without values left out
  std::vector<SurveyedSystem> systems;  ///< best score first
  double low = 0, high = 0;             ///< of the finite values
  std::vector<double> histogram;        ///< uniform bins over [low, high]
  std::string drawn_system;             ///< the best system with a level for each code, fitted to the whole tensor ...
  std::vector<double> levels;           ///< ... and its levels, ascending
};

/// Every float constant with at least two dimensions and 32 elements, in the order of the graph. Non-finite weights are
/// left out of the errors. bits: 1 to 8. The same for every number of threads.
std::vector<WeightSurvey> survey_weights(const Inspection& inspection, int bits, ThreadPool& threads);

/// The whole model in each system at its best granularity: relative errors averaged over the tensors, bits over the
/// weights. Best score first.
struct ModelSurvey {
  SurveyedSystem mean;
  int64_t best_in = 0;  ///< tensors in which this system scores best
};
std::vector<ModelSurvey> summarize(const std::vector<WeightSurvey>& weights, int bits);

/// The survey as one HTML page that needs nothing else, with the histogram of each weight and the levels drawn in.
std::string survey_html(const Inspection& inspection, const std::vector<WeightSurvey>& weights, int bits,
                        const std::string& version);

}  // namespace lowbit
