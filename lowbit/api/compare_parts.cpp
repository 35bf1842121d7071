#include "lowbit/api/compare_parts.h"

#include <algorithm>

#include <fmt/format.h>

#include "lowbit/analysis/rule.h"
#include "lowbit/api/inspect.h"
#include "lowbit/base/text.h"
#include "lowbit/core/weights.h"

namespace lowbit {
namespace {

bool is_activation_node(const Node& node) { return node.is("Relu") || node.is("Clip"); }

class Describer {
 public:
  Describer(const Measured& measured, Comparison& comparison)
      : measured_(measured), graph_(measured.graph), producers_(measured.graph.producers()), comparison_(comparison) {}

  void run() {
    NetworkFacts network;
    network.samples = measured_.samples;
    for (const ValueId id : graph_.inputs)
      if (sums(id).has_local()) network.inputs.push_back(value_facts(id));
    for (size_t n = 0; n < graph_.nodes.size(); ++n) add_layer(n, network);
    for (Finding& finding : find_causes(network)) comparison_.diagnosis.findings.push_back(std::move(finding));
    name_causes();
    draw();
    std::stable_sort(
        comparison_.layers.begin(), comparison_.layers.end(),
        [](const LayerError& a, const LayerError& b) { return a.accumulated.sqnr_db < b.accumulated.sqnr_db; });
  }

 private:
  const ValueSums& sums(ValueId id) const { return measured_.sums[static_cast<size_t>(id)]; }
  bool comparable(ValueId id) const { return !measured_.incomparable[static_cast<size_t>(id)]; }

  const Quantization* annotation(ValueId id) const {
    const auto& quantization = graph_.value(id).quantization;
    return quantization && !quantization->dynamic ? &*quantization : nullptr;
  }

  /// The node that a value is reported under: the layer, not the activation that was fused into it.
  size_t layer_of(size_t n) const {
    const ValueId input = graph_.nodes[n].input(0);
    if (input == kNone || !measured_.fused.contains(input)) return n;
    const int32_t before = producers_[static_cast<size_t>(input)];
    return before >= 0 ? static_cast<size_t>(before) : n;
  }

  ValueFacts value_facts(ValueId id) const {
    ValueFacts facts = sums(id).facts(graph_.value(id));
    if (!measured_.calibration) return facts;
    const auto found = measured_.calibration->tensors.find(facts.name);
    if (found == measured_.calibration->tensors.end()) return facts;
    facts.calibrated_values = found->second.finite();
    facts.calibrated_mean = found->second.mean();
    facts.calibrated_deviation = std::sqrt(found->second.variance());
    return facts;
  }

  /// One layer for each node whose result was measured, and for low-bit ones that were never computed.
  void add_layer(size_t n, NetworkFacts& network) {
    const ValueId id = graph_.nodes[n].output();
    if (id == kNone || measured_.fused.contains(id)) return;
    const bool unseen = annotation(id) && !sums(id).has_local() && !sums(id).has_accumulated();
    if (!sums(id).has_accumulated() && !unseen) return;
    const Node& node = graph_.nodes[layer_of(n)];
    if (!comparable(id)) {
      comparison_.diagnosis.incomparable.push_back(node.name);
      return;
    }
    LayerError layer;
    layer.name = node.name;
    layer.op = node.full_op();
    layer.value = graph_.value(id).name;
    layer.accumulated = sums(id).accumulated();
    layer.local = sums(id).has_local() ? sums(id).local() : layer.accumulated;
    LayerFacts facts = layer_facts(id, node, layer);
    layer.local.clipped_share = facts.result.clipped_share;
    const auto saturated = measured_.saturation.find(layer.value);
    comparison_.diagnosis.layers.push_back(
        figures_of(facts, saturated == measured_.saturation.end() ? 0 : saturated->second));
    if (!unseen) comparison_.layers.push_back(std::move(layer));
    network.layers.push_back(std::move(facts));
  }

  LayerFacts layer_facts(ValueId id, const Node& node, const LayerError& layer) const {
    LayerFacts facts;
    facts.name = node.name;
    facts.op = layer.op;
    facts.local_sqnr_db = layer.local.sqnr_db;
    facts.accumulated_sqnr_db = layer.accumulated.sqnr_db;
    facts.result = value_facts(id);
    for (const ValueId input : node.inputs) {
      if (input == kNone) continue;
      const Value& value = graph_.value(input);
      if (!value.constant && comparable(input)) facts.inputs.push_back(value_facts(input));
      if (is_annotated_constant(value) && facts.channel_ranges.empty() && value.constant->count() > 0)
        add_weight_facts(node, value, facts);
    }
    return facts;
  }

