#include "lowbit/ops/infer_shapes.h"

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/core/weights.h"
#include "lowbit/ops/control.h"
#include "lowbit/ops/op.h"
#include "lowbit/ops/op_helpers.h"

namespace lowbit {
namespace {

constexpr int kMaxInferDepth = 64;
/// Longer integer vectors hold data, not shapes.
constexpr int64_t kMaxTrackedElements = 1024;

using TrackedDims = std::vector<std::optional<std::vector<Dim>>>;

/// What two sources know of one dimension: a number before a symbol before nothing.
Dim merge_dim(const Dim& declared, const Dim& inferred) {
  if (declared.known() || inferred.known()) return declared.known() ? declared : inferred;
  return declared.symbol.empty() ? inferred : declared;
}

/// Writes what was inferred into a value: what is declared stays where inference knows less.
void merge_into(Value& value, DType type, const std::optional<Shape>& shape) {
  if (type != DType::undefined) {
    if (value.dtype != DType::undefined && value.dtype != type)
      refuse("'{}' is declared as {}, but the operator gives {}", printable(value.name), dtype_name(value.dtype),
             dtype_name(type));
    value.dtype = type;
  }
  if (!shape) return;
  if (!value.shape) {
    value.shape = shape;
    return;
  }
  const auto contradiction = [&] {
    refuse("'{}' is declared with shape {}, but the operator gives {}", printable(value.name), shape_text(*value.shape),
           shape_text(*shape));
  };
  if (value.shape->size() != shape->size()) contradiction();
  for (size_t i = 0; i < shape->size(); ++i) {
    Dim& declared = (*value.shape)[i];
    const Dim& inferred = (*shape)[i];
    if (declared.known() && inferred.known() && *declared.size != *inferred.size) contradiction();
    declared = merge_dim(declared, inferred);
  }
}

class NodeInference : public InferContext {
 public:
  NodeInference(Graph& graph, const Node& node, TrackedDims& tracked) : graph_(graph), node_(node), tracked_(tracked) {}

  const Node& node() const override { return node_; }
  bool has_input(size_t i) const override { return node_.input(i) != kNone; }
  DType input_dtype(size_t i) const override { return has_input(i) ? value(i).dtype : DType::undefined; }
  const Shape* input_shape(size_t i) const override {
    return has_input(i) && value(i).shape ? &*value(i).shape : nullptr;
  }
  const Tensor* input_constant(size_t i) const override {
    // Codes are not the numbers that a shape may depend on.
    return has_input(i) && !holds_codes(value(i)) ? graph_.constant(node_.input(i)) : nullptr;
  }

  std::optional<std::vector<Dim>> input_dims(size_t i) const override {
    if (!has_input(i)) return std::nullopt;
    if (const auto& known = tracked_[static_cast<size_t>(node_.input(i))]) return known;
    const Tensor* constant = input_constant(i);
    if (!constant || constant->rank() > 1 || constant->count() > kMaxTrackedElements || !is_integer(constant->dtype()))
      return std::nullopt;
    std::vector<Dim> dims;
    for (int64_t n : to_int64(*constant)) dims.emplace_back(n);
    return dims;
  }

  void set_output(size_t i, DType type, std::optional<Shape> shape) override {
    if (node_.output(i) == kNone) return;
    if (shape)
      for (const Dim& dim : *shape)
        if (dim.known() && *dim.size < 0) refuse("output {} would have the shape {}", i, shape_text(*shape));
    merge_into(graph_.value(node_.output(i)), type, shape);
  }

  void set_output_dims(size_t i, std::vector<Dim> dims) override {
    if (node_.output(i) != kNone && static_cast<int64_t>(dims.size()) <= kMaxTrackedElements)
      tracked_[static_cast<size_t>(node_.output(i))] = std::move(dims);
  }

 private:
  const Value& value(size_t i) const { return graph_.value(node_.input(i)); }
  Graph& graph_;
  const Node& node_;
  TrackedDims& tracked_;
};

void infer_graph(Graph& graph, TrackedDims tracked, int depth);

void infer_body(const Graph& outer, const TrackedDims& outer_tracked, const InferContext& context, Graph& body,
                int depth) {
  TrackedDims tracked(body.values.size());
  for (const auto& [from, to] : body.captures) {
    const Value& source = outer.value(from);
    merge_into(body.value(to), source.dtype, source.shape);
    if (source.constant && !body.value(to).constant && source.constant->count() <= kMaxTrackedElements &&
        source.constant->rank() <= 1 && is_integer(source.dtype)) {
      tracked[static_cast<size_t>(to)].emplace();
      for (int64_t n : to_int64(*source.constant)) tracked[static_cast<size_t>(to)]->emplace_back(n);
    } else {
      tracked[static_cast<size_t>(to)] = outer_tracked[static_cast<size_t>(from)];
    }
  }
  seed_body_inputs(context, body);
  infer_graph(body, std::move(tracked), depth);
}

void infer_node(Graph& graph, const Node& node, TrackedDims& tracked, int depth) {
  NodeInference context(graph, node, tracked);
  for (const auto& [key, attribute] : node.attributes)
    if (const auto* body = std::get_if<std::shared_ptr<Graph>>(&attribute))
      if (*body) infer_body(graph, tracked, context, **body, depth + 1);
  const OpDef* op = find_op(node);
  if (!op || !op->infer) return;
  const auto inputs = static_cast<int64_t>(node.inputs.size());
  if (inputs < op->min_inputs || (op->max_inputs >= 0 && inputs > op->max_inputs))
    refuse("{} inputs; the operator takes {} to {}", inputs, op->min_inputs,
           op->max_inputs < 0 ? "any number" : std::to_string(op->max_inputs));
  op->infer(context);
}

void infer_graph(Graph& graph, TrackedDims tracked, int depth) {
  if (depth > kMaxInferDepth) refuse("subgraphs are nested deeper than {} levels", kMaxInferDepth);
  for (Value& value : graph.values)
    if (value.constant)
      merge_into(value, holds_codes(value) ? DType::float32 : value.constant->dtype(),
                 to_shape(value.constant->dims()));
  for (const Node& node : graph.nodes) {
    try {
      infer_node(graph, node, tracked, depth);
    } catch (const Error& error) {
      if (!error.where().empty()) throw;
      throw Error(error.code(), error.message(),
                  fmt::format("node '{}' ({})", printable(node.name), printable(node.full_op())));
    }
  }
}

}  // namespace

void infer_shapes(Graph& graph) { infer_graph(graph, TrackedDims(graph.values.size()), 0); }

void bind_symbols(Graph& graph, const std::map<std::string, int64_t, std::less<>>& symbols, int64_t fallback) {
  for (ValueId id : graph.inputs) {
    if (!graph.value(id).shape) continue;
    for (Dim& dim : *graph.value(id).shape) {
      if (dim.known()) continue;
      const auto found = dim.symbol.empty() ? symbols.end() : symbols.find(dim.symbol);
      if (found != symbols.end())
        dim = Dim(found->second);
      else if (fallback > 0)
        dim = Dim(fallback);
    }
  }
  infer_shapes(graph);
}

}  // namespace lowbit
