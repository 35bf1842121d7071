// sample_weights.h: which calibration samples matter more. Where a classifier is sure, small errors of its layers
// change nothing; the second derivative of the cross-entropy by the logits has the trace 1 - sum p_i^2, which is near 0
// there and large where classes compete.
#pragma once

#include <vector>

#include "lowbit/methods/method.h"

namespace lowbit {

/// One weight for each sample of each batch, of mean 1: 1 - focus + focus * u / mean(u), u = 1 - sum p_i^2 of the float
/// network's softmax. Empty if focus is 0 or no output of the network is a softmax over the last axis with the samples
/// first. One run of the float network over the data.
std::vector<std::vector<double>> sample_weights(const MethodContext& context, double focus);

}  // namespace lowbit
