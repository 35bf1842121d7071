// automatic.h: `lowbit quantize --max-drop ...`: finds the repairs and the number system of each layer by itself.
//
//   1. repairs: quantized at the widest candidate; if that damages the network, other methods in front are tried, and
//   the
//      layers that are damaged are named with their cause
//   2. sensitivity: each layer x candidate alone in the float network, on few calibration samples
//   3. bytes of each layer x candidate in the file that will be written; milliseconds by the runtime if they matter
//   4. search/search.h: Pareto front of the predictions, decided by real evaluations on the selection data
//   5. the final data, not looked at before, say whether the target is met (search/verdict.h). They are asked about at
//      most three configurations, safest first, up to the first that fails, so that the error rate of one test holds
//      (fixed-sequence testing; Angelopoulos et al., "Learn then Test", arXiv:2110.01052, section 2.4)
//
// Calibration, selection and final data are disjoint.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lowbit/api/quantize.h"
#include "lowbit/report/search_report.h"

namespace lowbit {

struct AutomaticOptions {
  std::optional<double> max_drop;  ///< points of accuracy; without labels per cent (search/verdict.h)
  std::optional<int64_t> max_bytes;
  std::optional<double> max_ms;         ///< one inference of one sample on the pool's threads
  std::vector<std::string> candidates;  ///< number systems of weights; empty: default_candidates()
  int64_t evaluations = 24;             ///< of the selection data, at most
  std::optional<double> seconds;        ///< no evaluation begins after that
  std::string journal;                  ///< path; empty: none
  std::string pick;                     ///< empty: the search's choice; a number of a trial, "smallest", "accurate"
  std::string output;                   ///< decides the format whose bytes count
  LowerOptions lower;
  /// Adds to a model what the file will say besides: its bytes count. May be null.
  std::function<void(QuantizeResult& result)> describe;
  std::string subject;  ///< what else the result depends on (data files ...), for the journal
  /// Called with each result that is better than all before (not for those that the journal knew), to save it.
  std::function<void(const QuantizeResult& best, const SearchPoint& point)> on_better;
};

/// The three parts. final may not share samples with the others.
struct AutomaticData {
  const DataSet& calibration;
  const DataSet& selection;
  const DataSet& final;
  std::string split;  ///< how they were divided, in words
};

struct AutomaticResult {
  Recipe recipe;          ///< quantize() with it and the calibration data gives the result again
  QuantizeResult result;  ///< that
  SearchReport report;
};

std::vector<std::string> default_candidates();

/// Throws as quantize(), Error{bad_argument} for a journal of another search, a pick that is none, a network without
/// layers to choose for. Deterministic but for times: the same journal gives the same result.
AutomaticResult quantize_automatically(const Model& model, const AutomaticData& data, const Recipe& recipe,
                                       const AutomaticOptions& options, ThreadPool& threads,
                                       const Progress& progress = {});

}  // namespace lowbit
