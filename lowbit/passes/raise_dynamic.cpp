#include <algorithm>

#include "lowbit/core/graph_index.h"
#include "lowbit/passes/qdq_params.h"
#include "lowbit/passes/raise_qoperator.h"

namespace lowbit {
namespace {

/// What a dynamically quantized layer consists of: layer(xq, w, xz, wz) -> Cast -> Mul(x_scale * w_scale).
struct DynamicLayer {
  int32_t quantize = -1, layer = -1, cast = -1, scale_product = -1;
  int32_t rescale = -1;  ///< the Mul whose output is the layer's float output
  ValueId weight_scale = kNone;
};

class DynamicRaiser {
 public:
  explicit DynamicRaiser(Graph& graph) : graph_(graph), index_(graph) {}

  int run() {
    int count = 0;
    const auto nodes = static_cast<int32_t>(graph_.nodes.size());
    for (int32_t n = 0; n < nodes; ++n) {
      const Node& node = graph_.nodes[static_cast<size_t>(n)];
      if (!node.is("MatMulInteger") && !node.is("ConvInteger")) continue;
      if (const auto layer = match(n)) count += raise(*layer);
    }
    return count;
  }

 private:
  const Node& node(int32_t n) const { return graph_.nodes[static_cast<size_t>(n)]; }

  int32_t producer_named(ValueId id, std::string_view op) const {
    const int32_t n = id == kNone ? -1 : index_.producer(id);
    return n >= 0 && node(n).is(op) ? n : -1;
  }

  std::optional<DynamicLayer> match(int32_t n) const {
    DynamicLayer found;
    found.layer = n;
    found.quantize = producer_named(node(n).input(0), "DynamicQuantizeLinear");
    if (found.quantize < 0 || node(n).input(0) != node(found.quantize).output(0)) return std::nullopt;
    const ValueId x_zero = node(n).input(2), x_scale = node(found.quantize).output(1);
    if (x_zero != node(found.quantize).output(2) || x_zero == kNone || !graph_.constant(node(n).input(1)))
      return std::nullopt;
    found.cast = only_reader(graph_, index_, node(n).output());
    if (found.cast < 0 || !node(found.cast).is("Cast") || node(found.cast).attr_int("to", 0) != 1) return std::nullopt;
    found.rescale = only_reader(graph_, index_, node(found.cast).output());
    if (found.rescale < 0 || !node(found.rescale).is("Mul")) return std::nullopt;
    const ValueId casted = node(found.cast).output();
    const ValueId scale =
        node(found.rescale).input(0) == casted ? node(found.rescale).input(1) : node(found.rescale).input(0);
    found.scale_product = producer_named(scale, "Mul");
    if (found.scale_product < 0) return std::nullopt;
    const Node& product = node(found.scale_product);
    if (product.input(0) != x_scale && product.input(1) != x_scale) return std::nullopt;
    found.weight_scale = product.input(0) == x_scale ? product.input(1) : product.input(0);
    const Tensor* weight_scale = graph_.constant(found.weight_scale);
    if (!weight_scale || weight_scale->dtype() != DType::float32) return std::nullopt;
    return found;
  }

  /// The layer's input behind an Identity that carries the annotation: other readers see the floats as they are.
  ValueId annotated_input(int32_t quantize) {
    const ValueId x = node(quantize).input(0);
    for (const auto& [source, made] : inputs_)
      if (source == x) return made;
    const ValueId made = append_node(graph_, "Identity", node(quantize).name + "_dynamic", {x});
    Quantization dynamic;
    dynamic.format = parse_number_format("uint8");
    dynamic.origin = "imported";
    dynamic.dynamic = true;
    graph_.value(made).quantization = std::move(dynamic);
    graph_.value(made).shape = graph_.value(x).shape;
    inputs_.emplace_back(x, made);
    return made;
  }

  bool raise(const DynamicLayer& found) {
    const Node layer = node(found.layer);
    const bool conv = layer.op == "ConvInteger";
    const Tensor weight = *graph_.constant(layer.input(1)), scale = *graph_.constant(found.weight_scale);
    ValueId scale_id = found.weight_scale;
    // The scales of a convolution come as [M, 1, 1] or so, to fit the output.
    if (scale.rank() > 1) scale_id = graph_.add_constant(layer.name + "_weight_scale", scale.reshaped({scale.count()}));
    const int64_t axis = conv ? 0 : weight.rank() - 1;
    if (scale.count() != 1 && (weight.rank() < 2 || scale.count() != weight.dim(axis))) return false;
    const ValueId weights = append_node(graph_, "DequantizeLinear", layer.name + "_weights",
                                        {layer.input(1), scale_id, layer.input(3)}, {{"axis", axis}});
    const ValueId x = annotated_input(found.quantize);
    Node& made = graph_.nodes[static_cast<size_t>(found.layer)];
    made.op = conv ? "Conv" : "MatMul";
    made.inputs = {x, weights};
    // The integers' Cast and Mul go on computing something that nobody reads, from the floats.
    const ValueId y = node(found.rescale).output(), integers = made.outputs[0];
    made.outputs[0] = y;
    graph_.nodes[static_cast<size_t>(found.rescale)].outputs[0] = integers;
    graph_.nodes[static_cast<size_t>(found.cast)].inputs[0] = x;
    return true;
  }

  Graph& graph_;
  GraphIndex index_;
  std::vector<std::pair<ValueId, ValueId>> inputs_;
};

}  // namespace

int raise_dynamic(Graph& graph) { return DynamicRaiser(graph).run(); }

}  // namespace lowbit
