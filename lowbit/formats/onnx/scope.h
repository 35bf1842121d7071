// scope.h: one graph of a model while it is being read: names to values, with the enclosing scopes for what subgraphs
// capture, and unique names for what an upgrade adds.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "lowbit/core/graph.h"

namespace lowbit::onnx_format {

class GraphScope {
 public:
  GraphScope(Graph& graph, GraphScope* parent) : graph_(graph), parent_(parent) {}

  Graph& graph() { return graph_; }
  bool is_main() const { return parent_ == nullptr; }
  bool has(const std::string& name) const { return ids_.count(name) > 0; }

  /// A new value with exactly this name; the name must not be taken.
  ValueId define(const std::string& name, DType type = DType::undefined, std::optional<Shape> shape = std::nullopt);
  /// The value of that name here, or captured from an enclosing graph.
  std::optional<ValueId> resolve(const std::string& name);

  /// A value or constant under `wanted`, with a number where that is taken.
  ValueId fresh_value(const std::string& wanted);
  ValueId fresh_constant(const std::string& wanted, Tensor tensor);
  /// Gives the node its name for good: its own, a numbered one where that is taken, or "Conv_3" where it has none.
  void claim_name(Node& node);
  /// Adds the node, named by claim_name if that was not done before.
  void emit(Node node);
  /// Names that the file gives must be known before the first node is named after its operator.
  void reserve_node_name(const std::string& name) { reserved_names_.insert(name); }

  /// The tensor of a constant, of a Constant node, or of a captured constant; null if it is none.
  const Tensor* constant(ValueId id) const;
  std::optional<int64_t> rank(ValueId id) const;

  /// True if the model holds floats other than float32.
  bool mixed_floats() const { return parent_ ? parent_->mixed_floats() : mixed_floats_; }
  void note_type(DType type) { mixed_floats_ |= is_float(type) && type != DType::float32; }

  /// Outputs of Softmax nodes of before opset 13 whose rank was not known; the reader settles them at the end.
  std::vector<ValueId> pending_softmax;

 private:
  std::string fresh_name(const std::string& wanted);
  Graph& graph_;
  GraphScope* parent_;
  bool mixed_floats_ = false;
  std::unordered_map<std::string, ValueId> ids_;
  std::unordered_map<std::string, int> next_value_, next_node_;
  std::unordered_set<std::string> node_names_, reserved_names_, claimed_names_;
  std::unordered_map<ValueId, Tensor> constant_nodes_;
};

}  // namespace lowbit::onnx_format
