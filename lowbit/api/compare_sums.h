// compare_sums.h: what is summed up over the samples for one value of two networks that are compared. Private to api.
#pragma once

#include <cmath>
#include <vector>

#include "lowbit/analysis/facts.h"
#include "lowbit/core/diagnosis.h"
#include "lowbit/core/graph.h"
#include "lowbit/eval/metrics.h"

namespace lowbit {

/// Which dimension of a value counts its channels: 1, but the last one of [N, T, C].
struct ChannelView {
  int64_t channels = 1, inner = 1;  ///< inner: values between two channels
  int64_t of(size_t i) const { return static_cast<int64_t>(i) / inner % channels; }
};
/// `producer`: the node that makes the value; null for an input.
ChannelView channel_view(const Dims& dims, const Node* producer);

/// largest |w| of each output channel of an annotated weight; `axis` counts them.
std::vector<double> channel_ranges(const Tensor& weights, int64_t axis);

class ValueSums {
 public:
  /// Float values of one batch, what the layer alone makes of them, and the annotation (null: none).
  void add(const Tensor& wanted, const Tensor& made, const Quantization* quantization, ChannelView view);
  void add_accumulated(const Tensor& wanted, const Tensor& made);

  bool has_local() const { return facts_.count > 0; }
  bool has_accumulated() const { return has_accumulated_; }
  TensorError local() const { return local_.result(); }
  TensorError accumulated() const { return accumulated_.result(); }
  /// The figures of `value`.
  ValueFacts facts(const Value& value) const;

 private:
  struct Channel {
    double low = INFINITY, high = -INFINITY, error = 0, signal = 0, noise = 0;
  };
  void add_codes(const Tensor& made, const Quantization& quantization);

  ErrorAccumulator local_, accumulated_;
  bool has_accumulated_ = false;
  ValueFacts facts_;
  double sum_ = 0, squares_ = 0;
  int64_t clipped_ = 0;
  std::vector<char> codes_used_;
  std::vector<Channel> channels_;
  int64_t per_channel_ = 0;
};

/// The figures for people, from those for rules.
LayerFigures figures_of(const LayerFacts& layer, double saturated_share);

}  // namespace lowbit
