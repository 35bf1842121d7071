#include "lowbit/methods/placement.h"

#include <algorithm>
#include <numeric>
#include <unordered_map>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/core/graph_index.h"
#include "lowbit/methods/activation_system.h"
#include "lowbit/ops/op.h"

namespace lowbit {
namespace {

enum class Ability : uint8_t { none, anchor, table, binary, mean, movement, concat };

/// What the integer executor and the engines can do with an operator.
Ability ability_of_op(const Node& node) {
  static const std::unordered_map<std::string_view, Ability> kAbilities = {
      {"Conv", Ability::anchor},
      {"Gemm", Ability::anchor},
      {"MatMul", Ability::anchor},
      {"Add", Ability::binary},
      {"Sub", Ability::binary},
      {"Mul", Ability::binary},
      {"Relu", Ability::table},
      {"Clip", Ability::table},
      {"LeakyRelu", Ability::table},
      {"Sigmoid", Ability::table},
      {"Tanh", Ability::table},
      {"HardSigmoid", Ability::table},
      {"HardSwish", Ability::table},
      {"Elu", Ability::table},
      {"Selu", Ability::table},
      {"Celu", Ability::table},
      {"Softsign", Ability::table},
      {"Abs", Ability::table},
      {"Neg", Ability::table},
      {"Gelu", Ability::table},
      {"Swish", Ability::table},
      {"Mish", Ability::table},
      {"Softplus", Ability::table},
      {"AveragePool", Ability::mean},
      {"GlobalAveragePool", Ability::mean},
      {"ReduceMean", Ability::mean},
      {"MaxPool", Ability::movement},
      {"Reshape", Ability::movement},
      {"Transpose", Ability::movement},
      {"Flatten", Ability::movement},
      {"Squeeze", Ability::movement},
      {"Unsqueeze", Ability::movement},
      {"Slice", Ability::movement},
      {"Split", Ability::movement},
      {"DepthToSpace", Ability::movement},
      {"SpaceToDepth", Ability::movement},
      {"Pad", Ability::movement},
      {"Resize", Ability::movement},
      {"Expand", Ability::movement},
      {"Tile", Ability::movement},
      {"Gather", Ability::movement},
      {"Identity", Ability::movement},
      {"Concat", Ability::concat},
  };
  if (!node.domain.empty()) return Ability::none;
  const auto found = kAbilities.find(node.op);
  return found == kAbilities.end() ? Ability::none : found->second;
}

bool is_float_activation(const Graph& graph, ValueId id) {
  if (id == kNone || graph.constant(id)) return false;
  const DType type = graph.value(id).dtype;
  return type == DType::float32 || type == DType::undefined;
}

/// A mean over spatial axes (channel statistics), as squeeze-and-excitation and classifiers use it.
bool spatial_mean(const Graph& graph, const Node& node) {
  const auto& shape = graph.value(node.inputs[0]).shape;
  const Tensor* axes = graph.constant(node.input(1));
  if (!shape || !axes || shape->size() < 3) return false;
  const std::vector<int64_t> list = to_int64(*axes);
  const auto rank = static_cast<int64_t>(shape->size());
  return static_cast<int64_t>(list.size()) == rank - 2 &&
         std::all_of(list.begin(), list.end(), [&](int64_t a) { return (a < 0 ? a + rank : a) >= 2; });
}

Ability ability(const Graph& graph, const Node& node, std::string& why) {
  const Ability found = ability_of_op(node);
  if (found == Ability::none) return why = node.full_op() + " has no integer form", found;
  if (!is_float_activation(graph, node.input(0)) && !is_float_activation(graph, node.input(1)))
    return why = "does not work on float activations", Ability::none;
  if (node.is("ReduceMean") && !spatial_mean(graph, node))
    return why = "a mean over other than spatial axes", Ability::none;
  if (node.is("Resize") && node.attr_string("mode", "nearest") != "nearest")
    return why = "it interpolates", Ability::none;
  if (node.is("MaxPool") && node.outputs.size() > 1) return why = "its indices are read", Ability::none;
  if (node.is("Pad") && node.attr_string("mode", "constant") == "constant" && node.input(2) != kNone &&
      scalar_constant(graph, node.input(2)) != 0.0)
    return why = "it pads with other than zero", Ability::none;
  if (node.is("Gemm") &&
      (node.attr_float("alpha", 1) != 1 || node.attr_float("beta", 1) != 1 || node.attr_int("transA", 0) != 0))
    return why = "it scales or transposes its input", Ability::none;
  if (found == Ability::binary)
    for (ValueId id : node.inputs)
      if (const Tensor* constant = graph.constant(id); constant && constant->dtype() != DType::float32)
        return why = "an operand is no float32", Ability::none;
  return found;
}

/// Nodes of a graph and of everything inside it.
void collect_nodes(const Graph& graph, std::vector<const Node*>& nodes) {
  for (const Node& node : graph.nodes) {
    nodes.push_back(&node);
    for (const auto& [key, attribute] : node.attributes)
      if (const auto* body = std::get_if<std::shared_ptr<Graph>>(&attribute); body && *body)
        collect_nodes(**body, nodes);
  }
}

bool is_dynamic(const std::string& activations) {
  return activations != "none" && parse_activation_system(activations).dynamic;
}

/// Layers that can quantize their input at inference: a matrix or filters as the second operand.
bool has_dynamic_form(const Graph& graph, const Node& node, const std::vector<WeightSlot>& slots) {
  if (slots.empty() || slots[0].input != 1) return false;
  return node.is("Conv") || graph.constant(node.inputs[1])->rank() == 2;
}

bool any_matches(const std::vector<std::string>& selectors, const Node& node) {
  return std::any_of(selectors.begin(), selectors.end(), [&](const std::string& s) { return matches(s, node); });
}

class Placer {
 public:
  Placer(const Graph& graph, const Recipe& recipe, bool with_activations)
      : graph_(graph),
        recipe_(recipe),
        with_activations_((with_activations && recipe.activations != "none") || is_dynamic(recipe.activations)),
        index_(graph) {
    result_.nodes.resize(graph.nodes.size());
    result_.quantized.assign(graph.values.size(), 0);
    result_.parameters_of.resize(graph.values.size());
    std::iota(result_.parameters_of.begin(), result_.parameters_of.end(), ValueId{0});
    abilities_.assign(graph.nodes.size(), Ability::none);
  }

