#include "lowbit/passes/fold_constants.h"

#include <algorithm>
#include <map>

#include "lowbit/base/threads.h"
#include "lowbit/ops/op.h"

namespace lowbit {
namespace {

bool has_subgraph(const Node& node) {
  return std::any_of(node.attributes.begin(), node.attributes.end(),
                     [](const auto& item) { return std::holds_alternative<std::shared_ptr<Graph>>(item.second); });
}

/// What one pass over the nodes knows.
class Folder {
 public:
  Folder(Graph& graph, int64_t budget_bytes) : graph_(graph), budget_bytes_(budget_bytes), threads_(1) {}

  /// Folds in topological order, so that one walk reaches everything behind a folded node.
  int run() {
    int folded = 0;
    for (size_t i = 0; i < graph_.nodes.size();) {
      if (inline_if(i)) {
        ++folded;  // the branch's nodes stand at i now and are looked at next
        continue;
      }
      if (fold(graph_.nodes[i])) {
        ++folded;
        done_.push_back(i);
      }
      ++i;
    }
    remove_folded();
    return folded;
  }

 private:
  bool fold(const Node& node) {
    const OpDef* op = find_op(node);
    if (!op || !op->reference || op->nondeterministic || has_subgraph(node)) return false;
    return fold_measure(node) || fold_value(node, *op);
  }

  /// Shape and Size need the dimensions of their input, not its values.
  bool fold_measure(const Node& node) {
    if (!node.is("Shape") && !node.is("Size")) return false;
    if (node.input(0) == kNone || node.output(0) == kNone) return false;
    const Value& measured = graph_.value(node.input(0));
    const auto dims = measured.constant ? std::optional<Dims>(measured.constant->dims())
                      : measured.shape  ? concrete(*measured.shape)
                                        : std::nullopt;
    if (!dims) return false;
    // Shapes carry no elements: nothing is allocated for the stand-in but its dimensions.
    const int64_t rank = static_cast<int64_t>(dims->size());
    Tensor result =
        node.is("Size") ? Tensor::scalar<int64_t>(element_count(*dims)) : Tensor::from<int64_t>({rank}, *dims);
    if (node.is("Shape")) result = part_of(result, node, rank);
    set_constant(node.output(0), std::move(result));
    return true;
  }

