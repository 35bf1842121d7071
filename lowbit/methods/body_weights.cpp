#include "lowbit/methods/body_weights.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "lowbit/methods/weight_choice.h"
#include "lowbit/numbers/rounding.h"

namespace lowbit {
namespace {

/// FNV-1a, so that equal layers do not get equal random numbers.
uint64_t hash_of(const std::string& name) {
  uint64_t hash = 14695981039346656037u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash;
}

/// A graph with those around it.
struct Scope {
  Graph& graph;
  const Scope* outer = nullptr;

  /// The graph that owns the constant of a value, and its number there; nothing if it is no constant.
  struct Place {
    Graph* graph;
    ValueId id;
  };
  std::optional<Place> constant(ValueId id) const {
    if (id == kNone) return std::nullopt;
    if (graph.constant(id)) return Place{&graph, id};
    if (outer)
      for (const auto& [outside, inside] : graph.captures)
        if (inside == id) return outer->constant(outside);
    return std::nullopt;
  }
};

void annotate_node(const Scope& scope, const Node& node, const Recipe& recipe) {
  const LayerSettings settings = settings_of(recipe, node);
  if (!kept_weights_reason(recipe, node, settings).empty()) return;
  const auto bits = parse_auto(*settings.weights);
  const std::string system =
      bits ? fmt::format("int{}", std::clamp(static_cast<int>(std::lround(*bits)), 2, 16)) : *settings.weights;
  const auto constant = [&](ValueId id) -> const Tensor* {
    const auto place = scope.constant(id);
    return place ? place->graph->constant(place->id) : nullptr;
  };
  for (const WeightSlot& slot : weight_slots(node, constant)) {
    const Scope::Place place = *scope.constant(node.inputs[slot.input]);
    Value& value = place.graph->value(place.id);
    if (value.quantization) continue;
    Quantization quantization;
    quantization.format = parse_number_format(system);
    quantization.granularity = slot_granularity(*settings.granularity, slot);
    const FitOptions options{.rule = recipe.weight_range == "minmax" ? FitRule::minmax : FitRule::mse};
    quantization.params = fit_groups(quantization.format, quantization.granularity, value.constant->dims(),
                                     value.constant->data<float>(), {}, options);
    quantization.origin =
        recipe.weight_range == "minmax" ? "extremes of the weights" : "least squared error of the weights";
    value.constant = rounded_weight(recipe, quantization, value.name, *value.constant);
    value.quantization = std::move(quantization);
  }
}

void annotate_inside(const Scope& scope, const Recipe& recipe, bool inner) {
  for (Node& node : scope.graph.nodes) {
    if (inner) annotate_node(scope, node, recipe);
    for (auto& [key, attribute] : node.attributes) {
      auto* body = std::get_if<std::shared_ptr<Graph>>(&attribute);
      if (!body || !*body) continue;
      *body = std::make_shared<Graph>(**body);
      annotate_inside({**body, &scope}, recipe, /*inner=*/true);
    }
  }
}

}  // namespace

Tensor rounded_weight(const Recipe& recipe, const Quantization& quantization, const std::string& name,
                      const Tensor& weight) {
  Rounding rounding = parse_rounding(recipe.rounding);
  if (rounding.kind == Rounding::Kind::nearest) return weight;
  rounding.seed ^= hash_of(name);
  Tensor codes = Tensor::uninitialized(DType::int32, weight.dims());
  encode_groups_rounded(quantization.format, quantization.granularity, weight.dims(), quantization.params, rounding,
                        weight.data<float>(), codes.mutable_data<int32_t>());
  return decode_tensor(quantization, codes);
}

void annotate_bodies(Graph& graph, const Recipe& recipe) { annotate_inside({graph}, recipe, /*inner=*/false); }

}  // namespace lowbit
