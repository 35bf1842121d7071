// attribution.h: maps of what a decision rests on, float against low-bit, for any network that can be run: no gradients
// of operators are needed, and the steps of a low-bit network do no harm.
#pragma once

#include <functional>
#include <string>

#include "lowbit/base/threads.h"
#include "lowbit/core/attribution.h"
#include "lowbit/core/graph.h"
#include "lowbit/data/dataset.h"

namespace lowbit {

enum class AttributionMethod : uint8_t {
  /// What the score of a class loses when a cell is replaced by the mean of the sample. Zeiler, Fergus, ECCV 2014.
  occlusion,
  /// Integrated gradients from the mean of the sample to the sample, each cell's part by finite differences over its
  /// whole way at four points of the path. Sundararajan et al., ICML 2017, arXiv:1703.01365.
  gradients,
};
/// Throws Error{bad_argument} with the nearest names.
AttributionMethod parse_attribution(const std::string& text);

/// Maps of at most `samples` samples, evenly spread, of the first float input, cut into at most 8 x 8 cells (pictures),
/// 16 stretches of each channel (series) or 32 stretches. The class is the one that the float model decides for.
AttributionAgreement compare_attributions(const Model& float_model, const Model& low_bit, const DataSet& data,
                                          ThreadPool& threads, AttributionMethod method, int64_t samples,
                                          const std::function<void(double share)>& progress = {});

}  // namespace lowbit