  /// Attributes start and end of Shape.
  static Tensor part_of(const Tensor& dims, const Node& node, int64_t rank) {
    const auto bound = [rank](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank); };
    const int64_t begin = bound(node.attr_int("start", 0)), end = std::max(begin, bound(node.attr_int("end", rank)));
    return Tensor::from<int64_t>(
        {end - begin}, dims.values<int64_t>().subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)));
  }

  bool fold_value(const Node& node, const OpDef& op) {
    std::vector<const Tensor*> inputs;
    int64_t input_bytes = 0;
    for (ValueId id : node.inputs) {
      const Tensor* constant = id == kNone ? nullptr : graph_.constant(id);
      // A quantized constant is more than its values: its annotation would be lost.
      if (id != kNone && (!constant || graph_.value(id).quantization)) return false;
      inputs.push_back(constant);
      if (constant) input_bytes += static_cast<int64_t>(constant->byte_size());
    }
    if (static_cast<int>(inputs.size()) < op.min_inputs || exceeds_budget(node, input_bytes)) return false;
    EvalContext context(node, std::move(inputs), threads_);
    try {
      op.reference(context);
    } catch (const Error& error) {
      // What this build cannot compute stays a node; a broken model is reported by whoever runs or infers it, with the
      // values of the run.
      if (error.code() == ErrorCode::internal) throw;
      return false;
    }
    if (!complete(node, context.outputs(), input_bytes)) return false;
    for (size_t i = 0; i < node.outputs.size(); ++i)
      if (node.outputs[i] != kNone) set_constant(node.outputs[i], std::move(context.outputs()[i]));
    return true;
  }

  /// True if the inferred output is known to be too large: it is not even computed.
  bool exceeds_budget(const Node& node, int64_t input_bytes) const {
    int64_t bytes = 0;
    for (ValueId id : node.outputs) {
      if (id == kNone || !graph_.value(id).shape) continue;
      if (const auto dims = concrete(*graph_.value(id).shape)) {
        int64_t size;
        if (__builtin_mul_overflow(element_count(*dims), static_cast<int64_t>(dtype_bytes(graph_.value(id).dtype)),
                                   &size) ||
            __builtin_add_overflow(bytes, size, &bytes))
          return true;
      }
    }
    if (bytes > budget_bytes_ && bytes > input_bytes) return true;
    return makes_elements(node) && bytes == 0 && asked_elements(node) > budget_bytes_;
  }

  /// Operators whose output size is a number in an input; the only ones that grow without bound.
  static bool makes_elements(const Node& node) {
    return node.domain.empty() && (node.op == "ConstantOfShape" || node.op == "Expand" || node.op == "Tile" ||
                                   node.op == "Pad" || node.op == "OneHot" || node.op == "Range");
  }

  /// A bound from above on what the size inputs of such an operator ask for, where it is simple; else the largest
  /// number.
  int64_t asked_elements(const Node& node) const {
    if (!node.is("ConstantOfShape") && !node.is("Expand")) return 0;
    const Tensor* shape = graph_.constant(node.inputs[node.is("Expand") ? 1 : 0]);
    if (!shape || !is_integer(shape->dtype())) return 0;
    int64_t elements = 1;
    for (int64_t dim : to_int64(*shape))
      if (__builtin_mul_overflow(elements, std::max<int64_t>(dim, 1), &elements)) return budget_bytes_ + 1;
    return elements;
  }

  bool complete(const Node& node, const std::vector<Tensor>& outputs, int64_t input_bytes) const {
    int64_t bytes = 0;
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i] == kNone) continue;
      if (i >= outputs.size() || !outputs[i].defined()) return false;
      bytes += static_cast<int64_t>(outputs[i].byte_size());
    }
    return bytes <= budget_bytes_ || bytes <= input_bytes;
  }

  void set_constant(ValueId id, Tensor tensor) {
    Value& value = graph_.value(id);
    value.dtype = tensor.dtype();
    value.shape = to_shape(tensor.dims());
    value.constant = std::move(tensor);
  }

  /// Replaces an If with a constant condition at position i by the nodes of the branch taken.
  bool inline_if(size_t i) {
    if (!graph_.nodes[i].is("If") || graph_.nodes[i].input(0) == kNone) return false;
    const Tensor* condition = graph_.constant(graph_.nodes[i].inputs[0]);
    if (!condition || condition->count() != 1 || condition->dtype() != DType::bool_) return false;
    const Node owner = graph_.nodes[i];
    const Graph* branch = owner.attr_graph(condition->data<bool>()[0] ? "then_branch" : "else_branch");
    if (!branch || !branch->inputs.empty() || branch->outputs.size() < owner.outputs.size()) return false;
    const std::vector<ValueId> outer = adopt_values(*branch, owner);
    std::vector<Node> nodes;
    for (const Node& inner : branch->nodes) nodes.push_back(adopt_node(inner, outer));
    for (size_t k = 0; k < owner.outputs.size(); ++k) {
      if (owner.outputs[k] == kNone) continue;
      // The result keeps the If's own value, whose name the graph may promise.
      Node pass;
      pass.op = "Identity";
      pass.name = graph_.fresh_node_name(owner.name + "/output");
      pass.inputs = {outer[static_cast<size_t>(branch->outputs[k])]};
      pass.outputs = {owner.outputs[k]};
      nodes.push_back(std::move(pass));
    }
    const auto at = graph_.nodes.begin() + static_cast<std::ptrdiff_t>(i);
    graph_.nodes.insert(graph_.nodes.erase(at), std::make_move_iterator(nodes.begin()),
                        std::make_move_iterator(nodes.end()));
    return true;
  }

  /// Gives every value of the branch an id in the outer graph: captures have one, the rest are added.
  std::vector<ValueId> adopt_values(const Graph& branch, const Node& owner) {
    std::vector<ValueId> outer(branch.values.size(), kNone);
    for (const auto& [outside, inside] : branch.captures) outer[static_cast<size_t>(inside)] = outside;
    for (size_t k = 0; k < branch.values.size(); ++k) {
      if (outer[k] != kNone) continue;
      const Value& value = branch.values[k];
      outer[k] = graph_.add_value(owner.name + "/" + value.name, value.dtype, value.shape);
      graph_.value(outer[k]).constant = value.constant;
      graph_.value(outer[k]).quantization = value.quantization;
    }
    return outer;
  }

  Node adopt_node(Node node, const std::vector<ValueId>& outer) {
    node.name = graph_.fresh_node_name(node.name);
    for (ValueId& id : node.inputs)
      if (id != kNone) id = outer[static_cast<size_t>(id)];
    for (ValueId& id : node.outputs)
      if (id != kNone) id = outer[static_cast<size_t>(id)];
    for (auto& [key, attribute] : node.attributes)
      if (auto* body = std::get_if<std::shared_ptr<Graph>>(&attribute); body && *body) {
        // Bodies are shared between copies of a graph; the copy is ours to rewire.
        *body = std::make_shared<Graph>(**body);
        for (auto& capture : (*body)->captures) capture.first = outer[static_cast<size_t>(capture.first)];
      }
    return node;
  }

  void remove_folded() {
    std::vector<bool> gone(graph_.nodes.size());
    for (size_t i : done_) gone[i] = true;
    std::vector<Node> kept;
    for (size_t i = 0; i < graph_.nodes.size(); ++i)
      if (!gone[i]) kept.push_back(std::move(graph_.nodes[i]));
    graph_.nodes = std::move(kept);
  }

  Graph& graph_;
  int64_t budget_bytes_;
  ThreadPool threads_;
  std::vector<size_t> done_;
};

}  // namespace

int fold_constants(Graph& graph, int64_t budget_bytes) {
  const int folded = Folder(graph, budget_bytes).run();
  if (folded > 0) graph.remove_dead();
  return folded;
}

}  // namespace lowbit
