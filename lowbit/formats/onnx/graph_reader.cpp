#include "lowbit/formats/onnx/graph_reader.h"
#include "lowbit/core/onnx_types.h"

#include <algorithm>

#include <fmt/format.h>
#include <onnx/onnx_pb.h>

#include "lowbit/base/text.h"
#include "lowbit/formats/onnx/attributes.h"
#include "lowbit/formats/onnx/upgrade.h"
#include "lowbit/ops/infer_shapes.h"

namespace lowbit::onnx_format {
namespace {

using ValueInfos = google::protobuf::RepeatedPtrField<onnx::ValueInfoProto>;

std::string quoted(const std::string& name) { return "'" + printable(name, 80) + "'"; }

[[noreturn]] void bad(const std::string& message) { throw Error(ErrorCode::bad_file, message); }

struct DeclaredType {
  DType dtype = DType::undefined;
  std::optional<Shape> shape;
};

DeclaredType declared_type(const onnx::ValueInfoProto& info) {
  DeclaredType type;
  if (!info.type().has_tensor_type()) return type;  // sequences, maps and optionals have no type of ours
  const auto& tensor = info.type().tensor_type();
  type.dtype = dtype_of_onnx(tensor.elem_type()).value_or(DType::undefined);
  if (!tensor.has_shape()) return type;
  type.shape.emplace();
  for (const auto& dim : tensor.shape().dim()) {
    // Exporters wrote -1 for "not known"; anything below is damage.
    if (dim.has_dim_value() && dim.dim_value() < -1)
      bad(fmt::format("value {} has the negative dimension {}", quoted(info.name()), dim.dim_value()));
    if (dim.has_dim_value() && dim.dim_value() >= 0)
      type.shape->emplace_back(dim.dim_value());
    else
      type.shape->emplace_back(dim.has_dim_param() ? Dim(dim.dim_param()) : Dim());
  }
  return type;
}

/// True if a tensor can have the declared type.
bool fits(const Tensor& tensor, const DeclaredType& type) {
  if (type.dtype != DType::undefined && type.dtype != tensor.dtype()) return false;
  if (!type.shape) return true;
  if (static_cast<int64_t>(type.shape->size()) != tensor.rank()) return false;
  for (int64_t axis = 0; axis < tensor.rank(); ++axis) {
    const Dim& dim = (*type.shape)[static_cast<size_t>(axis)];
    if (dim.known() && *dim.size != tensor.dim(axis)) return false;
  }
  return true;
}

class GraphReader {
 public:
  GraphReader(const onnx::GraphProto& proto, GraphScope* parent, const GraphReadContext& context)
      : proto_(proto), context_(context), scope_(graph_, parent) {}

  Graph read() {
    graph_.name = proto_.name();
    read_initializers();
    read_inputs();
    define_node_outputs();
    apply_declared(proto_.value_info());
    apply_declared(proto_.output());
    for (const auto& node : proto_.node()) read_node(node);
    read_outputs();
    settle_softmax();
    sort();
    return std::move(graph_);
  }

 private:
  ValueId define(const std::string& name, const char* kind, DeclaredType type) {
    if (name.empty()) bad(fmt::format("{} has no name", kind));
    if (scope_.has(name)) bad(fmt::format("the name {} is given to two values (the second is {})", quoted(name), kind));
    scope_.note_type(type.dtype);
    return scope_.define(name, type.dtype, std::move(type.shape));
  }

  void add_initializer(const std::string& name, Tensor tensor, const std::string& what) {
    context_.tensors.check_finite(tensor, what);
    const ValueId id = define(name, "an initializer", {tensor.dtype(), to_shape(tensor.dims())});
    graph_.value(id).constant = std::move(tensor);
  }

  void read_initializers() {
    for (const auto& tensor : proto_.initializer()) {
      const std::string what = "initializer " + quoted(tensor.name());
      add_initializer(tensor.name(), context_.tensors.read(tensor, what), what);
    }
    for (const auto& tensor : proto_.sparse_initializer()) {
      const std::string what = "sparse initializer " + quoted(tensor.values().name());
      add_initializer(tensor.values().name(), context_.tensors.read_sparse(tensor, what), what);
    }
  }

