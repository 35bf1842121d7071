// Small rewrites towards the layers that integer execution knows.
#include <algorithm>

#include "lowbit/passes/passes.h"
#include "lowbit/passes/rewrite.h"

namespace lowbit {
namespace {

bool changes_nothing(const Graph& graph, const Node& node) {
  if (node.is("Identity")) return true;
  if (node.is("Dropout")) {
    const bool mask_read = node.outputs.size() > 1 && node.outputs[1] != kNone;
    const Tensor* training = graph.constant(node.input(2));
    return !mask_read &&
           (node.input(2) == kNone || (training && training->count() == 1 && to_int64(*training)[0] == 0));
  }
  if (node.is("Cast")) {
    const DType from = graph.value(node.input(0)).dtype;
    return from != DType::undefined && from == graph.value(node.output()).dtype;
  }
  if (node.is("Transpose")) {
    const auto perm = node.attr_ints("perm");
    return !perm.empty() && std::is_sorted(perm.begin(), perm.end());
  }
  return false;
}

/// The pads of a constant zero Pad over spatial axes only, as Conv's pads; nothing otherwise.
std::optional<std::vector<int64_t>> spatial_pads(const Graph& graph, const Node& pad) {
  if (pad.attr_string("mode", "constant") != "constant" || pad.input(3) != kNone) return std::nullopt;
  const Tensor* pads = graph.constant(pad.input(1));
  const auto value = pad.input(2) == kNone ? std::optional(0.0) : scalar_constant(graph, pad.input(2));
  if (!pads || !value || *value != 0) return std::nullopt;
  const std::vector<int64_t> all = to_int64(*pads);
  const size_t rank = all.size() / 2;
  if (all.size() % 2 != 0 || rank < 3 || std::any_of(all.begin(), all.end(), [](int64_t p) { return p < 0; }))
    return std::nullopt;
  if (all[0] || all[1] || all[rank] || all[rank + 1]) return std::nullopt;
  std::vector<int64_t> result(all.begin() + 2, all.begin() + static_cast<int64_t>(rank));
  result.insert(result.end(), all.begin() + static_cast<int64_t>(rank) + 2, all.end());
  return result;
}

int64_t rank_of(const Graph& graph, ValueId id) {
  if (id == kNone || !graph.value(id).shape) return -1;
  return static_cast<int64_t>(graph.value(id).shape->size());
}

}  // namespace

int remove_identities(Graph& graph) {
  std::set<int32_t> dead;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    if (!changes_nothing(graph, node)) continue;
    const ValueId from = node.outputs[0], to = node.inputs[0];
    // An output that is a graph input or constant keeps its node: it gives the output its name.
    if (graph.is_output(from) &&
        (graph.constant(to) || graph.is_output(to) || std::count(graph.inputs.begin(), graph.inputs.end(), to)))
      continue;
    graph.replace_uses(from, to);
    dead.insert(static_cast<int32_t>(n));
  }
  erase_nodes(graph, dead);
  return static_cast<int>(dead.size());
}

int fold_pad(Graph& graph) {
  int folded = 0;
  const GraphIndex index(graph);
  for (Node& conv : graph.nodes) {
    if (!conv.is("Conv") || conv.attr_string("auto_pad", "NOTSET") != "NOTSET") continue;
    const int32_t producer = index.producer(conv.input(0));
    if (producer < 0 || !graph.nodes[static_cast<size_t>(producer)].is("Pad")) continue;
    const Node& pad = graph.nodes[static_cast<size_t>(producer)];
    const auto extra = spatial_pads(graph, pad);
    const Tensor* weight = graph.constant(conv.input(1));
    if (!extra || !weight || extra->size() != 2 * static_cast<size_t>(weight->rank() - 2)) continue;
    std::vector<int64_t> pads = conv.attr_ints("pads", std::vector<int64_t>(extra->size(), 0));
    if (pads.size() != extra->size()) continue;
    for (size_t i = 0; i < pads.size(); ++i) pads[i] += (*extra)[i];
    conv.attributes["pads"] = pads;
    conv.inputs[0] = pad.inputs[0];
    ++folded;
  }
  if (folded) graph.remove_dead();
  return folded;
}

int fuse_gemm(Graph& graph) {
  int fused = 0;
  const GraphIndex index(graph);
  std::set<int32_t> dead;
  for (Node& node : graph.nodes) {
    if (!node.is("MatMul") || rank_of(graph, node.input(0)) != 2) continue;
    const Tensor* weight = graph.constant(node.input(1));
    if (!weight || weight->rank() != 2 || weight->dtype() != DType::float32) continue;
    node.op = "Gemm";
    node.attributes.clear();
    ++fused;
    const int32_t next = only_reader(graph, index, node.outputs[0]);
    if (next < 0 || !graph.nodes[static_cast<size_t>(next)].is("Add")) continue;
    const Node& add = graph.nodes[static_cast<size_t>(next)];
    const ValueId other = add.inputs[0] == node.outputs[0] ? add.inputs[1] : add.inputs[0];
    const Tensor* bias = graph.constant(other);
    const bool vector = bias && bias->dtype() == DType::float32 && bias->count() == weight->dim(1) &&
                        bias->rank() >= 1 && bias->rank() <= 2 && bias->dim(bias->rank() - 1) == weight->dim(1);
    if (!vector) continue;
    const ValueId flat = bias->rank() == 1
                             ? other
                             : graph.add_constant(graph.value(other).name + "_vector", bias->reshaped({bias->count()}));
    node.inputs.resize(3, kNone);
    node.inputs[2] = flat;
    node.outputs[0] = add.outputs[0];
    dead.insert(next);
  }
  erase_nodes(graph, dead);
  if (!dead.empty()) graph.remove_dead();
  return fused;
}

}  // namespace lowbit
