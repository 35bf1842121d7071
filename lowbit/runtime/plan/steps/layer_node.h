// layer_node.h: what Conv, Gemm and MatMul with constant weights have in common, whichever kernel runs them.
#pragma once

#include "lowbit/kernels/qlayer.h"
#include "lowbit/runtime/layer.h"
#include "lowbit/runtime/plan/builder.h"

namespace lowbit::plan {

struct LayerNode {
  int32_t node;
  kernels::QLayerShape shape;
  ValueId x;  ///< input of the step: that of a folded Pad, if there is one
  ValueId bias;
  WeightOrder order;  ///< how the weight tensor becomes [channels][k]
  FusedActivation activation;
  std::vector<int32_t> fused;  ///< nodes besides the layer's own
  std::string kind;
  Dims output_dims;
  Order memory;  ///< of input and output

  /// Elements between the pixels or rows of a view in this order.
  int64_t stride_of(const View& view) const {
    return memory == Order::channels_last ? *pixel_stride(view) : *row_stride(view);
  }
};

/// A convolution of at most two spatial axes; a Pad in front that nobody else reads becomes its own padding.
std::optional<LayerNode> conv_layer(const Builder& builder, int32_t node, std::string& why);
/// Gemm and MatMul with a constant matrix.
std::optional<LayerNode> matrix_layer(const Builder& builder, int32_t node, std::string& why);

int64_t macs_of(const kernels::QLayerShape& shape);

}  // namespace lowbit::plan