  Placement run() {
    check_selectors();
    for (size_t n = 0; n < graph_.nodes.size(); ++n) begin_node(n);
    find_useful();
    from_integers_.assign(graph_.values.size(), 0);
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      assign_role(n);
      settle_outputs(graph_.nodes[n], result_.nodes[n].role);
    }
    mark_values();
    share_parameters();
    return std::move(result_);
  }

 private:
  void check_selectors() const {
    std::vector<const Node*> nodes;
    collect_nodes(graph_, nodes);
    std::vector<std::string> names;
    for (const Node* node : nodes) names.push_back(node->name);
    const auto check = [&](const std::string& selector, std::string_view option) {
      if (std::any_of(nodes.begin(), nodes.end(), [&](const Node* node) { return matches(selector, *node); })) return;
      throw Error(ErrorCode::bad_argument, fmt::format("{} '{}' matches no layer; {}", option, printable(selector, 100),
                                                       did_you_mean(selector, names)));
    };
    for (const std::string& selector : recipe_.include) check(selector, "--include");
    for (const std::string& selector : recipe_.exclude) check(selector, "--exclude");
    for (const LayerRule& rule : recipe_.rules) check(rule.match, "the recipe's layer rule");
  }

  void begin_node(size_t n) {
    const Node& node = graph_.nodes[n];
    NodePlan& plan = result_.nodes[n];
    plan.settings = settings_of(recipe_, node);
    const std::string kept = kept_weights_reason(recipe_, node, plan.settings);
    if (kept == "excluded") {
      plan.reason = kept;
      return;
    }
    abilities_[n] = ability(graph_, node, plan.reason);
    std::vector<WeightSlot> slots = weight_slots(graph_, node);
    const bool computes = !slots.empty() || (kept == "not included" && abilities_[n] == Ability::anchor);
    if (!kept.empty() && computes) {
      abilities_[n] = Ability::none;
      plan.reason = kept;
      return;
    }
    if (!slots.empty()) {
      plan.weight = node.inputs[slots[0].input];
      plan.channel_axis = slots[0].axis;
      plan.weights = std::move(slots);
    }
    settle_weights(n);
  }

