// layer_walk.h: one walk over a network and its low-bit form side by side, layer by layer, with the activations of all
// calibration samples kept between the layers. A method that looks at a layer sees what reaches it in the float network
// and what reaches it through the layers that are low-bit already (rounded activations included), without running the
// network again for every layer: the whole walk costs two runs over the data.
//
// Memory: the live activations of all samples, twice. kWalkMemoryBytes of them stay in memory, the rest goes to a
// temporary file (activation_store.h).
#pragma once

#include <functional>
#include <vector>

#include "lowbit/methods/activation_store.h"
#include "lowbit/methods/method.h"

namespace lowbit {

inline constexpr int64_t kWalkMemoryBytes = int64_t{1} << 30;

class LayerWalk {
 public:
  struct Hooks {
    /// Called for each node in order, before the low-bit network computes it: its inputs are there, its weights and
    /// bias may be edited.
    std::function<void(size_t node)> before = {};
    /// Called when the node's results are there, before they are rounded to their annotations, which may be edited.
    std::function<void(size_t node)> after = {};
  };

  /// `graph` and context.float_graph must have the same nodes and values (annotation may have added constants behind
  /// them). Needs context.batches.
  LayerWalk(Graph& graph, const MethodContext& context, std::string_view what);
  ~LayerWalk();

  /// Walks up to and including node `last`. May be called once.
  void run(const Hooks& hooks, size_t last);

  int64_t chunks() const { return static_cast<int64_t>(chunk_samples_.size()); }
  int64_t samples() const { return samples_; }
  int64_t samples_of(int64_t chunk) const { return chunk_samples_[static_cast<size_t>(chunk)]; }

  /// Weights of the samples of each chunk (sample_weights.h), for what measures on the walk; empty: all equal.
  void set_sample_weights(std::vector<std::vector<double>> weights) { weights_ = std::move(weights); }
  /// Weight of the sample that element `index` of `count` equal parts of a chunk belongs to.
  double weight_of(int64_t chunk, int64_t index, int64_t count) const {
    if (weights_.empty()) return 1;
    const std::vector<double>& weights = weights_[static_cast<size_t>(chunk)];
    const auto samples = static_cast<int64_t>(weights.size());
    return count % samples == 0 ? weights[static_cast<size_t>(index / (count / samples))] : 1;
  }

  /// Value `id` of a chunk in the float and in the low-bit network; only of values that are alive: inputs of the
  /// current node, and in `after` its results (the low-bit ones not rounded yet). Constants are given as well.
  Tensor float_value(int64_t chunk, ValueId id) const;
  Tensor low_value(int64_t chunk, ValueId id) const;
  /// Replaces a result; to be used in `after`.
  void set_low_value(int64_t chunk, ValueId id, Tensor tensor) { low_.put(chunk, id, std::move(tensor)); }

 private:
  void load_inputs();
  void find_last_readers(size_t last);
  std::vector<Tensor> run_node(const Graph& graph, size_t n, int64_t chunk, const std::vector<Tensor>& constants,
                               const ActivationStore& store) const;
  void compute(const Graph& graph, size_t n, ActivationStore& store);
  void round(ValueId id);

  Graph& graph_;
  const Graph& float_graph_;
  const MethodContext& context_;
  std::string what_;
  ActivationStore float_, low_;
  std::vector<int64_t> chunk_samples_;
  int64_t samples_ = 0;
  std::vector<std::vector<double>> weights_;
  std::vector<std::vector<ValueId>> dead_;  ///< by node: values that it is the last to read
};

/// A constant as the low-bit network sees it: decoded if it is annotated.
Tensor effective_constant(const Value& value);

}  // namespace lowbit
