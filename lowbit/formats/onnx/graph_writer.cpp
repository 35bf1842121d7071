#include "lowbit/formats/onnx/graph_writer.h"
#include "lowbit/core/onnx_types.h"

#include <algorithm>

#include <fmt/format.h>
#include <onnx/onnx_pb.h>

#include "lowbit/base/text.h"
#include "lowbit/formats/onnx/downgrade.h"
#include "lowbit/formats/onnx/types.h"

namespace lowbit::onnx_format {
namespace {

void write_tensor(const Tensor& tensor, const std::string& name, onnx::TensorProto& proto) {
  write_tensor_header(tensor, name, proto);
  if (tensor.dtype() == DType::string) return;
  if (dtype_bits(tensor.dtype()) < 8)
    proto.set_raw_data(pack_codes(tensor));
  else
    proto.set_raw_data(tensor.raw().data(), tensor.byte_size());
}

void write_value_info(const Value& value, const std::string& name, onnx::ValueInfoProto& proto) {
  proto.set_name(name);
  if (value.dtype == DType::undefined) return;
  auto* type = proto.mutable_type()->mutable_tensor_type();
  type->set_elem_type(dtype_to_onnx(value.dtype));
  if (!value.shape) return;
  auto* shape = type->mutable_shape();
  for (const Dim& dim : *value.shape) {
    auto* added = shape->add_dim();
    if (dim.known())
      added->set_dim_value(*dim.size);
    else if (!dim.symbol.empty())
      added->set_dim_param(dim.symbol);
  }
}

class GraphWriter {
 public:
  /// `outer_names`: names that a subgraph can see and must not use for its own values.
  GraphWriter(const Graph& graph, int64_t opset, const NameSet& outer_names)
      : graph_(graph), opset_(opset), visible_(outer_names) {}

  /// captured: of the enclosing graph; null for the main graph.
  void write(const ValueNames* outer, onnx::GraphProto& proto) {
    choose_names(outer);
    proto.set_name(graph_.name.empty() ? "graph" : graph_.name);
    for (ValueId id : graph_.inputs) write_input(id, outer == nullptr, *proto.add_input());
    for (ValueId id : graph_.outputs) write_value_info(graph_.value(id), name(id), *proto.add_output());
    for (const Node& node : graph_.nodes) write_node(node, *proto.add_node());
    for (const Node& node : graph_.nodes)
      for (ValueId id : node.outputs)
        if (id != kNone && graph_.value(id).dtype != DType::undefined && !graph_.is_output(id))
          write_value_info(graph_.value(id), name(id), *proto.add_value_info());
    if (!outer) return;
    const NameSet read = names_read(proto);
    for (size_t i = 0; i < graph_.values.size(); ++i)
      if (graph_.values[i].constant && read.count(names_[i]))
        write_tensor(*graph_.values[i].constant, names_[i], *proto.add_initializer());
  }

 private:
  const std::string& name(ValueId id) const { return names_[static_cast<size_t>(id)]; }

  void choose_names(const ValueNames* outer) {
    names_.resize(graph_.values.size());
    std::vector<char> captured(graph_.values.size(), 0);
    for (const auto& [outer_id, inner] : graph_.captures) {
      names_[static_cast<size_t>(inner)] = (*outer)[static_cast<size_t>(outer_id)];
      captured[static_cast<size_t>(inner)] = 1;
    }
    for (size_t i = 0; i < graph_.values.size(); ++i) {
      if (graph_.values[i].quantization)
        throw Error(ErrorCode::internal, fmt::format("value '{}' is still annotated: lower_qdq must run before writing",
                                                     printable(graph_.values[i].name, 80)));
      if (captured[i]) continue;
      names_[i] = graph_.values[i].name;
      for (int n = 1; !visible_.insert(names_[i]).second; ++n)
        names_[i] = fmt::format("{}_{}", graph_.values[i].name, n);
    }
  }

  void write_input(ValueId id, bool main, onnx::ValueInfoProto& proto) const {
    if (main && graph_.value(id).dtype == DType::undefined)
      throw Error(ErrorCode::unsupported, fmt::format("graph input '{}' is no tensor, which cannot be written",
                                                      printable(graph_.value(id).name, 80)));
    write_value_info(graph_.value(id), name(id), proto);
  }

