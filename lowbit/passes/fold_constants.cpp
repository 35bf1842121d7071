#include "lowbit/passes/fold_constants.h"

#include <algorithm>
#include <deque>
#include <iterator>
#include <map>
#include <unordered_set>

#include "lowbit/base/checked.h"
#include "lowbit/base/threads.h"
#include "lowbit/ops/op.h"

namespace lowbit {
namespace {

bool has_subgraph(const Node& node) {
  return std::any_of(node.attributes.begin(), node.attributes.end(),
                     [](const auto& item) { return std::holds_alternative<std::shared_ptr<Graph>>(item.second); });
}

/// Shape inference of one node whose inputs are all constants: tells how large the result will be before it is made.
class ConstantInference : public InferContext {
 public:
  ConstantInference(const Node& node, const std::vector<const Tensor*>& inputs) : node_(node), inputs_(inputs) {
    for (const Tensor* input : inputs) shapes_.push_back(input ? to_shape(input->dims()) : Shape{});
  }
  const Node& node() const override { return node_; }
  bool has_input(size_t i) const override { return i < inputs_.size() && inputs_[i]; }
  DType input_dtype(size_t i) const override { return has_input(i) ? inputs_[i]->dtype() : DType::undefined; }
  const Shape* input_shape(size_t i) const override { return has_input(i) ? &shapes_[i] : nullptr; }
  const Tensor* input_constant(size_t i) const override { return has_input(i) ? inputs_[i] : nullptr; }
  std::optional<std::vector<Dim>> input_dims(size_t) const override { return std::nullopt; }
  void set_output(size_t, DType type, std::optional<Shape> shape) override {
    // Where inference knows too little the result is bounded by the inputs (NonZero, Unique, Compress).
    const auto dims = shape ? concrete(*shape) : std::nullopt;
    if (!dims) return;
    bytes_ = checked_add(bytes_, checked_mul(element_count(*dims), static_cast<int64_t>(dtype_bytes(type))));
  }
  void set_output_dims(size_t, std::vector<Dim>) override {}
  int64_t output_bytes() const { return bytes_; }

 private:
  const Node& node_;
  const std::vector<const Tensor*>& inputs_;
  std::vector<Shape> shapes_;
  int64_t bytes_ = 0;
};

/// Names that are taken, so that inlining many nodes does not search the graph for each.
class Names {
 public:
  void take(const std::string& name) { taken_.insert(name); }
  std::string fresh(const std::string& wanted) {
    std::string name = wanted;
    while (!taken_.insert(name).second) name = wanted + "_" + std::to_string(++counter_);
    return name;
  }

 private:
  std::unordered_set<std::string> taken_;
  int64_t counter_ = 0;
};

/// Walks the nodes once in topological order: everything behind a folded node is reached by the same walk, and the
/// nodes of an inlined branch are looked at where the If stood.
class Folder {
 public:
  /// `outer`: the folder of the graph around this one; null for the whole network.
  Folder(Graph& graph, int64_t budget_bytes, const Folder* outer = nullptr)
      : graph_(graph), budget_bytes_(budget_bytes), outer_(outer), threads_(1) {
    for (const Node& node : graph_.nodes) node_names_.take(node.name);
    for (const Value& value : graph_.values) value_names_.take(value.name);
  }

  int run() {
    int folded = 0;
    std::deque<Node> pending(std::make_move_iterator(graph_.nodes.begin()),
                             std::make_move_iterator(graph_.nodes.end()));
    std::vector<Node> kept;
    while (!pending.empty()) {
      Node node = std::move(pending.front());
      pending.pop_front();
      if (const Graph* branch = branch_taken(node)) {
        std::vector<Node> nodes = inlined(node, *branch);
        pending.insert(pending.begin(), std::make_move_iterator(nodes.begin()), std::make_move_iterator(nodes.end()));
        ++folded;
      } else if (fold(node)) {
        ++folded;
      } else {
        folded += fold_bodies(node);
        kept.push_back(std::move(node));
      }
    }
    graph_.nodes = std::move(kept);
    return folded;
  }

