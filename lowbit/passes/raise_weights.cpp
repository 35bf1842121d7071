#include "lowbit/passes/raise_weights.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "lowbit/base/checked.h"
#include "lowbit/base/threads.h"
#include "lowbit/core/weights.h"
#include "lowbit/ops/broadcast.h"
#include "lowbit/ops/evaluate.h"
#include "lowbit/ops/op.h"
#include "lowbit/passes/code_matrix.h"
#include "lowbit/passes/raise_qdq.h"
#include "lowbit/passes/weight_hints.h"

namespace lowbit {
namespace {

/// Nodes before one weight; what this library writes needs fewer than 20.
constexpr size_t kMostNodes = 64;
/// Elements that decoding may make for each byte of the constants it reads: 8 one-bit codes, and parameters that are
/// repeated over blocks which stick out of the tensor. In vector systems, times the size of a vector.
constexpr int64_t kElementsPerByte = 32, kSmallElements = 1 << 16;

/// Computes values from constants only, within what the constants explain.
class ConstantCone {
 public:
  explicit ConstantCone(const Graph& graph) : graph_(graph), producers_(graph.producers()), threads_(1) {}

  /// Nothing if the value depends on an input, or on too much.
  std::optional<Tensor> value_of(ValueId id, int64_t vector_size = 1) {
    std::vector<int32_t> order;
    std::set<int32_t> seen;
    int64_t bytes = 0;
    if (!collect(id, order, seen, bytes)) return std::nullopt;
    const int64_t budget = std::max(kSmallElements, checked_mul(bytes, kElementsPerByte * vector_size));
    for (int32_t n : order)
      if (!compute(graph_.nodes[static_cast<size_t>(n)], budget)) return std::nullopt;
    const Tensor* found = tensor(id);
    return found ? std::optional(*found) : std::nullopt;
  }
  void forget() { made_.clear(); }

 private:
  const Tensor* tensor(ValueId id) const {
    if (const Tensor* constant = graph_.constant(id)) return constant;
    const auto found = made_.find(id);
    return found == made_.end() ? nullptr : &found->second;
  }

  /// The nodes before `id` in the order of the graph, with an own stack: the depth of a file is not ours to trust.
  bool collect(ValueId id, std::vector<int32_t>& order, std::set<int32_t>& seen, int64_t& bytes) const {
    std::vector<ValueId> pending = {id};
    while (!pending.empty()) {
      const ValueId next = pending.back();
      pending.pop_back();
      if (next == kNone) continue;
      if (const Tensor* constant = graph_.constant(next)) {
        if (graph_.value(next).quantization) return false;
        bytes = checked_add(bytes, static_cast<int64_t>(constant->byte_size()));
        continue;
      }
      const int32_t n = producers_[static_cast<size_t>(next)];
      if (n < 0) return false;
      if (!seen.insert(n).second) continue;
      if (seen.size() > kMostNodes) return false;
      const Node& node = graph_.nodes[static_cast<size_t>(n)];
      pending.insert(pending.end(), node.inputs.begin(), node.inputs.end());
    }
    order.assign(seen.begin(), seen.end());  // nodes are in topological order
    return true;
  }

  bool compute(const Node& node, int64_t budget) {
    const OpDef* op = find_op(node);
    if (!op || !op->reference || op->nondeterministic || op->kind == OpKind::control) return false;
    if (made_.count(node.output())) return true;
    std::vector<const Tensor*> inputs;
    int64_t largest = 1;
    for (ValueId id : node.inputs) {
      inputs.push_back(id == kNone ? nullptr : tensor(id));
      if (id != kNone && !inputs.back()) return false;
      if (inputs.back()) largest = std::max(largest, inputs.back()->count());
    }
    try {
      if (!stays_within(node, inputs, largest, budget)) return false;
      std::vector<Tensor> outputs = evaluate_node(node, inputs, threads_);
      for (size_t i = 0; i < node.outputs.size(); ++i)
        if (node.outputs[i] != kNone) made_[node.outputs[i]] = std::move(outputs[i]);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::internal) throw;
      return false;
    }
    return true;
  }

