#include "lowbit/ops/infer_shapes.h"
#include "lowbit/passes/fold_constants.h"
#include "lowbit/passes/passes.h"

namespace lowbit {

int prepare_for_quantization(Graph& graph) {
  infer_shapes(graph);
  int changed = fold_constants(graph);
  changed += remove_identities(graph);
  infer_shapes(graph);
  // Patterns first: folding constants into layers could break their spelling.
  changed += fuse_layer_norm(graph) + fuse_gelu(graph) + fuse_hard_swish(graph);
  changed += fold_pad(graph) + fuse_gemm(graph) + fold_batch_norm(graph) + batch_norm_to_conv(graph);
  infer_shapes(graph);
  return changed;
}

}  // namespace lowbit
