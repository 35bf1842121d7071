// graph_builder.h: small graphs for tests, written as one reads them.
#pragma once

#include <string>
#include <vector>

#include "lowbit/base/random.h"
#include "lowbit/core/graph.h"

namespace lowbit::testing {

class GraphBuilder {
 public:
  Graph graph;

  ValueId input(const std::string& name, Shape shape, DType type = DType::float32) {
    const ValueId id = graph.add_value(name, type, std::move(shape));
    graph.inputs.push_back(id);
    return id;
  }
  ValueId constant(const std::string& name, Tensor tensor) { return graph.add_constant(name, std::move(tensor)); }
  /// A node with one output, which is named like the node with "_out".
  ValueId node(const std::string& op, const std::string& name, std::vector<ValueId> inputs,
               Attributes attributes = {}) {
    Node made;
    made.op = op;
    made.name = name;
    made.inputs = std::move(inputs);
    made.attributes = std::move(attributes);
    made.outputs = {graph.add_value(name + "_out", DType::float32)};
    graph.nodes.push_back(std::move(made));
    return graph.nodes.back().outputs[0];
  }
  void output(ValueId id) { graph.outputs.push_back(id); }

  /// Annotates an activation per tensor.
  void annotate(ValueId id, const std::string& format, float scale, int32_t zero_point) {
    NumberFormat parsed = parse_number_format(format);
    parsed.asymmetric = zero_point != 0 || parsed.asymmetric;
    graph.value(id).quantization = linear_quantization(parsed, {scale, zero_point}, "test");
  }
  /// Annotates a constant per channel of `axis` by its extremes.
  void annotate_weight(ValueId id, const std::string& format, int64_t axis) {
    Quantization q;
    q.format = parse_number_format(format);
    q.granularity = {Granularity::Kind::channel, axis, 1, 0};
    const Tensor& w = *graph.constant(id);
    q.params = fit_groups(q.format, q.granularity, w.dims(), w.data<float>(), {}, {});
    graph.value(id).quantization = q;
  }
};

/// Values uniform in [low, high).
inline Tensor random_tensor(Dims dims, uint64_t seed, float low = -1, float high = 1) {
  Tensor x(DType::float32, std::move(dims));
  Random random(seed);
  for (float& value : x.mutable_values<float>()) value = low + static_cast<float>(random.uniform()) * (high - low);
  return x;
}

}  // namespace lowbit::testing
