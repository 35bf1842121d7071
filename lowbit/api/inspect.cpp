#include "lowbit/api/inspect.h"

#include <algorithm>
#include <cmath>

#include "lowbit/core/weights.h"
#include "lowbit/eval/metrics.h"
#include "lowbit/formats/format.h"
#include "lowbit/ops/op.h"
#include "lowbit/passes/raise_qdq.h"

namespace lowbit {
namespace {

constexpr double kOutlierDeviations = 6;

void count_operators(const Graph& graph, Inspection& inspection) {
  std::vector<const Graph*> pending = {&graph};
  while (!pending.empty()) {
    const Graph& next = *pending.back();
    pending.pop_back();
    for (const Node& node : next.nodes) {
      const std::string name = node.full_op();
      ++inspection.operators[name];
      const OpDef* op = find_op(node);
      if (!op)
        ++inspection.unknown[name];
      else if (!op->reference && op->kind != OpKind::control)
        ++inspection.cannot_run[name];
      for (const auto& [key, attribute] : node.attributes)
        if (const auto* subgraph = std::get_if<std::shared_ptr<Graph>>(&attribute)) pending.push_back(subgraph->get());
    }
  }
}

void count_number_systems(const Graph& graph, Inspection& inspection) {
  for (const Value& value : graph.values) {
    if (value.constant) {
      if (value.quantization || is_float(value.constant->dtype()))
        ++inspection.number_systems[number_system_text(value) + " weights"];
    } else if (value.quantization) {
      ++inspection.number_systems[number_system_text(value) + " activations"];
    }
  }
}

double rounding_sqnr_db(const Tensor& x, const char* format, const Granularity& granularity) {
  Quantization quantization;
  quantization.format = parse_number_format(format);
  quantization.granularity = granularity;
  quantization.params = fit_groups(quantization.format, granularity, x.dims(), x.data<float>(), {}, FitOptions{});
  ErrorAccumulator error;
  error.add(x, fake_quantize(quantization, x));
  return error.result().sqnr_db;
}

void add_moments(std::span<const float> x, WeightStatistics& result) {
  const double n = static_cast<double>(x.size());
  double sum = 0, squares = 0;
  int64_t zeros = 0, outliers = 0;
  result.min = result.max = x[0];
  for (const float value : x) {
    result.min = std::min<double>(result.min, value);
    result.max = std::max<double>(result.max, value);
    sum += value;
    zeros += value == 0;
  }
  result.mean = sum / n;
  for (const float value : x) squares += (value - result.mean) * (value - result.mean);
  result.standard_deviation = std::sqrt(squares / n);
  for (const float value : x)
    outliers += std::abs(value - result.mean) > kOutlierDeviations * result.standard_deviation;
  result.sparsity = static_cast<double>(zeros) / n;
  result.outlier_share = static_cast<double>(outliers) / n;
}

}  // namespace

int64_t channel_axis(const Graph& graph, const std::vector<Graph::Use>& uses, int64_t rank) {
  if (uses.empty() || uses[0].position < 0) return 0;
  const Node& reader = graph.nodes[static_cast<size_t>(uses[0].node)];
  if (reader.is("ConvTranspose")) return std::min<int64_t>(1, rank - 1);
  if (reader.is("MatMul")) return rank - 1;
  if (reader.is("Gemm")) return reader.attr_int("transB", 0) ? 0 : rank - 1;
  return 0;
}

std::string number_system_text(const Value& value) {
  if (value.quantization)
    return to_string(value.quantization->format) + "/" +
           (value.quantization->dynamic ? "dynamic" : to_string(value.quantization->granularity));
  return std::string(dtype_name(value.constant ? value.constant->dtype() : value.dtype));
}

std::vector<WeightStatistics> weight_statistics(const Graph& graph) {
  std::vector<WeightStatistics> results;
  const auto uses = graph.uses();
  for (size_t id = 0; id < graph.values.size(); ++id) {
    const Value& value = graph.values[id];
    if (!value.constant || value.constant->count() < 2) continue;
    if (!is_float(value.constant->dtype()) && !holds_codes(value)) continue;
    const Tensor x = to_float32(unrounded_values(value));
    WeightStatistics result;
    result.name = value.name;
    result.number_system = number_system_text(value);
    result.dims = x.dims();
    add_moments(x.values<float>(), result);
    const Granularity tensor;
    const Granularity channel{Granularity::Kind::channel, channel_axis(graph, uses[id], x.rank()), 1, 0};
    result.sqnr_int8_tensor_db = rounding_sqnr_db(x, "int8", tensor);
    result.sqnr_int8_channel_db = rounding_sqnr_db(x, "int8", channel);
    result.sqnr_int4_tensor_db = rounding_sqnr_db(x, "int4", tensor);
    result.sqnr_int4_channel_db = rounding_sqnr_db(x, "int4", channel);
    results.push_back(std::move(result));
  }
  return results;
}

Inspection inspect_file(const std::string& path, bool with_weight_statistics, bool allow_nonfinite) {
  Inspection inspection;
  inspection.model = load_model(path, allow_nonfinite);
  count_operators(inspection.model.graph, inspection);
  Graph annotated = inspection.model.graph;
  raise_qdq(annotated);
  count_number_systems(annotated, inspection);
  inspection.weights = summarize_weights(annotated);
  inspection.container = container_contents(path);
  if (inspection.container) inspection.weights = {inspection.container->parameters, inspection.container->weight_bytes};
  if (with_weight_statistics) inspection.weight_statistics = weight_statistics(annotated);
  return inspection;
}

}  // namespace lowbit
