#include "lowbit/formats/onnx/functions.h"

#include <map>
#include <optional>
#include <tuple>
#include <unordered_set>

#include <fmt/format.h>
#include <onnx/onnx_pb.h>

#include "lowbit/base/error.h"
#include "lowbit/base/text.h"

namespace lowbit::onnx_format {
namespace {

constexpr int kMaxDepth = 32;
constexpr int64_t kMaxNodes = 1'000'000;
constexpr int64_t kMaxBytes = int64_t{256} << 20;

// Fields that the generated classes (IR version 8) do not know yet.
constexpr int kNodeOverload = 8, kFunctionOverload = 13, kFunctionAttributeProto = 11;

using Key = std::tuple<std::string, std::string, std::string>;  // domain, name, overload
using Attributes = google::protobuf::RepeatedPtrField<onnx::AttributeProto>;

std::string plain_domain(const std::string& domain) { return domain == "ai.onnx" ? "" : domain; }

std::string unknown_string(const google::protobuf::UnknownFieldSet& fields, int number) {
  for (int i = 0; i < fields.field_count(); ++i)
    if (fields.field(i).number() == number &&
        fields.field(i).type() == google::protobuf::UnknownField::TYPE_LENGTH_DELIMITED)
      return fields.field(i).length_delimited();
  return {};
}

Key key_of(const onnx::NodeProto& node) {
  return {plain_domain(node.domain()), node.op_type(), unknown_string(node.unknown_fields(), kNodeOverload)};
}

struct Cost {
  int64_t nodes = 0, bytes = 0;
};

struct Function {
  const onnx::FunctionProto* proto;
  int64_t opset;        ///< of ai.onnx; 0: as the model
  Attributes defaults;  ///< values of attributes that a call may leave out
  std::optional<Cost> cost;
};

/// One call: how names and attributes of the body translate.
struct Call {
  std::string prefix;
  std::unordered_map<std::string, std::string> names;  ///< formal inputs and outputs -> actual ones
  std::map<std::string, const onnx::AttributeProto*> attributes;
};

class Inliner {
 public:
  explicit Inliner(onnx::ModelProto& model) : model_(model) {
    for (const auto& proto : model.functions()) add_function(proto);
  }

  NodeOpsets run() {
    check(graph_cost(model_.graph(), 0));
    collect_names(model_.graph());
    expand_graph(*model_.mutable_graph(), 0, 0);
    return std::move(opsets_);
  }

 private:
  void add_function(const onnx::FunctionProto& proto) {
    Function function{&proto, 0, {}, std::nullopt};
    for (const auto& import : proto.opset_import())
      if (plain_domain(import.domain()).empty()) function.opset = import.version();
    const auto& unknown = proto.unknown_fields();
    for (int i = 0; i < unknown.field_count(); ++i) {
      if (unknown.field(i).number() != kFunctionAttributeProto ||
          unknown.field(i).type() != google::protobuf::UnknownField::TYPE_LENGTH_DELIMITED)
        continue;
      if (!function.defaults.Add()->ParseFromString(unknown.field(i).length_delimited()))
        throw Error(ErrorCode::bad_file, fmt::format("function '{}' has an unreadable attribute", shown(proto.name())));
    }
    const Key key{plain_domain(proto.domain()), proto.name(),
                  unknown_string(proto.unknown_fields(), kFunctionOverload)};
    if (!functions_.emplace(key, std::move(function)).second)
      throw Error(ErrorCode::bad_file, fmt::format("function '{}' is defined twice", shown(proto.name())));
  }

  static std::string shown(const std::string& name) { return printable(name, 80); }

  static void check(const Cost& cost) {
    if (cost.nodes > kMaxNodes || cost.bytes > kMaxBytes)
      throw Error(ErrorCode::bad_file,
                  fmt::format("its functions expand to more than {} nodes or {} (the file is built to exhaust memory)",
                              with_commas(kMaxNodes), bytes_text(kMaxBytes)));
  }

  Function* find(const onnx::NodeProto& node) {
    const auto found = functions_.find(key_of(node));
    return found == functions_.end() ? nullptr : &found->second;
  }

  Cost function_cost(Function& function, int depth) {
    if (depth > kMaxDepth)
      throw Error(ErrorCode::bad_file, fmt::format("functions call each other deeper than {} levels, at '{}'",
                                                   kMaxDepth, shown(function.proto->name())));
    if (!function.cost) function.cost = nodes_cost(function.proto->node(), depth);
    return *function.cost;
  }

  Cost graph_cost(const onnx::GraphProto& graph, int depth) {
    Cost cost = nodes_cost(graph.node(), depth);
    for (const auto& initializer : graph.initializer()) cost.bytes += static_cast<int64_t>(initializer.ByteSizeLong());
    return cost;
  }

  Cost nodes_cost(const google::protobuf::RepeatedPtrField<onnx::NodeProto>& nodes, int depth) {
    Cost sum;
    const auto add = [&sum](const Cost& cost) {
      sum.nodes += cost.nodes;
      sum.bytes += cost.bytes;
      check(sum);
    };
    for (const auto& node : nodes) {
      add({1, 0});
      // A message's size holds its subgraphs' sizes too; they are counted once more below, which only errs upwards.
      if (depth > 0) add({0, static_cast<int64_t>(node.ByteSizeLong())});
      if (Function* function = find(node)) add(function_cost(*function, depth + 1));
      for (const auto& attribute : node.attribute())
        if (attribute.has_g()) add(nodes_cost(attribute.g().node(), depth));
    }
    return sum;
  }

