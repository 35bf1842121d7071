// Spelled-out functions become one node: exporters write GELU, HardSwish and layer normalization in primitive
// operators.
#include <cmath>

#include "lowbit/passes/passes.h"
#include "lowbit/passes/rewrite.h"

namespace lowbit {
namespace {

bool near(std::optional<double> x, double wanted) { return x && std::abs(*x - wanted) <= 1e-4 * std::abs(wanted); }

/// Walks a pattern from its end back to its start over constants and producers.
class Matcher {
 public:
  explicit Matcher(const Graph& graph) : graph_(graph), index_(graph) {}

  const Node* producer(ValueId id, std::string_view op) const {
    const int32_t n = index_.producer(id);
    return n >= 0 && graph_.nodes[static_cast<size_t>(n)].is(op) ? &graph_.nodes[static_cast<size_t>(n)] : nullptr;
  }
  std::optional<double> scalar(ValueId id) const { return scalar_constant(graph_, id); }

  /// For a two-input node: the operand beside a scalar constant near `wanted` (order free if `commutes`).
  ValueId beside_scalar(const Node* node, double wanted, bool commutes = true) const {
    if (!node || node->inputs.size() != 2) return kNone;
    if (near(scalar(node->inputs[1]), wanted)) return node->inputs[0];
    return commutes && near(scalar(node->inputs[0]), wanted) ? node->inputs[1] : kNone;
  }
  const GraphIndex& index() const { return index_; }

