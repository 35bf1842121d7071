// node_writer.h: appends nodes and constants to a graph that is being lowered, with short names of their own, since
// names are what a file of small tensors mostly consists of.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "lowbit/core/graph.h"

namespace lowbit {

class NodeWriter {
 public:
  /// Nodes go to `added`, in order; the caller appends them to the graph and sorts it.
  NodeWriter(Graph& graph, std::vector<Node>& added) : graph_(graph), added_(added) {}

  Graph& graph() { return graph_; }

  /// A node with one output: a new value (of unknown type unless `type` is given), or `output`.
  ValueId node(const char* op, std::vector<ValueId> inputs, Attributes attributes = {}, ValueId output = kNone,
               DType type = DType::undefined);
  /// The node that was made last.
  Node& last() { return added_.back(); }
  /// A constant that other weights may need too (divisors, tables, shapes): equal ones are made once.
  ValueId shared(Tensor tensor);
  ValueId shared(const std::vector<int64_t>& values) {
    return shared(Tensor::from(Dims{static_cast<int64_t>(values.size())}, values));
  }
  /// The output of the node that would be made last, moved onto `target`: the chain ends there.
  void end_at(ValueId made, ValueId target);

  ValueId cast(ValueId x, DType to);
  ValueId reshape(ValueId x, const Dims& dims);
  /// Elements begin to end (excluded) of the first axes.
  ValueId slice(ValueId x, const std::vector<int64_t>& begin, const std::vector<int64_t>& end);

 private:
  std::string fresh_name();
  Graph& graph_;
  std::vector<Node>& added_;
  std::map<std::string, ValueId> shared_;
  int counter_ = 0;
};

}  // namespace lowbit