 private:
  /// Inside the subgraphs of a node, constants of the graphs around them included.
  int fold_bodies(Node& node) {
    int folded = 0;
    for (auto& [key, attribute] : node.attributes) {
      auto* body = std::get_if<std::shared_ptr<Graph>>(&attribute);
      if (!body || !*body) continue;
      auto own = std::make_shared<Graph>(**body);  // copies of a graph share their bodies
      if (const int inside = Folder(*own, budget_bytes_, this).run(); inside > 0) {
        own->remove_dead();
        drop_unread_captures(*own);
        *body = std::move(own);
        folded += inside;
      }
    }
    return folded;
  }

  static void drop_unread_captures(Graph& body) {
    std::unordered_set<ValueId> read(body.outputs.begin(), body.outputs.end());
    for (const Node& node : body.nodes) {
      read.insert(node.inputs.begin(), node.inputs.end());
      for (const auto& [key, attribute] : node.attributes)
        if (const auto* inner = std::get_if<std::shared_ptr<Graph>>(&attribute); inner && *inner)
          for (const auto& [outside, inside] : (*inner)->captures) read.insert(outside);
    }
    std::erase_if(body.captures, [&](const auto& capture) { return !read.contains(capture.second); });
  }

  /// The constant that a value is here or in a graph around this one; null for any other, and for annotated ones: a
  /// quantized constant is more than its values, and its annotation would be lost.
  const Tensor* plain_constant(ValueId id) const {
    if (id == kNone) return nullptr;
    const Value& value = graph_.value(id);
    if (value.constant) return value.quantization ? nullptr : &*value.constant;
    if (outer_)
      for (const auto& [outside, inside] : graph_.captures)
        if (inside == id) return outer_->plain_constant(outside);
    return nullptr;
  }

  /// A subgraph's results are made by its nodes: whoever runs it copies them out.
  bool makes_a_result_of_a_body(const Node& node) const {
    return outer_ && std::any_of(node.outputs.begin(), node.outputs.end(), [&](ValueId id) {
             return std::find(graph_.outputs.begin(), graph_.outputs.end(), id) != graph_.outputs.end();
           });
  }

  bool fold(const Node& node) {
    if (makes_a_result_of_a_body(node)) return false;
    const OpDef* op = find_op(node);
    if (!op || !op->reference || op->nondeterministic || has_subgraph(node)) return false;
    return fold_measure(node, *op) || fold_value(node, *op);
  }

  /// Shape and Size need the dimensions of their input, not its values.
  bool fold_measure(const Node& node, const OpDef& op) {
    if ((!node.is("Shape") && !node.is("Size")) || node.input(0) == kNone) return false;
    const Value& measured = graph_.value(node.input(0));
    const auto dims = measured.shape ? concrete(*measured.shape) : std::nullopt;
    if (measured.constant || !dims) return false;
    // A stand-in with the right dimensions; uninitialised pages of it are never touched. One above the system's limit
    // is left alone.
    if (element_count(*dims) > kMaxStandIn) return false;
    const Tensor stand_in = Tensor::uninitialized(DType::uint8, *dims);
    return compute(node, op, {&stand_in}, 0);
  }

  bool fold_value(const Node& node, const OpDef& op) {
    std::vector<const Tensor*> inputs;
    int64_t input_bytes = 0;
    for (ValueId id : node.inputs) {
      const Tensor* constant = plain_constant(id);
      if (id != kNone && !constant) return false;
      inputs.push_back(constant);
      if (constant) input_bytes += static_cast<int64_t>(constant->byte_size());
    }
    if (static_cast<int>(inputs.size()) < op.min_inputs) return false;
    return compute(node, op, inputs, input_bytes);
  }

  bool fits_budget(int64_t bytes, int64_t input_bytes) const { return bytes <= budget_bytes_ || bytes <= input_bytes; }