  void collect_names(const onnx::GraphProto& graph) {
    for (const auto& node : graph.node()) names_.insert(node.name());
  }

  void expand_graph(onnx::GraphProto& graph, int64_t opset, int depth) {
    google::protobuf::RepeatedPtrField<onnx::NodeProto> nodes;
    nodes.Swap(graph.mutable_node());
    for (auto& node : nodes) emit(std::move(node), opset, *graph.mutable_node(), depth);
  }

  void emit(onnx::NodeProto&& node, int64_t opset, google::protobuf::RepeatedPtrField<onnx::NodeProto>& out,
            int depth) {
    if (Function* function = find(node)) return expand_call(node, *function, opset, out, depth);
    onnx::NodeProto* placed = out.Add();
    placed->Swap(&node);
    if (opset > 0) opsets_[placed] = opset;
    for (auto& attribute : *placed->mutable_attribute())
      if (attribute.has_g()) expand_graph(*attribute.mutable_g(), opset, depth);
  }

  void expand_call(const onnx::NodeProto& node, const Function& function, int64_t opset,
                   google::protobuf::RepeatedPtrField<onnx::NodeProto>& out, int depth) {
    const onnx::FunctionProto& proto = *function.proto;
    if (node.input_size() > proto.input_size() || node.output_size() > proto.output_size())
      throw Error(ErrorCode::bad_file,
                  fmt::format("node '{}' calls function '{}' with {} inputs and {} outputs; it has {} and {}",
                              shown(node.name()), shown(proto.name()), node.input_size(), node.output_size(),
                              proto.input_size(), proto.output_size()));
    Call call;
    call.prefix = fresh_prefix(node);
    for (int i = 0; i < proto.input_size(); ++i)
      call.names[proto.input(i)] = i < node.input_size() ? node.input(i) : "";
    for (int i = 0; i < proto.output_size(); ++i) {
      if (i >= node.output_size() || node.output(i).empty()) continue;
      const auto [place, added] = call.names.emplace(proto.output(i), node.output(i));
      if (!added) emit(identity(place->second, node.output(i)), 0, out, depth);
    }
    for (const auto& attribute : function.defaults) call.attributes[attribute.name()] = &attribute;
    for (const auto& attribute : node.attribute()) call.attributes[attribute.name()] = &attribute;
    for (const auto& body_node : proto.node()) {
      onnx::NodeProto copy = body_node;
      translate(copy, call);
      emit(std::move(copy), function.opset > 0 ? function.opset : opset, out, depth + 1);
    }
  }

  static onnx::NodeProto identity(const std::string& from, const std::string& to) {
    onnx::NodeProto node;
    node.set_op_type("Identity");
    node.add_input(from);
    node.add_output(to);
    return node;
  }

  std::string fresh_prefix(const onnx::NodeProto& node) {
    const std::string stem = (node.name().empty() ? node.op_type() : node.name()).substr(0, 64);
    std::string prefix = stem;
    if (node.name().empty() || !prefixes_.insert(prefix).second) do
        prefix = fmt::format("{}_{}", stem, ++calls_);
      while (names_.count(prefix) || !prefixes_.insert(prefix).second);
    return prefix + "/";
  }

  /// What the estimate cannot know: long names and attributes of a call that its function uses many times.
  void spend(size_t bytes) {
    spent_.bytes += static_cast<int64_t>(bytes);
    check(spent_);
  }

  std::string translated(const std::string& name, const Call& call) {
    if (name.empty()) return name;
    const auto found = call.names.find(name);
    const std::string& result = found == call.names.end() ? name : found->second;
    spend(result.size() + call.prefix.size());
    return found == call.names.end() ? call.prefix + name : result;
  }

  void translate(onnx::NodeProto& node, const Call& call) {
    if (!node.name().empty()) node.set_name(call.prefix + node.name());
    for (auto& name : *node.mutable_input()) name = translated(name, call);
    for (auto& name : *node.mutable_output()) name = translated(name, call);
    Attributes attributes;
    attributes.Swap(node.mutable_attribute());
    for (auto& attribute : attributes) {
      if (!attribute.ref_attr_name().empty()) {
        const auto given = call.attributes.find(attribute.ref_attr_name());
        if (given == call.attributes.end()) continue;  // left out by the call, and without default
        spend(given->second->ByteSizeLong());
        onnx::AttributeProto* copy = node.add_attribute();
        *copy = *given->second;
        copy->set_name(attribute.name());
        continue;
      }
      if (attribute.has_g()) translate(*attribute.mutable_g(), call);
      node.add_attribute()->Swap(&attribute);
    }
  }

  void translate(onnx::GraphProto& graph, const Call& call) {
    for (auto& node : *graph.mutable_node()) translate(node, call);
    for (auto& tensor : *graph.mutable_initializer()) tensor.set_name(translated(tensor.name(), call));
    for (auto& tensor : *graph.mutable_sparse_initializer())
      tensor.mutable_values()->set_name(translated(tensor.values().name(), call));
    for (auto* values : {graph.mutable_input(), graph.mutable_output(), graph.mutable_value_info()})
      for (auto& value : *values) value.set_name(translated(value.name(), call));
  }

  onnx::ModelProto& model_;
  std::map<Key, Function> functions_;
  std::unordered_set<std::string> names_, prefixes_;
  int64_t calls_ = 0;
  Cost spent_;
  NodeOpsets opsets_;
};

}  // namespace

NodeOpsets inline_functions(onnx::ModelProto& model) {
  if (model.functions_size() == 0) return {};
  return Inliner(model).run();
}

}  // namespace lowbit::onnx_format
