// weight_fit.h: parameters of one weight tensor: the rule, and how much each of its elements matters.
#pragma once

#include <vector>

#include "lowbit/base/threads.h"
#include "lowbit/core/graph.h"
#include "lowbit/core/quantization.h"
#include "lowbit/observe/statistics.h"

namespace lowbit {

/// How much an error of each element of a layer's weight disturbs its results: the mean square E[x^2] of the input
/// channel that it multiplies, divided by the mean over the channels. Empty (all count the same) where the statistics
/// do not have that value channel by channel, and for operators other than Conv, Gemm (transA 0) and MatMul with a 2-D
/// weight. Channels that are always 0 count as the smallest of the others, so that their weights still have a meaning.
std::vector<float> weight_importance(const Graph& graph, const Node& node, const Tensor& weight,
                                     const StatisticsSet* statistics);

/// A number system with its granularity and parameters for one tensor, and what they cost.
struct WeightFit {
  Quantization quantization;
  double error = 0;   ///< sum of importance * (w - decoded)^2
  double signal = 0;  ///< sum of importance * w^2
  int64_t bits = 0;   ///< stored, parameters included, before entropy coding

  /// error / signal; 0 for a tensor without signal that is met exactly.
  double relative_error() const { return signal > 0 ? error / signal : error; }
  double sqnr_db() const;
};

/// Fits and measures. importance: empty or one weight for each element.
WeightFit fit_weight(const NumberFormat& format, const Granularity& granularity, const Tensor& weight,
                     std::span<const float> importance, FitRule rule, ThreadPool* threads);

}  // namespace lowbit
