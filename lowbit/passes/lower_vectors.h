// lower_vectors.h: weights whose codes stand for vectors (vq-DxK, std-vq-DxK), in a form that ONNX can say:
//   packed codes [channels, codes of a row] -> (+ K * group) -> Gather of rows of [groups * K, D] -> values
// What short vectors lack is sliced off. A standardized codebook becomes mean + deviation * vector, in double, before
// it is looked up. Gives the decoded float32 values bit for bit.
#pragma once

#include "lowbit/passes/node_writer.h"
#include "lowbit/passes/weight_hints.h"

namespace lowbit {

/// Replaces constant and annotation of `id`, a non-empty weight in a vector system, by nodes that make its values.
WeightHint lower_vectors(NodeWriter& writer, ValueId id);

}  // namespace lowbit