  /// Integer arithmetic where the operator has it and activations are placed; otherwise low-bit weights in float
  /// arithmetic.
  void settle_weights(size_t n) {
    const Node& node = graph_.nodes[n];
    NodePlan& plan = result_.nodes[n];
    const bool anchor = abilities_[n] == Ability::anchor;
    if (with_activations_ && is_dynamic(*plan.settings.activations)) return settle_dynamic(n, anchor);
    const bool float_activations = !with_activations_ || *plan.settings.activations == "none";
    const bool usual_place = plan.weights.empty() || plan.weights[0].input == 1;
    if (anchor && !float_activations && usual_place && (plan.weight != kNone || !graph_.constant(node.input(1))))
      return;
    if (plan.weights.empty()) {
      if (!anchor) return;
      plan.reason = float_activations ? "no constant weights" : "its weights stay float";
      abilities_[n] = Ability::none;
      return;
    }
    plan.role = NodeRole::weights_only;
    plan.reason =
        "weights only: " + (float_activations || plan.reason.empty() ? "activations stay float" : plan.reason);
    // Codes of an embedding move through Gather as they are, but its table is a weight.
    abilities_[n] = Ability::none;
  }

  /// Nothing but layers with weights computes in integers, between a quantization of their own and a float result.
  void settle_dynamic(size_t n, bool anchor) {
    NodePlan& plan = result_.nodes[n];
    abilities_[n] = Ability::none;
    if (plan.weights.empty()) {
      if (plan.reason.empty()) plan.reason = "activations stay float between layers";
      return;
    }
    const bool mixes_rows = graph_.nodes[n].is("Conv") && parse_activation_system(*plan.settings.activations).by_row;
    const bool integers = anchor && !mixes_rows && has_dynamic_form(graph_, graph_.nodes[n], plan.weights);
    plan.role = integers ? NodeRole::dynamic : NodeRole::weights_only;
    if (mixes_rows) plan.reason = "a convolution mixes the rows of its input";
    const std::string why = plan.reason.empty() ? "no form with activations quantized at inference" : plan.reason;
    plan.reason = integers ? "" : "weights only: " + why;
  }

  /// useful_[v]: an anchor reads v, perhaps through operators with integer forms.
  void find_useful() {
    useful_.assign(graph_.values.size(), 0);
    for (size_t n = graph_.nodes.size(); n-- > 0;) {
      const Node& node = graph_.nodes[n];
      const bool passes_on =
          abilities_[n] == Ability::anchor ||
          (abilities_[n] != Ability::none && std::any_of(node.outputs.begin(), node.outputs.end(), [&](ValueId id) {
             return id != kNone && useful_[static_cast<size_t>(id)];
           }));
      if (!passes_on) continue;
      for (size_t i = 0; i < node.inputs.size(); ++i)
        if (is_data_input(node, i)) useful_[static_cast<size_t>(node.inputs[i])] = 1;
    }
  }

  /// Inputs that carry activations (not shapes, axes, limits, biases).
  bool is_data_input(const Node& node, size_t i) const {
    if (!is_float_activation(graph_, node.inputs[i])) return false;
    if (node.is("Concat")) return true;
    return i == 0 || (i == 1 && (node.is("MatMul") || node.is("Add") || node.is("Sub") || node.is("Mul")));
  }