  void write_node(const Node& canonical, onnx::NodeProto& proto) {
    const Node node = opset_ == kWidestOpset ? as_opset_17(graph_, canonical) : canonical;
    proto.set_name(node.name);
    proto.set_op_type(node.op);
    if (!node.domain.empty()) proto.set_domain(node.domain);
    for (ValueId id : node.inputs) proto.add_input(id == kNone ? "" : name(id));
    for (ValueId id : node.outputs) proto.add_output(id == kNone ? "" : name(id));
    for (const auto& [key, attribute] : node.attributes) {
      auto* added = proto.add_attribute();
      added->set_name(key);
      std::visit([&](const auto& value) { write_attribute(value, *added); }, attribute);
    }
  }

  void write_attribute(int64_t value, onnx::AttributeProto& proto) const {
    proto.set_type(onnx::AttributeProto::INT);
    proto.set_i(value);
  }
  void write_attribute(float value, onnx::AttributeProto& proto) const {
    proto.set_type(onnx::AttributeProto::FLOAT);
    proto.set_f(value);
  }
  void write_attribute(const std::string& value, onnx::AttributeProto& proto) const {
    proto.set_type(onnx::AttributeProto::STRING);
    proto.set_s(value);
  }
  void write_attribute(const Tensor& value, onnx::AttributeProto& proto) const {
    proto.set_type(onnx::AttributeProto::TENSOR);
    write_tensor(value, "", *proto.mutable_t());
  }
  void write_attribute(const std::vector<int64_t>& values, onnx::AttributeProto& proto) const {
    proto.set_type(onnx::AttributeProto::INTS);
    for (int64_t value : values) proto.add_ints(value);
  }
  void write_attribute(const std::vector<float>& values, onnx::AttributeProto& proto) const {
    proto.set_type(onnx::AttributeProto::FLOATS);
    for (float value : values) proto.add_floats(value);
  }
  void write_attribute(const std::vector<std::string>& values, onnx::AttributeProto& proto) const {
    proto.set_type(onnx::AttributeProto::STRINGS);
    for (const std::string& value : values) proto.add_strings(value);
  }
  void write_attribute(const std::shared_ptr<Graph>& body, onnx::AttributeProto& proto) const {
    proto.set_type(onnx::AttributeProto::GRAPH);
    GraphWriter(*body, opset_, visible_).write(&names_, *proto.mutable_g());
  }

  const Graph& graph_;
  int64_t opset_;
  NameSet visible_;
  ValueNames names_;
};

}  // namespace

NameSet names_read(const onnx::GraphProto& proto) {
  NameSet names;
  for (const auto& output : proto.output()) names.insert(output.name());
  for (const auto& node : proto.node()) {
    names.insert(node.input().begin(), node.input().end());
    for (const auto& attribute : node.attribute())
      if (attribute.has_g()) names.merge(names_read(attribute.g()));
  }
  return names;
}

void write_main_graph(const Graph& graph, int64_t opset, onnx::GraphProto& proto) {
  GraphWriter(graph, opset, {}).write(nullptr, proto);
}

void write_tensor_header(const Tensor& tensor, const std::string& name, onnx::TensorProto& proto) {
  for (int64_t dim : tensor.dims()) proto.add_dims(dim);
  proto.set_data_type(dtype_to_onnx(tensor.dtype()));
  if (!name.empty()) proto.set_name(name);
  if (tensor.dtype() == DType::string)
    for (const std::string& value : tensor.string_values()) proto.add_string_data(value);
}

size_t packed_bytes(const Tensor& tensor) {
  return (static_cast<size_t>(tensor.count()) * static_cast<size_t>(dtype_bits(tensor.dtype())) + 7) / 8;
}

std::string pack_codes(const Tensor& tensor) {
  const int bits = dtype_bits(tensor.dtype());
  const int per_byte = 8 / bits, mask = (1 << bits) - 1;
  std::string packed(packed_bytes(tensor), '\0');
  const int8_t* codes = tensor.data<int8_t>();
  for (int64_t i = 0; i < tensor.count(); ++i)
    packed[static_cast<size_t>(i / per_byte)] |=
        static_cast<char>((codes[i] & mask) << (static_cast<int>(i % per_byte) * bits));
  return packed;
}

}  // namespace lowbit::onnx_format
