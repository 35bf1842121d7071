// passes.h: the passes by name. Each returns the number of places it changed and leaves a valid, sorted graph that
// computes the same values up to float rounding.
#pragma once

#include "lowbit/core/graph.h"

namespace lowbit {

/// Identity, Dropout at inference, and casts and transposes that change nothing are removed.
int remove_identities(Graph& graph);

/// BatchNormalization and constant Mul/Div/Add/Sub behind Conv, ConvTranspose and Gemm go into weight and bias.
int fold_batch_norm(Graph& graph);

/// A BatchNormalization that is left (in front of an activation, as in DenseNet) becomes a depthwise 1x1 Conv. Needs
/// the rank of its input.
int batch_norm_to_conv(Graph& graph);

/// Constant zero Pad in front of Conv goes into the convolution's pads.
int fold_pad(Graph& graph);

/// MatMul of a 2-D activation with a constant 2-D weight, with or without a constant Add behind it, becomes Gemm. Needs
/// ranks.
int fuse_gemm(Graph& graph);

/// Add(x, bias) with a constant vector behind a MatMul of higher rank is kept, but recognised spellings of GELU,
/// HardSwish and layer normalization become one node: Gelu, HardSwish, LayerNormalization. Need ranks.
int fuse_gelu(Graph& graph);
int fuse_hard_swish(Graph& graph);
int fuse_layer_norm(Graph& graph);

/// All of the above in the order that quantization wants, with shape inference between; `prepare` is what quantize()
/// runs first.
int prepare_for_quantization(Graph& graph);

}  // namespace lowbit