  static void add_weight_facts(const Node& node, const Value& value, LayerFacts& facts) {
    const Quantization& quantization = *value.quantization;
    facts.weight_bits = quantization.format.bits;
    facts.weights_per_tensor = quantization.granularity.kind == Granularity::Kind::tensor;
    const Tensor x = to_float32(unrounded_values(value));
    if (x.rank() < 1) return;
    const bool transposed = node.is("Gemm") && node.attr_int("transB", 0) == 0;
    const int64_t axis = node.is("MatMul") || transposed ? x.rank() - 1
                         : node.is("Conv") || node.is("Gemm")
                             ? 0
                             : std::clamp<int64_t>(quantization.granularity.axis, 0, x.rank() - 1);
    facts.channel_ranges = channel_ranges(x, axis);
    facts.depthwise = node.is("Conv") && x.rank() > 2 && x.dim(1) == 1 && node.attr_int("group", 1) > 1;
  }

  /// The first finding about a layer is its likely cause.
  void name_causes() {
    for (LayerError& layer : comparison_.layers) {
      const auto& findings = comparison_.diagnosis.findings;
      const auto found = std::find_if(findings.begin(), findings.end(),
                                      [&](const Finding& finding) { return finding.layer == layer.name; });
      if (found == findings.end()) continue;
      layer.cause = found->cause;
      layer.remedy = found->remedy.empty() ? found->advice : join(found->remedy, " ");
    }
  }

  void draw() {
    std::vector<int32_t> place(graph_.nodes.size(), -1);
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      const Node& node = graph_.nodes[n];
      if (const size_t layer = layer_of(n); layer != n && place[layer] >= 0) {  // drawn with the layer it is fused into
        place[n] = place[layer];
        describe_value(node.output(), comparison_.diagnosis.graph[static_cast<size_t>(place[n])]);
        continue;
      }
      place[n] = static_cast<int32_t>(comparison_.diagnosis.graph.size());
      DrawnNode drawn;
      drawn.name = node.name;
      drawn.op = node.full_op();
      for (const ValueId input : node.inputs) {
        if (input == kNone) continue;
        const Value& value = graph_.value(input);
        const int32_t before = producers_[static_cast<size_t>(input)];
        if (before >= 0 && std::find(drawn.inputs.begin(), drawn.inputs.end(), place[static_cast<size_t>(before)]) ==
                               drawn.inputs.end())
          drawn.inputs.push_back(place[static_cast<size_t>(before)]);
        if (value.constant && !drawn.has_weights && (value.quantization || value.constant->count() > 16) &&
            (value.quantization || is_float(value.constant->dtype()))) {
          drawn.has_weights = true;
          if (value.quantization) drawn.weights = number_system_text(value);
          if (value.quantization) drawn.weight_bits = value.quantization->format.bits;
        }
      }
      comparison_.diagnosis.graph.push_back(std::move(drawn));
      describe_value(node.output(), comparison_.diagnosis.graph.back());
    }
  }

  void describe_value(ValueId id, DrawnNode& drawn) const {
    if (id == kNone) return;
    if (const Value& value = graph_.value(id); value.quantization) {
      drawn.activations = number_system_text(value);
      drawn.value_bits = value.quantization->format.bits;
    }
    if (!comparable(id)) return;
    if (sums(id).has_local()) drawn.local_db = sums(id).local().sqnr_db;
    if (sums(id).has_accumulated()) drawn.accumulated_db = sums(id).accumulated().sqnr_db;
  }

  const Measured& measured_;
  const Graph& graph_;
  std::vector<int32_t> producers_;
  Comparison& comparison_;
};

}  // namespace

std::set<ValueId> fused_values(const Graph& graph) {
  std::set<ValueId> fused;
  const auto uses = graph.uses();
  for (const Node& node : graph.nodes) {
    const ValueId input = node.input(0);
    if (!is_activation_node(node) || input == kNone || graph.is_output(input) || graph.value(input).quantization)
      continue;
    const bool annotated = graph.value(node.output()).quantization.has_value();
    if (annotated && uses[static_cast<size_t>(input)].size() == 1) fused.insert(input);
  }
  return fused;
}

void describe_layers(const Measured& measured, Comparison& comparison) { Describer(measured, comparison).run(); }

}  // namespace lowbit