  /// Runs the reference and stores its results. False (and nothing changed) if the result would be too large, or if
  /// the node cannot be computed: then it stays, and whoever runs or infers it reports why.
  bool compute(const Node& node, const OpDef& op, const std::vector<const Tensor*>& inputs, int64_t input_bytes) {
    EvalContext context(node, inputs, threads_);
    try {
      if (op.infer) {
        ConstantInference inference(node, inputs);
        op.infer(inference);
        if (!fits_budget(inference.output_bytes(), input_bytes)) return false;
      }
      op.reference(context);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::internal) throw;
      return false;
    }
    int64_t bytes = 0;
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i] == kNone) continue;
      if (!context.outputs()[i].defined()) return false;
      bytes += static_cast<int64_t>(context.outputs()[i].byte_size());
    }
    if (!fits_budget(bytes, input_bytes)) return false;
    for (size_t i = 0; i < node.outputs.size(); ++i)
      if (node.outputs[i] != kNone) set_constant(node.outputs[i], std::move(context.outputs()[i]));
    return true;
  }

  void set_constant(ValueId id, Tensor tensor) {
    Value& value = graph_.value(id);
    value.dtype = tensor.dtype();
    value.shape = to_shape(tensor.dims());
    value.constant = std::move(tensor);
  }

  /// The branch of an If with a constant condition, or null.
  const Graph* branch_taken(const Node& node) const {
    if (!node.is("If")) return nullptr;
    const Tensor* condition = graph_.constant(node.input(0));
    if (!condition || condition->count() != 1 || condition->dtype() != DType::bool_) return nullptr;
    const Graph* branch = node.attr_graph(condition->data<bool>()[0] ? "then_branch" : "else_branch");
    return branch && branch->inputs.empty() && branch->outputs.size() >= node.outputs.size() ? branch : nullptr;
  }

  std::vector<Node> inlined(const Node& owner, const Graph& branch) {
    const std::vector<ValueId> outer = adopt_values(branch, owner);
    std::vector<Node> nodes;
    for (const Node& inner : branch.nodes) nodes.push_back(adopt_node(inner, outer));
    for (size_t k = 0; k < owner.outputs.size(); ++k) {
      if (owner.outputs[k] == kNone) continue;
      // The result keeps the If's own value, whose name the graph may promise.
      Node pass;
      pass.op = "Identity";
      pass.name = node_names_.fresh(owner.name + "/output");
      pass.inputs = {outer[static_cast<size_t>(branch.outputs[k])]};
      pass.outputs = {owner.outputs[k]};
      nodes.push_back(std::move(pass));
    }
    return nodes;
  }

  /// Gives every value of the branch an id in the outer graph: captures have one, the rest are added.
  std::vector<ValueId> adopt_values(const Graph& branch, const Node& owner) {
    std::vector<ValueId> outer(branch.values.size(), kNone);
    for (const auto& [outside, inside] : branch.captures) outer[static_cast<size_t>(inside)] = outside;
    for (size_t k = 0; k < branch.values.size(); ++k) {
      if (outer[k] != kNone) continue;
      Value value = branch.values[k];
      value.name = value_names_.fresh(owner.name + "/" + value.name);
      outer[k] = static_cast<ValueId>(graph_.values.size());
      graph_.values.push_back(std::move(value));
    }
    return outer;
  }

  Node adopt_node(Node node, const std::vector<ValueId>& outer) {
    node.name = node_names_.fresh(node.name);
    for (auto* ids : {&node.inputs, &node.outputs})
      for (ValueId& id : *ids)
        if (id != kNone) id = outer[static_cast<size_t>(id)];
    for (auto& [key, attribute] : node.attributes)
      if (auto* body = std::get_if<std::shared_ptr<Graph>>(&attribute); body && *body) {
        // Bodies are shared between copies of a graph; this copy is ours to rewire.
        *body = std::make_shared<Graph>(**body);
        for (auto& capture : (*body)->captures) capture.first = outer[static_cast<size_t>(capture.first)];
      }
    return node;
  }

  static constexpr int64_t kMaxStandIn = int64_t{1} << 30;
  Graph& graph_;
  int64_t budget_bytes_;
  const Folder* outer_;
  ThreadPool threads_;
  Names node_names_, value_names_;
};

}  // namespace

int fold_constants(Graph& graph, int64_t budget_bytes) {
  const int folded = Folder(graph, budget_bytes).run();
  if (folded > 0) graph.remove_dead();
  return folded;
}

}  // namespace lowbit