  void read_inputs() {
    std::unordered_set<std::string> seen;
    for (const auto& info : proto_.input()) {
      if (!seen.insert(info.name()).second)
        bad(fmt::format("there are two graph inputs named {}", quoted(info.name())));
      const DeclaredType type = declared_type(info);
      // Up to IR version 3 every initializer had to be an input too; they are constants all the same.
      if (!scope_.has(info.name())) {
        graph_.inputs.push_back(define(info.name(), "a graph input", type));
      } else if (!fits(*graph_.constant(*scope_.resolve(info.name())), type)) {
        bad(fmt::format("initializer {} has another type or shape than the graph input of that name",
                        quoted(info.name())));
      }
    }
  }

  void define_node_outputs() {
    for (const auto& node : proto_.node()) {
      if (!node.name().empty()) scope_.reserve_node_name(node.name());
      for (const auto& name : node.output())
        if (!name.empty()) define(name, fmt::format("an output of node {}", quoted(node.name())).c_str(), {});
    }
  }

  void apply_declared(const ValueInfos& infos) {
    for (const auto& info : infos) {
      if (!scope_.has(info.name())) continue;  // left over from a transformation
      const ValueId id = *scope_.resolve(info.name());
      DeclaredType type = declared_type(info);
      Value& value = graph_.value(id);
      if (value.constant) {
        if (!fits(*value.constant, type))
          bad(fmt::format("initializer {} has another type or shape than is declared for it", quoted(info.name())));
        continue;
      }
      if (value.dtype == DType::undefined) value.dtype = type.dtype;
      if (!value.shape) value.shape = std::move(type.shape);
      scope_.note_type(value.dtype);
    }
  }

  static std::string where(const onnx::NodeProto& proto) {
    return fmt::format("node {} ({})", quoted(proto.name()), printable(proto.op_type(), 60));
  }

  void read_node(const onnx::NodeProto& proto) {
    if (proto.op_type().empty()) bad(fmt::format("node {} has no operator", quoted(proto.name())));
    Node node;
    node.name = proto.name();
    node.op = proto.op_type();
    node.domain = proto.domain() == "ai.onnx" ? "" : proto.domain();
    for (const auto& name : proto.input()) {
      const auto id = name.empty() ? kNone : scope_.resolve(name);
      if (!id)
        bad(fmt::format("{} reads {}, which is no input, initializer or output of a node", where(proto), quoted(name)));
      node.inputs.push_back(*id);
    }
    for (const auto& name : proto.output()) node.outputs.push_back(name.empty() ? kNone : *scope_.resolve(name));
    const auto own = context_.node_opsets.find(&proto);
    const int64_t opset = own == context_.node_opsets.end() ? context_.opset : own->second;
    for (const auto& attribute : proto.attribute()) add_attribute(node, attribute, where(proto), opset);
    try {
      emit_upgraded(scope_, std::move(node), opset);
    } catch (const Error& error) {
      throw Error(error.code(), error.what(), where(proto));
    }
  }

  void add_attribute(Node& node, const onnx::AttributeProto& proto, const std::string& at, int64_t opset) {
    if (proto.name().empty()) bad(at + " has an attribute without a name");
    if (!proto.ref_attr_name().empty())
      bad(fmt::format("{}: the attribute {} refers to a function's attribute outside of a function", at,
                      quoted(proto.name())));
    Attribute value;
    if (attribute_type(proto) == onnx::AttributeProto::GRAPH) {
      const GraphReadContext inner{context_.tensors, context_.node_opsets, opset};
      value = std::make_shared<Graph>(read_graph(proto.g(), &scope_, inner));
    } else {
      value = read_attribute(proto, at, context_.tensors);
    }
    std::string key = proto.name();
    if (node.is("Constant") && key == "sparse_value") key = "value";
    if (!node.attributes.emplace(std::move(key), std::move(value)).second)
      bad(fmt::format("{} has two attributes named {}", at, quoted(proto.name())));
  }

  void read_outputs() {
    for (const auto& info : proto_.output()) {
      const auto id = scope_.resolve(info.name());
      if (info.name().empty() || !id) bad(fmt::format("the graph output {} is made by no node", quoted(info.name())));
      graph_.outputs.push_back(*id);
    }
    if (graph_.outputs.empty() && scope_.is_main()) bad("the graph has no outputs");
  }

