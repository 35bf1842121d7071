// recurrent_node.h: what LSTM, GRU and RNN nodes say about themselves, in the order of kernels/recurrent.h: for the
// reference step and for the steps of plans.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lowbit/core/graph.h"
#include "lowbit/kernels/recurrent.h"

namespace lowbit {

struct RecurrentNode {
  kernels::RecurrentLayer layer;  ///< without weights, biases and direction
  int64_t directions = 1, inputs = 0;
  bool reverse = false;                  ///< the only direction runs backwards
  bool batch_first = false;              ///< ONNX layout 1
  std::optional<Tensor> bias, peephole;  ///< decoded

  /// Rows of one direction in the order of the kernel: gates padded to multiples of 16, -1 between.
  std::vector<int64_t> row_order(int64_t direction) const;
  /// Biases of a direction in that order; `recurrent` is empty unless gate h keeps its own (GRU, linear_before_reset).
  struct Biases {
    std::vector<float> input, recurrent;
  };
  Biases biases(int64_t direction) const;
  /// [3][hidden] of a direction, or nothing.
  std::vector<float> peepholes(int64_t direction) const;
  Dims state_dims(int64_t batch) const;
  Dims output_dims(int64_t steps, int64_t batch) const;
  /// Strides of a call whose x is dense.
  void set_strides(kernels::RecurrentCall& call) const;
  /// Where a direction's part of states and of Y begins, in elements.
  int64_t direction_offset(int64_t direction, int64_t batch) const {
    return direction * layer.hidden * (batch_first ? 1 : batch);
  }
};

/// Nothing with `why` if weights or biases are not constant or do not fit each other, or activations are not the usual
/// ones.
std::optional<RecurrentNode> read_recurrent(const Graph& graph, const Node& node, std::string& why);

}  // namespace lowbit
