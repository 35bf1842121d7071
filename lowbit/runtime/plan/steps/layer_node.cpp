#include "lowbit/runtime/plan/steps/layer_node.h"

#include <numeric>

#include <fmt/format.h>

#include "lowbit/ops/convolution.h"
#include "lowbit/runtime/plan/shapes.h"

namespace lowbit::plan {

int64_t macs_of(const kernels::QLayerShape& s) {
  return s.pixels() * s.out_channels * s.group_in() * s.kernel_h * s.kernel_w;
}

std::optional<LayerNode> conv_layer(const Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  const Tensor* weight = builder.graph().constant(node.input(1));
  if (!weight || weight->rank() < 3 || weight->rank() > 4)
    return why = "its weights are not constant, or have more than two spatial axes", std::nullopt;
  if (builder.known(node.inputs[0])) return why = "its input is constant", std::nullopt;
  LayerNode l{};
  l.node = n;
  ConvGeometry geometry = conv_geometry(node, builder.dims(node.inputs[0]), weight->dims());
  l.output_dims = geometry.output_dims();
  l.x = node.inputs[0];
  const PendingPad* pad = builder.pending_pad(node.inputs[0]);
  if (pad) {
    // Conv sees the padded image; the kernel sees the image and pads by itself.
    l.x = pad->source;
    const size_t first = 3 - geometry.spatial.size();
    for (size_t i = 0; i < geometry.spatial.size(); ++i) {
      WindowAxis& axis = geometry.axes[first + i];
      axis.in -= pad->begin[i + 2] + pad->end[i + 2];
      axis.pad_begin += pad->begin[i + 2];
    }
    l.fused.push_back(pad->node);
  }
  l.shape = conv_shape(geometry);
  l.bias = node.input(2);
  l.order.perm.resize(static_cast<size_t>(weight->rank()));
  std::iota(l.order.perm.begin(), l.order.perm.end(), int64_t{0});
  l.activation = fused_activation(builder.context(), node.outputs[0]);
  l.memory = Order::channels_last;
  const kernels::QLayerShape& s = l.shape;
  l.kind = fmt::format("{} {}x{}",
                       s.groups > 1 && s.group_in() == 1 ? "depthwise"
                       : s.groups > 1                    ? "grouped conv"
                                                         : "conv",
                       s.kernel_h, s.kernel_w);
  return l;
}

std::optional<LayerNode> matrix_layer(const Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  const Tensor* weight = builder.graph().constant(node.input(1));
  if (!weight || weight->rank() != 2) return why = "its second operand is no constant matrix", std::nullopt;
  if (builder.known(node.inputs[0])) return why = "its input is constant", std::nullopt;
  const bool gemm = node.is("Gemm");
  if (gemm && (node.attr_float("alpha", 1) != 1 || node.attr_float("beta", 1) != 1 || node.attr_int("transA", 0) != 0))
    return why = "it scales or transposes its input", std::nullopt;
  const Tensor* bias = gemm ? builder.graph().constant(node.input(2)) : nullptr;
  if (bias && bias->count() != 1 && bias->dims().back() != bias->count())
    return why = "its bias differs between rows", std::nullopt;
  const bool transposed = gemm && node.attr_int("transB", 0) != 0;
  const int64_t k = weight->dim(transposed ? 1 : 0), channels = weight->dim(transposed ? 0 : 1);
  const Dims& dims = builder.dims(node.inputs[0]);
  if (dims.empty() || dims.back() != k || k == 0 || channels == 0)
    return why = "its input does not fit its weights", std::nullopt;
  LayerNode l{};
  l.node = n;
  l.shape = kernels::qgemm_shape(element_count(dims) / k, channels, k);
  l.x = node.inputs[0];
  l.bias = gemm ? node.input(2) : kNone;
  l.order = transposed ? WeightOrder{{0, 1}, 1} : WeightOrder{{1, 0}, 1};
  l.activation = fused_activation(builder.context(), node.outputs[0]);
  l.kind = fmt::format("matrix {}x{}", channels, k);
  l.output_dims = dims;
  l.output_dims.back() = channels;
  l.memory = Order::row_major;
  return l;
}

}  // namespace lowbit::plan