 private:
  const Graph& graph_;
  GraphIndex index_;
};

/// x / sqrt(2) or x * (1 / sqrt(2)).
ValueId over_sqrt2(const Matcher& m, ValueId id) {
  if (const ValueId x = m.beside_scalar(m.producer(id, "Div"), std::sqrt(2.0), /*commutes=*/false); x != kNone)
    return x;
  return m.beside_scalar(m.producer(id, "Mul"), std::sqrt(0.5));
}

/// 1 + erf(x / sqrt 2)
ValueId one_plus_erf(const Matcher& m, ValueId id) {
  const ValueId erf = m.beside_scalar(m.producer(id, "Add"), 1.0);
  if (erf == kNone) return kNone;
  const Node* node = m.producer(erf, "Erf");
  return node ? over_sqrt2(m, node->inputs[0]) : kNone;
}

/// 0.5 * x * (1 + erf(x / sqrt 2)) in any association; the input x, or kNone.
ValueId gelu_input(const Matcher& m, const Node& last) {
  if (!last.is("Mul")) return kNone;
  for (int side = 0; side < 2; ++side) {
    const ValueId a = last.inputs[static_cast<size_t>(side)], b = last.inputs[static_cast<size_t>(1 - side)];
    if (near(m.scalar(a), 0.5)) {  // (x * (1 + erf)) * 0.5
      const Node* product = m.producer(b, "Mul");
      if (!product) continue;
      for (size_t k = 0; k < 2; ++k)
        if (const ValueId x = one_plus_erf(m, product->inputs[k]); x != kNone && x == product->inputs[1 - k]) return x;
    }
    if (const ValueId x = one_plus_erf(m, a); x != kNone && m.beside_scalar(m.producer(b, "Mul"), 0.5) == x)
      return x;  // (x * 0.5) * (1 + erf)
    if (const ValueId half = m.beside_scalar(m.producer(a, "Mul"), 0.5); half != kNone && one_plus_erf(m, half) == b)
      return b;  // x * (0.5 * (1 + erf))
  }
  return kNone;
}

/// min(max(x + 3, 0), 6): Clip or Relu6 spelled as Clip.
ValueId relu6_of_x_plus_3(const Matcher& m, ValueId id) {
  const Node* clip = m.producer(id, "Clip");
  if (!clip || clip->inputs.size() != 3 || m.scalar(clip->inputs[1]) != 0.0 || !near(m.scalar(clip->inputs[2]), 6.0))
    return kNone;
  return m.beside_scalar(m.producer(clip->inputs[0], "Add"), 3.0);
}

/// HardSigmoid(x) = clip(x / 6 + 1/2), as one node or spelled out; the input x.
ValueId hard_sigmoid_input(const Matcher& m, ValueId id) {
  if (const Node* node = m.producer(id, "HardSigmoid"))
    return near(node->attr_float("alpha", 0.2f), 1.0 / 6) && near(node->attr_float("beta", 0.5f), 0.5) ? node->inputs[0]
                                                                                                       : kNone;
  ValueId clipped = m.beside_scalar(m.producer(id, "Div"), 6.0, /*commutes=*/false);
  if (clipped == kNone) clipped = m.beside_scalar(m.producer(id, "Mul"), 1.0 / 6);
  return clipped == kNone ? kNone : relu6_of_x_plus_3(m, clipped);
}

ValueId hard_swish_input(const Matcher& m, const Node& last) {
  if (last.is("Mul"))
    for (size_t k = 0; k < 2; ++k)
      if (const ValueId x = hard_sigmoid_input(m, last.inputs[k]); x != kNone && x == last.inputs[1 - k]) return x;
  // (x * relu6(x + 3)) / 6
  ValueId product = kNone;
  if (last.is("Div")) product = m.beside_scalar(&last, 6.0, /*commutes=*/false);
  if (last.is("Mul")) product = m.beside_scalar(&last, 1.0 / 6);
  const Node* mul = product == kNone ? nullptr : m.producer(product, "Mul");
  if (!mul) return kNone;
  for (size_t k = 0; k < 2; ++k)
    if (const ValueId x = relu6_of_x_plus_3(m, mul->inputs[k]); x != kNone && x == mul->inputs[1 - k]) return x;
  return kNone;
}

/// False where a constant of one element adds dimensions ([1, 1, 1, 1] to an x of rank 2), or where that is not known.
bool same_rank(const Graph& graph, ValueId a, ValueId b) {
  const auto &first = graph.value(a).shape, &second = graph.value(b).shape;
  return first && second && first->size() == second->size();
}

/// Replaces the end of a pattern by one node on its input.
int fuse_unary(Graph& graph, ValueId (*input_of)(const Matcher&, const Node&), const char* op) {
  const Matcher matcher(graph);
  int fused = 0;
  for (Node& node : graph.nodes) {
    const ValueId x = input_of(matcher, node);
    if (x == kNone || graph.constant(x) || !same_rank(graph, x, node.outputs[0])) continue;
    node.op = op;
    node.inputs = {x};
    node.attributes.clear();
    ++fused;
  }
  if (fused) graph.remove_dead();
  return fused;
}

bool reduces_last_axis(const Graph& graph, const Node* mean) {
  if (!mean || mean->attr_int("keepdims", 1) != 1 || !graph.value(mean->inputs[0]).shape) return false;
  const Tensor* axes = graph.constant(mean->input(1));
  if (!axes || axes->count() != 1) return false;
  const int64_t axis = to_int64(*axes)[0], rank = static_cast<int64_t>(graph.value(mean->inputs[0]).shape->size());
  return axis == -1 || axis == rank - 1;
}

struct LayerNormMatch {
  ValueId x = kNone, scale = kNone, bias = kNone;
  double epsilon = 0;
};

/// (x - mean(x)) / sqrt(mean((x - mean(x))^2) + eps) * scale + bias, from its last Add.
std::optional<LayerNormMatch> match_layer_norm(const Graph& graph, const Matcher& m, const Node& last) {
  if (!last.is("Add")) return std::nullopt;
  LayerNormMatch match;
  for (size_t k = 0; k < 2; ++k) {
    const Node* mul = m.producer(last.inputs[k], "Mul");
    if (!mul || !graph.constant(last.inputs[1 - k])) continue;
    const size_t constant = graph.constant(mul->inputs[1]) ? 1 : 0;
    if (!graph.constant(mul->inputs[constant])) continue;
    match.bias = last.inputs[1 - k];
    match.scale = mul->inputs[constant];
    const Node* div = m.producer(mul->inputs[1 - constant], "Div");
    const Node* sub = div ? m.producer(div->inputs[0], "Sub") : nullptr;
    const Node* root = div ? m.producer(div->inputs[1], "Sqrt") : nullptr;
    const Node* add = root ? m.producer(root->inputs[0], "Add") : nullptr;
    if (!sub || !add) continue;
    const size_t epsilon = m.scalar(add->inputs[1]) ? 1 : 0;
    const auto value = m.scalar(add->inputs[epsilon]);
    const Node* variance = m.producer(add->inputs[1 - epsilon], "ReduceMean");
    const Node* square = variance ? m.producer(variance->inputs[0], "Pow") : nullptr;
    const bool squares = square ? near(m.scalar(square->inputs[1]), 2.0)
                                : (square = variance ? m.producer(variance->inputs[0], "Mul") : nullptr) &&
                                      square->inputs[0] == square->inputs[1];
    if (!value || !squares || !reduces_last_axis(graph, variance)) continue;
    const Node* centred = m.producer(square->inputs[0], "Sub");  // often the same node as `sub`, sometimes a copy of it
    const Node* mean = m.producer(sub->inputs[1], "ReduceMean");
    if (!centred || centred->inputs != sub->inputs || !reduces_last_axis(graph, mean) ||
        mean->inputs[0] != sub->inputs[0])
      continue;
    const Tensor& scale = *graph.constant(match.scale);
    const Tensor& bias = *graph.constant(match.bias);
    if (scale.rank() != 1 || bias.dims() != scale.dims()) continue;
    match.x = sub->inputs[0];
    match.epsilon = *value;
    return match;
  }
  return std::nullopt;
}

}  // namespace

int fuse_gelu(Graph& graph) { return fuse_unary(graph, gelu_input, "Gelu"); }

int fuse_hard_swish(Graph& graph) { return fuse_unary(graph, hard_swish_input, "HardSwish"); }

int fuse_layer_norm(Graph& graph) {
  const Matcher matcher(graph);
  int fused = 0;
  for (Node& node : graph.nodes) {
    const auto match = match_layer_norm(graph, matcher, node);
    if (!match || !same_rank(graph, match->x, node.outputs[0])) continue;
    node.op = "LayerNormalization";
    node.inputs = {match->x, match->scale, match->bias};
    node.attributes = {{"axis", int64_t{-1}}, {"epsilon", static_cast<float>(match->epsilon)}};
    ++fused;
  }
  if (fused) graph.remove_dead();
  return fused;
}

}  // namespace lowbit
