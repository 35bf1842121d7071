// network_learning.h: what the methods that learn with gradients through the network share (learned-blocks, distil):
// weights' codes and scales and the shifts of channels, by Adam on batches of calibration samples, against the float
// network. A part of the samples is held out; what was best on them is kept, so that a network is never left worse on
// samples it did not learn from.
#pragma once

#include <span>
#include <string_view>

#include "lowbit/methods/learned_weights.h"
#include "lowbit/methods/method.h"

namespace lowbit {

struct LearningSettings {
  /// True: each block of layers learns to give what it gives in the float network, from what reaches it in the low-bit
  /// one; gradients end at the blocks' borders. False: everything learns from the outputs.
  bool blocks = false;
  int64_t steps = 1000;
  LearningRates rates;
  double shift_rate = 0;  ///< in units of the root mean square of a layer's results
};

/// Learns from `context.batches`. A network with operators that have no gradient, or without low-bit weights that
/// gradients reach, is left as it is, and the notes say why. The result does not depend on the number of threads.
void learn_network(Graph& graph, const MethodContext& context, const LearningSettings& settings, std::string_view name);

/// The options of the methods that learn through the network.
std::span<const MethodOption> learning_options();

/// learn_network() as the options of such a method say.
void learn_by_options(Graph& graph, const MethodContext& context, const Method& method, bool blocks);

}  // namespace lowbit
