#include "lowbit/formats/onnx/scope.h"

#include <fmt/format.h>

namespace lowbit::onnx_format {

ValueId GraphScope::define(const std::string& name, DType type, std::optional<Shape> shape) {
  const auto id = static_cast<ValueId>(graph_.values.size());
  LOWBIT_CHECK(ids_.emplace(name, id).second);
  Value& value = graph_.values.emplace_back();
  value.name = name;
  value.dtype = type;
  value.shape = std::move(shape);
  return id;
}

std::optional<ValueId> GraphScope::resolve(const std::string& name) {
  if (const auto found = ids_.find(name); found != ids_.end()) return found->second;
  if (!parent_) return std::nullopt;
  const auto outer = parent_->resolve(name);
  if (!outer) return std::nullopt;
  const Value& source = parent_->graph_.value(*outer);
  const ValueId inner = define(name, source.dtype, source.shape);
  graph_.captures.emplace_back(*outer, inner);
  return inner;
}

std::string GraphScope::fresh_name(const std::string& wanted) {
  std::string name = wanted;
  for (int& next = next_value_[wanted]; has(name);) name = fmt::format("{}_{}", wanted, ++next);
  return name;
}

ValueId GraphScope::fresh_value(const std::string& wanted) { return define(fresh_name(wanted)); }

ValueId GraphScope::fresh_constant(const std::string& wanted, Tensor tensor) {
  const ValueId id = define(fresh_name(wanted), tensor.dtype(), to_shape(tensor.dims()));
  graph_.value(id).constant = std::move(tensor);
  return id;
}

void GraphScope::claim_name(Node& node) {
  const bool named = !node.name.empty();
  const std::string stem = named ? node.name : node.op;
  std::string name = stem;
  const auto taken = [&] {
    return (!named && name == stem) || node_names_.count(name) > 0 ||
           (name != node.name && reserved_names_.count(name) > 0);
  };
  for (int& next = next_node_[stem]; taken();) name = fmt::format("{}_{}", stem, next++);
  node_names_.insert(name);
  claimed_names_.insert(name);
  node.name = std::move(name);
}

void GraphScope::emit(Node node) {
  while (!node.inputs.empty() && node.inputs.back() == kNone) node.inputs.pop_back();
  while (!node.outputs.empty() && node.outputs.back() == kNone) node.outputs.pop_back();
  if (claimed_names_.erase(node.name) == 0) {
    claim_name(node);
    claimed_names_.erase(node.name);
  }
  if (node.is("Constant") && node.output() != kNone)
    if (const Tensor* value = node.attr_tensor("value")) constant_nodes_[node.output()] = *value;
  graph_.nodes.push_back(std::move(node));
}

const Tensor* GraphScope::constant(ValueId id) const {
  if (id == kNone) return nullptr;
  if (const Tensor* tensor = graph_.constant(id)) return tensor;
  if (const auto found = constant_nodes_.find(id); found != constant_nodes_.end()) return &found->second;
  for (const auto& [outer, inner] : graph_.captures)
    if (inner == id) return parent_->constant(outer);
  return nullptr;
}

std::optional<int64_t> GraphScope::rank(ValueId id) const {
  if (id == kNone) return std::nullopt;
  const auto& shape = graph_.value(id).shape;
  if (!shape) return std::nullopt;
  return static_cast<int64_t>(shape->size());
}

}  // namespace lowbit::onnx_format
