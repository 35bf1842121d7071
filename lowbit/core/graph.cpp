#include "lowbit/core/graph.h"

#include <algorithm>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "lowbit/base/text.h"

namespace lowbit {
namespace {

template <typename T>
const T* find_attribute(const Node& node, std::string_view key) {
  const auto found = node.attributes.find(key);
  if (found == node.attributes.end()) return nullptr;
  const T* value = std::get_if<T>(&found->second);
  if (!value)
    throw Error(ErrorCode::bad_file, fmt::format("attribute '{}' of {} has the wrong type", key, node.op),
                "node " + printable(node.name));
  return value;
}

/// Subgraphs of a node.
std::vector<Graph*> subgraphs(const Node& node) {
  std::vector<Graph*> result;
  for (const auto& [key, attribute] : node.attributes)
    if (const auto* graph = std::get_if<std::shared_ptr<Graph>>(&attribute)) result.push_back(graph->get());
  return result;
}

}  // namespace

int64_t Node::attr_int(std::string_view key, int64_t fallback) const {
  const auto* value = find_attribute<int64_t>(*this, key);
  return value ? *value : fallback;
}
float Node::attr_float(std::string_view key, float fallback) const {
  const auto* value = find_attribute<float>(*this, key);
  return value ? *value : fallback;
}
std::string Node::attr_string(std::string_view key, std::string_view fallback) const {
  const auto* value = find_attribute<std::string>(*this, key);
  return value ? *value : std::string(fallback);
}
std::vector<int64_t> Node::attr_ints(std::string_view key, std::vector<int64_t> fallback) const {
  const auto* value = find_attribute<std::vector<int64_t>>(*this, key);
  return value ? *value : std::move(fallback);
}
std::vector<float> Node::attr_floats(std::string_view key, std::vector<float> fallback) const {
  const auto* value = find_attribute<std::vector<float>>(*this, key);
  return value ? *value : std::move(fallback);
}
std::vector<std::string> Node::attr_strings(std::string_view key) const {
  const auto* value = find_attribute<std::vector<std::string>>(*this, key);
  return value ? *value : std::vector<std::string>{};
}
const Tensor* Node::attr_tensor(std::string_view key) const { return find_attribute<Tensor>(*this, key); }
const Graph* Node::attr_graph(std::string_view key) const {
  const auto* value = find_attribute<std::shared_ptr<Graph>>(*this, key);
  return value ? value->get() : nullptr;
}

ValueId Graph::add_value(std::string wanted, DType type, std::optional<Shape> shape) {
  if (wanted.empty()) wanted = "value";
  std::string free = wanted;
  for (int i = 1; find_value(free); ++i) free = fmt::format("{}_{}", wanted, i);
  Value added;
  added.name = std::move(free);
  added.dtype = type;
  added.shape = std::move(shape);
  values.push_back(std::move(added));
  return static_cast<ValueId>(values.size()) - 1;
}

ValueId Graph::add_constant(std::string wanted, Tensor tensor) {
  const ValueId id = add_value(std::move(wanted), tensor.dtype(), to_shape(tensor.dims()));
  value(id).constant = std::move(tensor);
  return id;
}

std::string Graph::fresh_node_name(const std::string& wanted) const {
  std::unordered_set<std::string_view> taken;
  for (const Node& node : nodes) taken.insert(node.name);
  std::string free = wanted;
  for (int i = 1; taken.count(free); ++i) free = fmt::format("{}_{}", wanted, i);
  return free;
}

std::optional<ValueId> Graph::find_value(std::string_view wanted) const {
  for (size_t i = 0; i < values.size(); ++i)
    if (values[i].name == wanted) return static_cast<ValueId>(i);
  return std::nullopt;
}

const Tensor* Graph::constant(ValueId id) const {
  if (id == kNone || !value(id).constant) return nullptr;
  return &*value(id).constant;
}

std::vector<int32_t> Graph::producers() const {
  std::vector<int32_t> result(values.size(), -1);
  for (size_t n = 0; n < nodes.size(); ++n)
    for (ValueId id : nodes[n].outputs)
      if (id != kNone) result[static_cast<size_t>(id)] = static_cast<int32_t>(n);
  return result;
}

std::vector<std::vector<Graph::Use>> Graph::uses() const {
  std::vector<std::vector<Use>> result(values.size());
  for (size_t n = 0; n < nodes.size(); ++n) {
    const auto node = static_cast<int32_t>(n);
    for (size_t i = 0; i < nodes[n].inputs.size(); ++i)
      if (nodes[n].inputs[i] != kNone)
        result[static_cast<size_t>(nodes[n].inputs[i])].push_back({node, static_cast<int32_t>(i)});
    for (const Graph* body : subgraphs(nodes[n]))
      for (const auto& [outer, inner] : body->captures) result[static_cast<size_t>(outer)].push_back({node, -1});
  }
  return result;
}

bool Graph::is_output(ValueId id) const { return std::find(outputs.begin(), outputs.end(), id) != outputs.end(); }

void Graph::replace_uses(ValueId from, ValueId to) {
  for (Node& node : nodes) {
    std::replace(node.inputs.begin(), node.inputs.end(), from, to);
    for (Graph* body : subgraphs(node))
      for (auto& [outer, inner] : body->captures)
        if (outer == from) outer = to;
  }
  if (!is_output(from)) return;
  // The caller of a model knows an output by its name, so the name goes with the output, unless `to` is public itself.
  std::replace(outputs.begin(), outputs.end(), from, to);
  const bool to_is_public =
      std::find(inputs.begin(), inputs.end(), to) != inputs.end() || std::count(outputs.begin(), outputs.end(), to) > 1;
  if (!to_is_public) std::swap(value(from).name, value(to).name);
}

void Graph::sort() {
  const std::vector<int32_t> made_by = producers();
  std::vector<int32_t> waiting(nodes.size(), 0);
  std::vector<std::vector<int32_t>> readers(nodes.size());
  for (size_t n = 0; n < nodes.size(); ++n) {
    std::set<int32_t> before;
    const auto depends_on = [&](ValueId id) {
      if (id != kNone && made_by[static_cast<size_t>(id)] >= 0) before.insert(made_by[static_cast<size_t>(id)]);
    };
    for (ValueId id : nodes[n].inputs) depends_on(id);
    for (const Graph* body : subgraphs(nodes[n]))
      for (const auto& [outer, inner] : body->captures) depends_on(outer);
    waiting[n] = static_cast<int32_t>(before.size());
    for (int32_t b : before) readers[static_cast<size_t>(b)].push_back(static_cast<int32_t>(n));
  }
  std::set<int32_t> ready;  // lowest index first: keeps the given order where it is valid
  for (size_t n = 0; n < nodes.size(); ++n)
    if (waiting[n] == 0) ready.insert(static_cast<int32_t>(n));
  std::vector<Node> sorted;
  sorted.reserve(nodes.size());
  while (!ready.empty()) {
    const auto n = static_cast<size_t>(*ready.begin());
    ready.erase(ready.begin());
    sorted.push_back(std::move(nodes[n]));
    for (int32_t reader : readers[n])
      if (--waiting[static_cast<size_t>(reader)] == 0) ready.insert(reader);
  }
  if (sorted.size() != nodes.size()) throw Error(ErrorCode::bad_file, "the graph has a cycle (the file is damaged)");
  nodes = std::move(sorted);
}

int Graph::remove_dead() {
  std::vector<char> needed(values.size(), 0);
  for (ValueId id : outputs) needed[static_cast<size_t>(id)] = 1;
  std::vector<char> keep(nodes.size(), 0);
  for (size_t n = nodes.size(); n-- > 0;) {
    for (ValueId id : nodes[n].outputs) keep[n] |= id != kNone && needed[static_cast<size_t>(id)];
    if (!keep[n]) continue;
    for (ValueId id : nodes[n].inputs)
      if (id != kNone) needed[static_cast<size_t>(id)] = 1;
    for (const Graph* body : subgraphs(nodes[n]))
      for (const auto& [outer, inner] : body->captures) needed[static_cast<size_t>(outer)] = 1;
  }
  size_t kept = 0;
  for (size_t n = 0; n < nodes.size(); ++n)
    if (keep[n]) {
      if (kept != n) nodes[kept] = std::move(nodes[n]);
      ++kept;
    }
  const int removed = static_cast<int>(nodes.size() - kept);
  nodes.resize(kept);
  for (size_t i = 0; i < values.size(); ++i)
    if (!needed[i]) {
      values[i].constant.reset();
      values[i].quantization.reset();
    }
  return removed;
}

WeightSummary summarize_weights(const Graph& graph) {
  WeightSummary summary;
  for (const Value& value : graph.values) {
    if (!value.constant || (!is_float(value.constant->dtype()) && !value.quantization)) continue;
    const int64_t count = value.constant->count();
    summary.parameters += count;
    summary.stored_bytes += value.quantization ? (storage_bits(*value.quantization, value.constant->dims()) + 7) / 8
                                               : (count * dtype_bits(value.constant->dtype()) + 7) / 8;
  }
  for (const Node& node : graph.nodes)
    for (const Graph* body : subgraphs(node)) {
      const WeightSummary inner = summarize_weights(*body);
      summary.parameters += inner.parameters;
      summary.stored_bytes += inner.stored_bytes;
    }
  return summary;
}

}  // namespace lowbit
