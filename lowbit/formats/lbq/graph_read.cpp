#include <unordered_set>

#include "lowbit/core/weights.h"
#include "lowbit/formats/lbq/graph_codec.h"

namespace lowbit::lbq {
namespace {

// The fewest bytes that an item can take, to bound what a count may claim.
constexpr size_t kLeastValueBytes = 5, kLeastNodeBytes = 6, kLeastAttributeBytes = 3;

class GraphReader {
 public:
  GraphReader(Cursor& cursor, const GraphSources& sources, std::vector<char>& annotated, int depth)
      : cursor_(cursor), sources_(sources), annotated_(annotated), depth_(depth) {
    if (depth > kMostDepth) cursor.fail("nests graphs too deeply");
  }

  /// `outer`: the values of the enclosing graph that this one reads.
  Graph run(const std::vector<ValueId>& outer) {
    graph_.name = cursor_.text();
    const size_t values = cursor_.count(kLeastValueBytes);
    if (values > static_cast<size_t>(INT32_MAX)) cursor_.fail("holds too many values");
    std::unordered_set<std::string> names;
    for (size_t i = 0; i < values; ++i) {
      graph_.values.push_back(read_value());
      if (!names.insert(graph_.values.back().name).second) cursor_.fail("holds two values of one name");
    }
    known_.assign(values, 0);
    for (size_t v = 0; v < values; ++v) known_[v] = graph_.values[v].constant.has_value();
    graph_.inputs = read_ids();
    for (ValueId id : graph_.inputs) define(id, "an input");
    graph_.outputs = read_ids();
    read_captures(outer);
    read_nodes();
    for (ValueId id : graph_.outputs)
      if (id == kNone || !known_[static_cast<size_t>(id)]) cursor_.fail("has an output that nothing makes");
    return std::move(graph_);
  }

 private:
  void read_captures(const std::vector<ValueId>& outer) {
    const size_t captures = cursor_.count(1);
    if (captures != outer.size()) cursor_.fail("holds a graph with other captures than its node gives");
    for (size_t i = 0; i < captures; ++i) {
      const ValueId inner = read_id();
      define(inner, "a capture");
      graph_.captures.emplace_back(outer[i], inner);
    }
  }

  void read_nodes() {
    const size_t nodes = cursor_.count(kLeastNodeBytes);
    std::unordered_set<std::string> names;
    for (size_t i = 0; i < nodes; ++i) {
      graph_.nodes.push_back(read_node());
      if (graph_.nodes.back().name.empty() || !names.insert(graph_.nodes.back().name).second)
        cursor_.fail("holds a node without a name of its own");
    }
  }

  /// The value comes from outside or from a node; it must come from nowhere else.
  void define(ValueId id, const char* what) {
    if (id == kNone) cursor_.fail(std::string("holds ") + what + " that is no value");
    if (known_[static_cast<size_t>(id)]) cursor_.fail("holds a value that is made twice");
    known_[static_cast<size_t>(id)] = 1;
  }
  void require(ValueId id) {
    if (id != kNone && !known_[static_cast<size_t>(id)])
      cursor_.fail("holds a node that reads what no earlier node makes");
  }

  ValueId read_id() {
    const uint64_t number = cursor_.varint();
    if (number > graph_.values.size()) cursor_.fail("refers to a value that does not exist");
    return static_cast<ValueId>(number) - 1;
  }
  std::vector<ValueId> read_ids() {
    std::vector<ValueId> ids(cursor_.count(1));
    for (ValueId& id : ids) id = read_id();
    return ids;
  }

  std::optional<Shape> read_shape() {
    const uint64_t rank = cursor_.varint();
    if (rank == 0) return std::nullopt;
    if (rank > kMostRank + 1) cursor_.fail("holds a value of too many dimensions");
    Shape shape;
    for (uint64_t i = 1; i < rank; ++i) {
      const uint64_t size = cursor_.varint();
      if (size > static_cast<uint64_t>(INT64_MAX)) cursor_.fail("holds an impossible dimension");
      shape.push_back(size > 0 ? Dim(static_cast<int64_t>(size - 1)) : Dim(cursor_.text()));
    }
    return shape;
  }