  void assign_role(size_t n) {
    const Node& node = graph_.nodes[n];
    NodePlan& plan = result_.nodes[n];
    if (abilities_[n] == Ability::none) return;
    if (abilities_[n] == Ability::anchor) {
      plan.role = NodeRole::anchor;
      return;
    }
    const bool result_useful = std::any_of(node.outputs.begin(), node.outputs.end(),
                                           [&](ValueId id) { return id != kNone && useful_[static_cast<size_t>(id)]; });
    const bool finishes_conv = fuses_with_conv(node);
    if (!result_useful && !finishes_conv) {
      plan.reason = "behind the last layer, where integers gain nothing";
      return;
    }
    if (abilities_[n] == Ability::movement || abilities_[n] == Ability::concat) {
      plan.role = abilities_[n] == Ability::concat ? NodeRole::concat : NodeRole::movement;
      return;
    }
    bool integer_before = false, float_network_input = false;
    for (size_t i = 0; i < node.inputs.size(); ++i)
      if (is_data_input(node, i)) (comes_from_integers(node.inputs[i]) ? integer_before : float_network_input) = true;
    if (integer_before)
      plan.role = NodeRole::integer;
    else
      plan.reason = float_network_input ? "before the first layer" : "no integer input";
  }

  /// Relu or Clip right behind a convolution.
  bool fuses_with_conv(const Node& node) const {
    if (!node.is("Relu") && !node.is("Clip")) return false;
    const int32_t before = index_.producer(node.input(0));
    return before >= 0 && graph_.nodes[static_cast<size_t>(before)].is("Conv") &&
           result_.nodes[static_cast<size_t>(before)].role == NodeRole::anchor &&
           only_reader(graph_, index_, node.inputs[0]) >= 0;
  }

  bool comes_from_integers(ValueId id) const { return id != kNone && from_integers_[static_cast<size_t>(id)]; }

