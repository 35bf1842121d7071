// Re-calibration with error feedback: layer by layer, the range of each activation is chosen again from the values that
// the network, low-bit up to there, really produces, by the rule of its layer. Rounded weights move and widen
// activations; ranges from the float network then clip, or waste codes.
// Paper: the idea of calibrating each layer on the outputs of the quantized ones before it is that of Hubara et al.,
// "Accurate Post Training Quantization With Small Calibration Sets" (sequential calibration), ICML 2021,
// arXiv:2006.10518.
#include <algorithm>

#include "lowbit/core/graph_index.h"
#include "lowbit/methods/layer_walk.h"
#include "lowbit/methods/methods.h"
#include "lowbit/observe/range.h"

namespace lowbit {
namespace {

/// Values whose annotation follows that of `id`.
std::vector<ValueId> sharers(const Placement& placement, ValueId id) {
  std::vector<ValueId> ids;
  for (size_t v = 0; v < placement.parameters_of.size(); ++v)
    if (placement.quantized[v] && placement.parameters_of[v] == id) ids.push_back(static_cast<ValueId>(v));
  return ids;
}

/// Of the layer that makes the value; all the same for the value's sharers.
RangeRule rule_of(const MethodContext& context, size_t node) {
  const auto& range = context.placement->nodes[node].settings.range;
  return parse_range_rule(range ? *range : context.recipe.range);
}

void choose_again(LayerWalk& walk, Graph& graph, const MethodContext& context, const GraphIndex& index, size_t n,
                  ValueId id) {
  const Value& value = graph.value(id);
  if (!value.quantization || !value.quantization->linear() || value.quantization->dynamic) return;
  if (value.quantization->origin.rfind("bounded by", 0) == 0) return;
  const std::vector<ValueId> all = sharers(*context.placement, id);
  // A value that takes the parameters of a later one (a branch of a Concat), or gives them to an earlier one, keeps
  // them.
  const auto earlier = [&](ValueId other) { return other != id && index.producer(other) < static_cast<int32_t>(n); };
  if (std::find(all.begin(), all.end(), id) == all.end() || std::any_of(all.begin(), all.end(), earlier)) return;
  TensorStatistics seen;
  for (int64_t chunk = 0; chunk < walk.chunks(); ++chunk) {
    const Tensor x = walk.low_value(chunk, id);
    if (!is_float(x.dtype())) return;
    seen.add(x, x.rank() > 0 && x.dim(0) == walk.samples_of(chunk));
  }
  if (seen.finite() == 0) return;
  const NumberFormat format = value.quantization->format;
  const Range range = choose_range(seen, rule_of(context, n), format);
  const Quantization chosen =
      linear_quantization(format, linear_params(format, range.low, range.high), range.origin + ", recalibrated");
  for (ValueId other : all) graph.value(other).quantization = chosen;
}

void apply_recalibrate(Graph& graph, const MethodContext& context) {
  if (!context.batches || !context.placement || graph.nodes.empty()) return;
  const GraphIndex index(graph);
  std::optional<size_t> last;
  for (size_t n = 0; n < graph.nodes.size(); ++n)
    for (ValueId id : graph.nodes[n].outputs)
      if (id != kNone && graph.value(id).quantization) last = n;
  if (!last) return;
  LayerWalk walk(graph, context, "recalibrating");
  walk.run({.after =
                [&](size_t n) {
                  for (ValueId id : graph.nodes[n].outputs)
                    if (id != kNone) choose_again(walk, graph, context, index, n, id);
                }},
           *last);
}

}  // namespace

const Method& recalibrate_method() {
  static const Method method{.name = "recalibrate",
                             .summary = "chooses activation ranges again, on what the low-bit network produces",
                             .paper = "Hubara et al., ICML 2021, arXiv:2006.10518",
                             .needs_data = true,
                             .apply = apply_recalibrate};
  return method;
}

}  // namespace lowbit