  /// Softmax of before opset 13 whose rank no declaration told: shape inference mostly does.
  void settle_softmax() {
    if (scope_.pending_softmax.empty()) return;
    Graph inferred = graph_;
    try {
      inferred.sort();
      infer_shapes(inferred);
    } catch (const Error&) {
      // What is wrong with the graph is told by those who need its shapes; here the general form is always right.
    }
    const std::unordered_set<ValueId> pending(scope_.pending_softmax.begin(), scope_.pending_softmax.end());
    std::vector<Node> general;
    for (Node& node : graph_.nodes) {
      if (!pending.count(node.output())) continue;
      const auto& shape = inferred.value(node.output()).shape;
      const auto rank = shape ? std::optional<int64_t>(shape->size()) : std::nullopt;
      if (!upgrade_last_axis_softmax(node, rank)) general.push_back(node);
    }
    std::erase_if(graph_.nodes, [&](const Node& node) {
      return std::any_of(general.begin(), general.end(), [&](const Node& n) { return n.name == node.name; });
    });
    for (Node& node : general) emit_flattened_softmax(scope_, std::move(node));
  }

  void sort() {
    std::vector<char> made(graph_.values.size(), 0);
    for (const Node& node : graph_.nodes)
      for (ValueId id : node.outputs)
        if (id != kNone) made[static_cast<size_t>(id)] = 1;
    for (ValueId id : graph_.outputs)
      if (made[static_cast<size_t>(id)] == 0) check_given(id, "the graph outputs");
    for (const Node& node : graph_.nodes)
      for (ValueId id : node.inputs)
        if (id != kNone && made[static_cast<size_t>(id)] == 0)
          check_given(id, fmt::format("node {} reads", quoted(node.name)));
    graph_.sort();
  }

  /// The value is no output of a node any more: training outputs that the canonical operator has not.
  void check_given(ValueId id, const std::string& reader) {
    const auto captured = [&](const auto& capture) { return capture.second == id; };
    if (graph_.value(id).constant || std::count(graph_.inputs.begin(), graph_.inputs.end(), id) > 0 ||
        std::any_of(graph_.captures.begin(), graph_.captures.end(), captured))
      return;
    throw Error(ErrorCode::unsupported,
                fmt::format("{} {}, an output that the operator has only in training (export the model for inference)",
                            reader, quoted(graph_.value(id).name)));
  }

  const onnx::GraphProto& proto_;
  const GraphReadContext& context_;
  Graph graph_;
  GraphScope scope_;
};

}  // namespace

Graph read_graph(const onnx::GraphProto& proto, GraphScope* parent, const GraphReadContext& context) {
  return GraphReader(proto, parent, context).read();
}

void validate(const Graph& graph) {
  const auto in_range = [&](ValueId id) { return id >= 0 && static_cast<size_t>(id) < graph.values.size(); };
  std::vector<char> known(graph.values.size(), 0);
  std::unordered_set<std::string_view> names, node_names;
  for (const Value& value : graph.values)
    if (!names.insert(value.name).second) bad("two values are named " + quoted(value.name));
  for (size_t i = 0; i < graph.values.size(); ++i) known[i] = graph.values[i].constant.has_value();
  const auto learn = [&](ValueId id, const std::string& what) {
    if (!in_range(id)) bad(what + " has a value out of range");
    if (known[static_cast<size_t>(id)]) bad(fmt::format("{} makes {} again", what, quoted(graph.value(id).name)));
    known[static_cast<size_t>(id)] = 1;
  };
  const auto need = [&](ValueId id, const std::string& what) {
    if (!in_range(id) || !known[static_cast<size_t>(id)]) bad(what + " reads a value before it is made");
  };
  for (ValueId id : graph.inputs) learn(id, "the graph");
  for (const auto& [outer, inner] : graph.captures) learn(inner, "a capture");
  for (const Node& node : graph.nodes) {
    const std::string what = "node " + quoted(node.name);
    if (!node_names.insert(node.name).second || node.name.empty()) bad(what + " has no name of its own");
    for (ValueId id : node.inputs)
      if (id != kNone) need(id, what);
    for (const auto& [key, attribute] : node.attributes)
      if (const auto* body = std::get_if<std::shared_ptr<Graph>>(&attribute)) {
        for (const auto& [outer, inner] : (*body)->captures) need(outer, what);
        validate(**body);
      }
    for (ValueId id : node.outputs)
      if (id != kNone) learn(id, what);
  }
  for (ValueId id : graph.outputs) need(id, "the graph output");
}

}  // namespace lowbit::onnx_format
