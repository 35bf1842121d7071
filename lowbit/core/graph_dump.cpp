#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/core/graph.h"

namespace lowbit {
namespace {

constexpr size_t kMostShown = 8;

template <typename T>
std::string list_text(const std::vector<T>& items) {
  std::string text = "[";
  for (size_t i = 0; i < items.size() && i < kMostShown; ++i) {
    if (i > 0) text += ", ";
    if constexpr (std::is_same_v<T, std::string>)
      text += printable(items[i], 40);
    else
      text += fmt::format("{}", items[i]);
  }
  return text + (items.size() > kMostShown ? ", ...]" : "]");
}

std::string attribute_text(const Attribute& attribute) {
  struct Visitor {
    std::string operator()(int64_t x) const { return std::to_string(x); }
    std::string operator()(float x) const { return fmt::format("{}", x); }
    std::string operator()(const std::string& x) const { return "'" + printable(x, 60) + "'"; }
    std::string operator()(const Tensor& x) const {
      return fmt::format("{}[{}]", dtype_name(x.dtype()), dims_text(x.dims()));
    }
    std::string operator()(const std::vector<int64_t>& x) const { return list_text(x); }
    std::string operator()(const std::vector<float>& x) const { return list_text(x); }
    std::string operator()(const std::vector<std::string>& x) const { return list_text(x); }
    std::string operator()(const std::shared_ptr<Graph>& x) const {
      return fmt::format("graph of {} nodes", x->nodes.size());
    }
  };
  return std::visit(Visitor{}, attribute);
}

std::string quantization_text(const Value& value) {
  if (!value.quantization) return "";
  return " " + to_string(value.quantization->format) + "/" +
         (value.quantization->dynamic ? "dynamic" : to_string(value.quantization->granularity));
}

std::string value_text(const Value& value) {
  return fmt::format("%{} : {}[{}]{}", printable(value.name, 80), dtype_name(value.dtype),
                     value.shape ? shape_text(*value.shape) : "?", quantization_text(value));
}

}  // namespace

std::string dump(const Graph& graph) {
  std::string text;
  for (ValueId id : graph.inputs) text += "input " + value_text(graph.value(id)) + "\n";
  for (const Node& node : graph.nodes) {
    std::string line;
    for (size_t i = 0; i < node.outputs.size(); ++i)
      line += (i > 0 ? ", " : "") +
              (node.outputs[i] == kNone ? std::string("_") : value_text(graph.value(node.outputs[i])));
    line += " = " + printable(node.full_op(), 80) + "(";
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (i > 0) line += ", ";
      if (node.inputs[i] == kNone)
        line += "_";
      else if (const Tensor* constant = graph.constant(node.inputs[i]))
        line += fmt::format("%{} : {}[{}]{}", printable(graph.value(node.inputs[i]).name, 80),
                            dtype_name(constant->dtype()), dims_text(constant->dims()),
                            quantization_text(graph.value(node.inputs[i])));
      else
        line += "%" + printable(graph.value(node.inputs[i]).name, 80);
    }
    line += ")";
    std::string attributes;
    for (const auto& [key, attribute] : node.attributes)
      attributes += (attributes.empty() ? "" : ", ") + printable(key, 40) + "=" + attribute_text(attribute);
    if (!attributes.empty()) line += " {" + attributes + "}";
    text += line + "\n";
  }
  for (ValueId id : graph.outputs) text += "output %" + printable(graph.value(id).name, 80) + "\n";
  return text;
}

}  // namespace lowbit
