#include "lowbit/core/graph_index.h"

#include "lowbit/core/weights.h"

namespace lowbit {

int32_t only_reader(const Graph& graph, const GraphIndex& index, ValueId id) {
  const auto& readers = index.readers(id);
  if (readers.size() != 1 || readers[0].position < 0 || graph.is_output(id)) return -1;
  return readers[0].node;
}

std::optional<double> scalar_constant(const Graph& graph, ValueId id) {
  const Tensor* tensor = graph.constant(id);
  if (!tensor || tensor->count() != 1 || (!is_float(tensor->dtype()) && !is_integer(tensor->dtype())))
    return std::nullopt;
  return unrounded_values(graph.value(id)).cast(DType::float64).data<double>()[0];
}

}  // namespace lowbit
