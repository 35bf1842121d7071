// shifted.h: accuracy on damaged data, float against low-bit on the very same samples.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lowbit/base/threads.h"
#include "lowbit/core/graph.h"
#include "lowbit/core/shifted.h"
#include "lowbit/data/dataset.h"

namespace lowbit {

struct ShiftedOptions {
  std::vector<const Corruption*> kinds;
  std::vector<int> strengths = {1, 2, 3, 4, 5};
  uint64_t seed = 1;
  std::function<void(double share)> progress = nullptr;
};

/// Opens the data damaged like this; without a choice as they are.
using OpenData = std::function<std::unique_ptr<DataSet>(std::optional<CorruptionChoice>)>;

struct NamedModel {
  std::string file;
  const Model* model;
};

/// One entry for each model behind the first, which is the reference. Samples are streamed; every model sees each batch
/// before the next one is made. Intervals: of shares Wilson's, of differences Newcombe's for pairs; of means over
/// several kinds of damage a percentile bootstrap over the samples, since the same samples come again.
std::vector<ShiftedEvaluation> evaluate_shifted(const std::vector<NamedModel>& models, const OpenData& open,
                                                ThreadPool& threads, const ShiftedOptions& options);

/// "all" (every kind that fits pictures, or arrays), or names separated by commas. Throws Error{bad_argument} with the
/// nearest names.
std::vector<const Corruption*> parse_corruptions(const std::string& text, bool pictures);
/// "3", "1-5" or "1,3,5". Throws Error{bad_argument}.
std::vector<int> parse_strengths(const std::string& text);

}  // namespace lowbit