  /// Only these operators decode weights; each makes at most this many elements.
  static bool stays_within(const Node& node, const std::vector<const Tensor*>& inputs, int64_t largest,
                           int64_t budget) {
    static const std::set<std::string_view> kSameSize = {"Cast",      "Reshape",          "Slice",   "Transpose",
                                                         "ReduceSum", "DequantizeLinear", "Identity"};
    static const std::set<std::string_view> kBroadcasting = {"Mul", "Div", "Mod", "Add", "Sub"};
    if (!node.domain.empty()) return false;
    if (kSameSize.count(node.op)) return largest <= budget;
    if (node.op == "Gather") return looks_up_rows(node, inputs, budget);
    if (kBroadcasting.count(node.op)) {
      if (inputs.size() != 2 || !inputs[0] || !inputs[1]) return false;
      return element_count(broadcast_dims(inputs[0]->dims(), inputs[1]->dims())) <= budget;
    }
    if (node.op == "Range") return in_range(inputs, budget);
    if (node.op != "Expand" || inputs.size() != 2 || !inputs[1] || inputs[1]->dtype() != DType::int64) return false;
    const auto wanted = inputs[1]->values<int64_t>();
    if (!inputs[0] || std::any_of(wanted.begin(), wanted.end(), [](int64_t dim) { return dim < 1; })) return false;
    return element_count(broadcast_dims(inputs[0]->dims(), {wanted.begin(), wanted.end()})) <= budget;
  }

  /// Levels, or vectors that are rows of a matrix.
  static bool looks_up_rows(const Node& node, const std::vector<const Tensor*>& inputs, int64_t budget) {
    if (inputs.size() != 2 || !inputs[0] || !inputs[1] || node.attributes.contains("axis")) return false;
    const int64_t rank = inputs[0]->rank();
    return (rank == 1 || rank == 2) && checked_mul(inputs[1]->count(), rank == 2 ? inputs[0]->dim(1) : 1) <= budget;
  }

  static bool in_range(const std::vector<const Tensor*>& inputs, int64_t budget) {
    if (inputs.size() != 3) return false;
    for (const Tensor* input : inputs)
      if (!input || input->dtype() != DType::int32 || input->count() != 1) return false;
    const int64_t start = inputs[0]->data<int32_t>()[0], end = inputs[1]->data<int32_t>()[0],
                  step = inputs[2]->data<int32_t>()[0];
    return step > 0 && (end - start) / step <= budget;
  }

  const Graph& graph_;
  std::vector<int32_t> producers_;
  ThreadPool threads_;
  std::map<ValueId, Tensor> made_;
};

class WeightRaiser {
 public:
  WeightRaiser(Graph& graph, const std::multimap<std::string, const WeightHint*, std::less<>>& hints)
      : graph_(graph), hints_(hints), cone_(graph) {}

  int run() {
    int raised = 0;
    const std::vector<int32_t> producers = graph_.producers();
    for (size_t v = 0; v < graph_.values.size(); ++v) {
      if (producers[v] < 0) continue;
      const auto [begin, end] = hints_.equal_range(graph_.values[v].name);
      for (auto hint = begin; hint != end; ++hint)
        if (raise(static_cast<ValueId>(v), *hint->second)) {
          ++raised;
          break;
        }
      cone_.forget();
    }
    if (raised == 0) return 0;
    for (Node& node : graph_.nodes)
      for (ValueId& id : node.outputs)
        if (made_.count(id)) id = kNone;
    std::erase_if(graph_.nodes, [](const Node& node) {
      return !node.outputs.empty() &&
             std::all_of(node.outputs.begin(), node.outputs.end(), [](ValueId id) { return id == kNone; });
    });
    graph_.remove_dead();
    return raised;
  }

 private:
  bool raise(ValueId id, const WeightHint& hint) {
    const std::optional<Tensor> values = cone_.value_of(id, hint.format.vector_size);
    if (!values || values->dtype() != DType::float32) return false;
    Quantization q;
    q.format = hint.format;
    q.granularity = hint.granularity;
    q.origin = "imported";
    try {
      const Dims& dims = values->dims();
      const int64_t groups = group_count(q.granularity, dims);
      if (!find_parameters(hint, q, groups, dims)) return false;
      if (!std::all_of(q.params.begin(), q.params.end(), [](float p) { return std::isfinite(p); })) return false;
      const Tensor again = fake_quantize(q, *values);
      if (!identical(again, *values)) return false;
    } catch (const Error& error) {
      if (error.code() == ErrorCode::internal) throw;
      return false;
    }
    Value& value = graph_.value(id);
    // Codes of vectors have dims of their own, so those weights stay values.
    value.constant = q.format.vector_size > 1 ? *values : encode_tensor(q, *values).cast(code_dtype(q));
    value.quantization = std::move(q);
    value.dtype = DType::float32;
    value.shape = to_shape(values->dims());
    made_.insert(id);
    return true;
  }

