#include <algorithm>

#include "lowbit/core/weights.h"
#include "lowbit/formats/lbq/graph_codec.h"

namespace lowbit::lbq {
namespace {

class GraphWriter {
 public:
  GraphWriter(const Graph& graph, GraphTables& tables, Writer& writer)
      : graph_(graph), tables_(tables), writer_(writer), number_(graph.values.size(), -1) {}

  void run() {
    number_values();
    writer_.text(graph_.name);
    writer_.varint(static_cast<uint64_t>(count_));
    for (size_t v = 0; v < graph_.values.size(); ++v)
      if (number_[v] >= 0) write_value(graph_.values[v]);
    write_ids(graph_.inputs);
    write_ids(graph_.outputs);
    writer_.varint(graph_.captures.size());
    for (const auto& [outer, inner] : graph_.captures) {
      // The outer graph knows its own numbers; it writes them beside the attribute (see write_attribute).
      write_id(inner);
    }
    writer_.varint(graph_.nodes.size());
    for (const Node& node : graph_.nodes) write_node(node);
  }

 private:
  void number_values() {
    std::vector<char> used(graph_.values.size(), 0);
    const auto use = [&](ValueId id) {
      if (id != kNone) used[static_cast<size_t>(id)] = 1;
    };
    std::for_each(graph_.inputs.begin(), graph_.inputs.end(), use);
    std::for_each(graph_.outputs.begin(), graph_.outputs.end(), use);
    for (const auto& [outer, inner] : graph_.captures) use(inner);
    for (const Node& node : graph_.nodes) {
      std::for_each(node.inputs.begin(), node.inputs.end(), use);
      std::for_each(node.outputs.begin(), node.outputs.end(), use);
      for (const auto& [key, attribute] : node.attributes)
        if (const auto* body = std::get_if<std::shared_ptr<Graph>>(&attribute))
          for (const auto& [outer, inner] : (*body)->captures) use(outer);
    }
    for (size_t v = 0; v < used.size(); ++v)
      if (used[v]) number_[v] = count_++;
  }

  /// 0: no value.
  void write_id(ValueId id) {
    writer_.varint(id == kNone ? 0 : static_cast<uint64_t>(number_[static_cast<size_t>(id)]) + 1);
  }
  void write_ids(const std::vector<ValueId>& ids) {
    writer_.varint(ids.size());
    for (ValueId id : ids) write_id(id);
  }

  void write_value(const Value& value) {
    writer_.text(value.name);
    // A constant knows its type and dimensions best; codes stand for floats.
    const bool codes = is_annotated_constant(value);
    writer_.byte(number_of(codes ? DType::float32 : value.constant ? value.constant->dtype() : value.dtype));
    const std::optional<Shape> shape = value.constant ? to_shape(value.constant->dims()) : value.shape;
    writer_.varint(shape ? shape->size() + 1 : 0);
    if (shape)
      for (const Dim& dim : *shape) {
        writer_.varint(dim.known() ? static_cast<uint64_t>(*dim.size) + 1 : 0);
        if (!dim.known()) writer_.text(dim.symbol);
      }
    writer_.varint(value.constant ? write_constant(value) + 1 : 0);
    if (!value.quantization) return writer_.varint(0);
    Writer record;
    write_annotation(*value.quantization, record);
    tables_.annotations.push_back(std::move(record.bytes));
    writer_.varint(tables_.annotations.size());
  }

  uint64_t write_constant(const Value& value) {
    if (!is_annotated_constant(value)) return tables_.tensors.add(*value.constant, std::nullopt);
    return tables_.tensors.add(weight_codes(value), value.quantization->codes());
  }

  void write_node(const Node& node) {
    writer_.text(node.name);
    writer_.text(node.domain);
    writer_.text(node.op);
    write_ids(node.inputs);
    write_ids(node.outputs);
    writer_.varint(node.attributes.size());
    for (const auto& [key, attribute] : node.attributes) {
      writer_.text(key);
      std::visit([this](const auto& x) { write_attribute(x); }, attribute);
    }
  }

  void write_kind(AttributeKind kind) { writer_.byte(static_cast<uint8_t>(kind)); }
  void write_attribute(int64_t x) {
    write_kind(AttributeKind::integer);
    writer_.svarint(x);
  }
  void write_attribute(float x) {
    write_kind(AttributeKind::real);
    writer_.number(x);
  }
  void write_attribute(const std::string& x) {
    write_kind(AttributeKind::text);
    writer_.text(x);
  }
  void write_attribute(const Tensor& x) {
    write_kind(AttributeKind::tensor);
    writer_.varint(tables_.tensors.add(x, std::nullopt));
  }
  void write_attribute(const std::vector<int64_t>& x) {
    write_kind(AttributeKind::integers);
    writer_.varint(x.size());
    for (int64_t item : x) writer_.svarint(item);
  }
  void write_attribute(const std::vector<float>& x) {
    write_kind(AttributeKind::reals);
    writer_.varint(x.size());
    for (float item : x) writer_.number(item);
  }
  void write_attribute(const std::vector<std::string>& x) {
    write_kind(AttributeKind::texts);
    writer_.varint(x.size());
    for (const std::string& item : x) writer_.text(item);
  }
  void write_attribute(const std::shared_ptr<Graph>& body) {
    write_kind(AttributeKind::graph);
    writer_.varint(body->captures.size());
    for (const auto& [outer, inner] : body->captures) write_id(outer);
    GraphWriter(*body, tables_, writer_).run();
  }

  const Graph& graph_;
  GraphTables& tables_;
  Writer& writer_;
  std::vector<int64_t> number_;  ///< in the file, or -1
  int64_t count_ = 0;
};

}  // namespace

void write_graph(const Graph& graph, GraphTables& tables, Writer& writer) { GraphWriter(graph, tables, writer).run(); }

}  // namespace lowbit::lbq