  /// Called in topological order, so that the inputs are settled.
  void settle_outputs(const Node& node, NodeRole role) {
    bool integers = role == NodeRole::anchor || role == NodeRole::integer;
    if (role == NodeRole::movement || role == NodeRole::concat)
      integers =
          std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId from) { return comes_from_integers(from); });
    for (ValueId id : node.outputs)
      if (id != kNone) from_integers_[static_cast<size_t>(id)] = integers;
  }

  /// An anchor's or sum's result that only a Relu or Clip reads is rounded behind that activation, not before it.
  bool is_fused_away(ValueId id) const {
    const int32_t producer = index_.producer(id), next = only_reader(graph_, index_, id);
    if (producer < 0 || next < 0) return false;
    const Node &node = graph_.nodes[static_cast<size_t>(next)], &maker = graph_.nodes[static_cast<size_t>(producer)];
    if (!(node.is("Relu") || node.is("Clip")) || result_.nodes[static_cast<size_t>(next)].role != NodeRole::integer)
      return false;
    for (size_t side = 1; side < node.inputs.size(); ++side)
      if (node.inputs[side] != kNone && !scalar_constant(graph_, node.inputs[side])) return false;
    const NodeRole role = result_.nodes[static_cast<size_t>(producer)].role;
    return role == NodeRole::anchor ||
           (role == NodeRole::integer && (maker.is("Add") || maker.is("Sub") || maker.is("Mul")));
  }

  void mark_values() {
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      const NodeRole role = result_.nodes[n].role;
      if (role == NodeRole::floating || role == NodeRole::weights_only || role == NodeRole::dynamic) continue;
      const Node& node = graph_.nodes[n];
      for (size_t i = 0; i < node.inputs.size(); ++i)
        if (is_data_input(node, i) && !is_fused_away(node.inputs[i])) mark(node.inputs[i]);
      for (ValueId id : node.outputs) {
        if (id == kNone || is_fused_away(id)) continue;
        // A matrix layer whose result no integer operator reads keeps its accumulator; every other integer operator
        // rounds its result.
        const bool rounds =
            role != NodeRole::anchor || useful_[static_cast<size_t>(id)] || node.is("Conv") || recipe_.quantize_outputs;
        if (rounds) mark(id);
      }
    }
  }

  void mark(ValueId id) {
    const bool network_input = std::find(graph_.inputs.begin(), graph_.inputs.end(), id) != graph_.inputs.end();
    if (network_input && !recipe_.quantize_inputs) return;
    result_.quantized[static_cast<size_t>(id)] = 1;
  }

  void share_parameters() {
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      const Node& node = graph_.nodes[n];
      if (result_.nodes[n].role != NodeRole::movement) continue;
      const ValueId source = result_.parameters_of[static_cast<size_t>(node.inputs[0])];
      for (ValueId id : node.outputs)
        if (id != kNone) result_.parameters_of[static_cast<size_t>(id)] = source;
    }
    // A branch that nothing but a Concat reads takes the Concat's parameters: one rounding instead of two.
    for (size_t n = graph_.nodes.size(); n-- > 0;) {
      const Node& node = graph_.nodes[n];
      if (result_.nodes[n].role != NodeRole::concat) continue;
      for (ValueId id : node.inputs)
        if (is_float_activation(graph_, id) && only_reader(graph_, index_, id) >= 0 &&
            result_.parameters_of[static_cast<size_t>(id)] == id && index_.producer(id) >= 0)
          result_.parameters_of[static_cast<size_t>(id)] = result_.parameters_of[static_cast<size_t>(node.outputs[0])];
    }
    for (ValueId& owner : result_.parameters_of)  // chains: Concat of Concat
      while (owner != result_.parameters_of[static_cast<size_t>(owner)])
        owner = result_.parameters_of[static_cast<size_t>(owner)];
  }

  const Graph& graph_;
  const Recipe& recipe_;
  bool with_activations_;
  GraphIndex index_;
  Placement result_;
  std::vector<Ability> abilities_;
  std::vector<char> useful_, from_integers_;
};

}  // namespace

LayerSettings settings_of(const Recipe& recipe, const Node& node) {
  LayerSettings settings = {recipe.weights, recipe.activations, recipe.granularity, recipe.range};
  for (const LayerRule& rule : recipe.rules) {
    if (!matches(rule.match, node)) continue;
    if (rule.settings.weights) settings.weights = rule.settings.weights;
    if (rule.settings.activations) settings.activations = rule.settings.activations;
    if (rule.settings.granularity) settings.granularity = rule.settings.granularity;
    if (rule.settings.range) settings.range = rule.settings.range;
  }
  settings.granularity = settled_granularity(*settings.granularity, *settings.weights);
  return settings;
}

std::string kept_weights_reason(const Recipe& recipe, const Node& node, const LayerSettings& settings) {
  if (any_matches(recipe.exclude, node)) return "excluded";
  if (!recipe.include.empty() && !any_matches(recipe.include, node)) return "not included";
  return *settings.weights == "none" ? "its weights stay float" : "";
}

bool matches(const std::string& selector, const Node& node) {
  if (selector.rfind("op:", 0) == 0) return glob_match(std::string_view(selector).substr(3), node.op);
  return glob_match(selector, node.name);
}

std::string settled_granularity(const std::string& granularity, const std::string& weights) {
  if (granularity != "default") return granularity;
  if (weights == "none" || weights.starts_with("auto:")) return "channel";
  const std::string_view own = parse_number_format(weights).system->default_granularity;
  return own.empty() ? "channel" : std::string(own);
}

Placement place(const Graph& graph, const Recipe& recipe, bool with_activations) {
  return Placer(graph, recipe, with_activations).run();
}

}  // namespace lowbit