  bool find_parameters(const WeightHint& hint, Quantization& q, int64_t groups, const Dims& dims) {
    const auto each = static_cast<size_t>(q.format.system->param_count(q.format));
    const auto count = static_cast<size_t>(groups);
    if (!hint.levels.empty()) {
      const auto levels = floats(hint.levels, q, dims);
      if (!levels || levels->size() != checked_size(count, each)) return false;
      q.params = *levels;
      return true;
    }
    if (hint.parameters.size() != each) return false;
    std::vector<std::vector<float>> columns;
    for (const std::string& name : hint.parameters) {
      columns.emplace_back();
      if (name.empty()) continue;
      auto values = floats(name, q, dims);
      if (!values || values->size() != count) return false;
      columns.back() = std::move(*values);
    }
    std::optional<std::vector<float>> row;
    if (!hint.row.empty() && hint.row != kRowOfItsOwn && !(row = floats(hint.row, q, dims))) return false;
    if (row && row->size() != count) return false;
    for (size_t g = 0; g < count; ++g) {
      const size_t at = row ? static_cast<size_t>((*row)[g]) : hint.row.empty() ? 0 : g;
      size_t next = 0;
      for (const std::vector<float>& column : columns) {
        if (!column.empty()) {
          q.params.push_back(column[g]);
          continue;
        }
        if (at >= hint.rows.size() || next >= hint.rows[at].size()) return false;
        q.params.push_back(hint.rows[at][next++]);
      }
    }
    return true;
  }

  static size_t checked_size(size_t a, size_t b) {
    return static_cast<size_t>(checked_mul(static_cast<int64_t>(a), static_cast<int64_t>(b)));
  }

  /// A value as floats, group by group: block parameters along the first axis of a matrix come turned.
  std::optional<std::vector<float>> floats(const std::string& name, const Quantization& q, const Dims& dims) {
    const auto id = graph_.find_value(name);
    const auto found = id ? cone_.value_of(*id) : std::nullopt;
    if (!found || (!is_float(found->dtype()) && !is_integer(found->dtype()))) return std::nullopt;
    const Tensor tensor = found->cast(DType::float32);
    std::vector<float> values(tensor.values<float>().begin(), tensor.values<float>().end());
    const bool turned = q.granularity.kind == Granularity::Kind::group && q.granularity.axis == 1 && dims.size() == 2 &&
                        tensor.rank() == 2;
    if (!turned) return values;
    const auto rows = static_cast<size_t>(tensor.dim(0)), columns = static_cast<size_t>(tensor.dim(1));
    std::vector<float> result(values.size());
    for (size_t r = 0; r < rows; ++r)
      for (size_t c = 0; c < columns; ++c) result[c * rows + r] = values[r * columns + c];
    return result;
  }

  Graph& graph_;
  const std::multimap<std::string, const WeightHint*, std::less<>>& hints_;
  ConstantCone cone_;
  std::set<ValueId> made_;
};

int raise_graph(Graph& graph, const std::multimap<std::string, const WeightHint*, std::less<>>& hints) {
  int raised = 0;
  for (Node& node : graph.nodes)
    for (auto& [key, attribute] : node.attributes)
      if (auto* body = std::get_if<std::shared_ptr<Graph>>(&attribute); body && *body) {
        auto own = std::make_shared<Graph>(**body);
        if (const int inner = raise_graph(*own, hints); inner > 0) {
          *body = std::move(own);
          raised += inner;
        }
      }
  return raised + WeightRaiser(graph, hints).run();
}

}  // namespace

int raise_weights(Model& model) {
  std::vector<WeightHint> hints;
  for (const auto& [key, value] : model.metadata)
    if (key == kWeightHintsKey) hints = parse_weight_hints(value);
  if (hints.empty()) return 0;
  std::multimap<std::string, const WeightHint*, std::less<>> by_name;
  for (const WeightHint& hint : hints) by_name.emplace(hint.value, &hint);
  const int raised = raise_graph(model.graph, by_name);
  std::erase_if(model.metadata, [](const auto& entry) { return entry.first == kWeightHintsKey; });
  return raised;
}

int raise_model(Model& model) {
  const int weights = raise_weights(model);
  return weights + raise_qdq(model.graph);
}

}  // namespace lowbit