  Value read_value() {
    Value value;
    value.name = cursor_.text();
    const auto type = type_of(cursor_.byte());
    if (!type) cursor_.fail("holds a value of an unknown type");
    value.dtype = *type;
    value.shape = read_shape();
    const uint64_t constant = cursor_.varint(), annotation = cursor_.varint();
    if (constant > 0) value.constant = sources_.constant(value.name, constant - 1);
    if (annotation > 0) {
      if (annotation > sources_.annotations.size() || annotated_[annotation - 1])
        cursor_.fail("refers to an annotation that does not exist or belongs to another value");
      annotated_[annotation - 1] = 1;
      expand(sources_.annotations[annotation - 1], value);
    }
    check_constant(value);
    if (constant > 0 && sources_.on_constant)
      sources_.on_constant(value, constant - 1,
                           annotation > 0 ? sources_.annotations[annotation - 1].parameter_bytes() : 0);
    return value;
  }

  /// Codes stay codes, but for vector systems: their tensor has not the dimensions of the value, so it is decoded.
  void expand(const AnnotationEntry& entry, Value& value) {
    const bool vectors = entry.quantization.format.vector_size > 1 && !entry.quantization.dynamic;
    if (!vectors || !value.constant) {
      value.quantization = expand_annotation(entry, value);
      return;
    }
    const auto dims = value.shape ? concrete(*value.shape) : std::nullopt;
    if (!dims) cursor_.fail("holds vectors for a value of unknown dimensions");
    const Tensor codes = *value.constant;
    if (!is_integer(codes.dtype()) ||
        codes.dims() != code_dims(entry.quantization.format, entry.quantization.granularity, *dims))
      cursor_.fail("holds another number of vectors than its value takes");
    value.quantization = expand_annotation(entry, value, *dims);
    value.constant = decode_tensor(*value.quantization, codes, *dims);
  }

  /// What a value says of itself must be true of its constant.
  void check_constant(const Value& value) {
    if (!value.constant) return;
    const DType wanted = holds_codes(value) ? DType::float32 : value.constant->dtype();
    if (value.dtype != wanted && value.dtype != DType::undefined)
      cursor_.fail("holds a constant of another type than its value");
    if (value.shape && concrete(*value.shape) != value.constant->dims())
      cursor_.fail("holds a constant of other dimensions than its value");
    const bool vectors = value.quantization && value.quantization->format.vector_size > 1;
    if (is_annotated_constant(value) && !holds_codes(value) && !vectors)
      cursor_.fail("holds an annotated constant without codes");
  }

  Node read_node() {
    Node node;
    node.name = cursor_.text();
    node.domain = cursor_.text();
    node.op = cursor_.text();
    node.inputs = read_ids();
    for (ValueId id : node.inputs) require(id);
    node.outputs = read_ids();
    const size_t attributes = cursor_.count(kLeastAttributeBytes);
    for (size_t i = 0; i < attributes; ++i) {
      std::string key = cursor_.text();
      Attribute attribute = read_attribute();
      if (!node.attributes.emplace(std::move(key), std::move(attribute)).second)
        cursor_.fail("holds a node with an attribute twice");
    }
    for (ValueId id : node.outputs)
      if (id != kNone) define(id, "an output");
    return node;
  }

  Attribute read_attribute() {
    switch (static_cast<AttributeKind>(cursor_.byte())) {
      case AttributeKind::integer:
        return cursor_.svarint();
      case AttributeKind::real:
        return cursor_.number<float>();
      case AttributeKind::text:
        return cursor_.text();
      case AttributeKind::tensor:
        return sources_.tensor(cursor_.varint());
      case AttributeKind::integers: {
        std::vector<int64_t> items(cursor_.count(1));
        for (int64_t& item : items) item = cursor_.svarint();
        return items;
      }
      case AttributeKind::reals: {
        std::vector<float> items(cursor_.count(sizeof(float)));
        for (float& item : items) item = cursor_.number<float>();
        return items;
      }
      case AttributeKind::texts: {
        std::vector<std::string> items(cursor_.count(1));
        for (std::string& item : items) item = cursor_.text();
        return items;
      }
      case AttributeKind::graph: {
        const std::vector<ValueId> outer = read_ids();
        for (ValueId id : outer) {
          if (id == kNone) cursor_.fail("holds a capture that is no value");
          require(id);
        }
        return std::make_shared<Graph>(GraphReader(cursor_, sources_, annotated_, depth_ + 1).run(outer));
      }
    }
    cursor_.fail("holds an attribute of an unknown kind");
  }

  Cursor& cursor_;
  const GraphSources& sources_;
  std::vector<char>& annotated_;
  int depth_;
  Graph graph_;
  std::vector<char> known_;
};

}  // namespace

Graph read_graph(Cursor& cursor, const GraphSources& sources) {
  std::vector<char> annotated(sources.annotations.size(), 0);
  return GraphReader(cursor, sources, annotated, 0).run({});
}

}  // namespace lowbit::lbq
