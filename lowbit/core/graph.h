// graph.h: the one representation of a network. Operators have ONNX meaning (the canonical opset, see formats/onnx); a
// value may carry a Quantization. Nodes are kept in topological order; values are never renumbered while a graph is
// edited.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "lowbit/core/quantization.h"
#include "lowbit/core/shape.h"
#include "lowbit/core/tensor.h"

namespace lowbit {

class Graph;

/// Index into Graph::values. kNone marks an absent optional input or output.
using ValueId = int32_t;
inline constexpr ValueId kNone = -1;

using Attribute = std::variant<int64_t, float, std::string, Tensor, std::vector<int64_t>, std::vector<float>,
                               std::vector<std::string>, std::shared_ptr<Graph>>;
using Attributes = std::map<std::string, Attribute, std::less<>>;

/// A tensor on an edge: an input, a constant, or the output of a node.
struct Value {
  std::string name;                ///< unique in its graph
  DType dtype = DType::undefined;  ///< element type in the float graph; undefined = not known
  std::optional<Shape> shape;      ///< nothing = rank unknown
  std::optional<Tensor> constant;  ///< weights and other constants
  std::optional<Quantization> quantization;
};

struct Node {
  std::string name;                      ///< unique in its graph, never empty after import
  std::string domain;                    ///< "" for ai.onnx
  std::string op;                        ///< "Conv"
  std::vector<ValueId> inputs, outputs;  ///< kNone where absent
  Attributes attributes;

  /// Attribute with a default; throws Error{bad_file} naming node and attribute if the stored type differs.
  int64_t attr_int(std::string_view key, int64_t fallback) const;
  float attr_float(std::string_view key, float fallback) const;
  std::string attr_string(std::string_view key, std::string_view fallback) const;
  std::vector<int64_t> attr_ints(std::string_view key, std::vector<int64_t> fallback = {}) const;
  std::vector<float> attr_floats(std::string_view key, std::vector<float> fallback = {}) const;
  std::vector<std::string> attr_strings(std::string_view key) const;
  /// Null if absent.
  const Tensor* attr_tensor(std::string_view key) const;
  const Graph* attr_graph(std::string_view key) const;
  bool has_attr(std::string_view key) const { return attributes.find(key) != attributes.end(); }

  /// "Conv" or "com.microsoft.FusedConv".
  std::string full_op() const { return domain.empty() ? op : domain + "." + op; }
  bool is(std::string_view name_of_op) const { return domain.empty() && op == name_of_op; }
  ValueId input(size_t i) const { return i < inputs.size() ? inputs[i] : kNone; }
  ValueId output(size_t i = 0) const { return i < outputs.size() ? outputs[i] : kNone; }
};

class Graph {
 public:
  std::string name;
  std::vector<Value> values;
  std::vector<Node> nodes;               ///< topological order
  std::vector<ValueId> inputs, outputs;  ///< constants are not inputs, whatever the file says
  /// Of a subgraph (If, Loop, Scan): values of the enclosing graph that it reads, as (outer, inner).
  std::vector<std::pair<ValueId, ValueId>> captures;

  Value& value(ValueId id) { return values[static_cast<size_t>(id)]; }
  const Value& value(ValueId id) const { return values[static_cast<size_t>(id)]; }

  /// Adds a value; a name that is taken or empty gets a number appended.
  ValueId add_value(std::string name, DType type = DType::undefined, std::optional<Shape> shape = std::nullopt);
  ValueId add_constant(std::string name, Tensor tensor);
  /// A node name that is not taken, made from `wanted`.
  std::string fresh_node_name(const std::string& wanted) const;
  std::optional<ValueId> find_value(std::string_view name) const;

  /// The constant of an input, or null (absent, or not constant).
  const Tensor* constant(ValueId id) const;

  /// For each value the index of the node that makes it, or -1.
  std::vector<int32_t> producers() const;
  /// For each value the (node index, input position) pairs that read it, subgraph captures included (position = -1).
  struct Use {
    int32_t node, position;
  };
  std::vector<std::vector<Use>> uses() const;
  bool is_output(ValueId id) const;

  /// Lets every reader of `from` (nodes, captures, graph outputs) read `to` instead. A graph output keeps its public
  /// name.
  void replace_uses(ValueId from, ValueId to);
  /// Restores topological order. Throws Error{bad_file} if there is a cycle.
  void sort();
  /// Removes nodes none of whose outputs is needed, and frees the constants nobody reads. Returns the number of nodes
  /// removed.
  int remove_dead();
};

/// Name of an ONNX domain with its opset version.
struct OpsetImport {
  std::string domain;
  int64_t version;
};

/// A network with what its file says about it.
struct Model {
  Graph graph;
  std::vector<OpsetImport> source_opsets;  ///< of the file it came from
  std::string producer, description;
  std::vector<std::pair<std::string, std::string>> metadata;  ///< key-value pairs of the file
  std::string source_path;                                    ///< for messages; may be empty
  std::string source_format;                                  ///< "onnx"
  int64_t file_bytes = 0;                                     ///< with external data
};

/// Number of weight elements (constants of float type, or annotated), and the bytes they take as stored by their
/// annotation.
struct WeightSummary {
  int64_t parameters = 0, stored_bytes = 0;
  double mean_bits() const {
    return parameters ? 8.0 * static_cast<double>(stored_bytes) / static_cast<double>(parameters) : 0.0;
  }
};
WeightSummary summarize_weights(const Graph& graph);

/// One line a node, in order, for tests and `inspect --graph`:  `%y : float32[N x 10] int8/tensor = Gemm(%x, %w, %b)
/// {alpha=1}`.
std::string dump(const Graph& graph);

}  // namespace lowbit
