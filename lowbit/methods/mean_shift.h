// mean_shift.h: bias correction from measured means: what a layer's results differ by on average, channel by channel,
// is added to its bias. b' = b + mean(y_float) - mean(y_low), both over all samples and positions, with the low-bit
// network's own inputs. For y = W x + b this is b + W mean(x_float) - Q mean(x_low), with padding handled exactly.
#pragma once

#include "lowbit/core/graph_index.h"
#include "lowbit/methods/layer_walk.h"

namespace lowbit {

/// To be called in LayerWalk's `after`: corrects the bias of the node, if it can be shifted, and its results with it.
/// True if it did.
bool correct_mean_shift(LayerWalk& walk, Graph& graph, const GraphIndex& index, size_t node);

}  // namespace lowbit
