#include "lowbit/search/sensitivity.h"

#include <algorithm>

#include "lowbit/base/error.h"
#include "lowbit/search/suffix.h"

namespace lowbit::search {
namespace {

int64_t samples_of(const NamedTensors& inputs) {
  int64_t samples = 1;
  for (const auto& [name, tensor] : inputs)
    if (tensor.rank() > 0) samples = std::max(samples, tensor.dim(0));
  return samples;
}

/// Adds to each channel of `result` what makes its mean that of `reference`.
void match_means(Tensor& result, const Tensor& reference, const Node& node) {
  if (result.dtype() != DType::float32 || result.rank() < 2) return;
  const bool last = result.rank() == 2 || node.is("MatMul") || node.is("Gemm");
  const int64_t axis = last ? result.rank() - 1 : 1, channels = result.dim(axis);
  int64_t inner = 1;
  for (int64_t d = axis + 1; d < result.rank(); ++d) inner *= result.dim(d);
  const int64_t each = channels > 0 && inner > 0 ? result.count() / channels : 0;
  if (each == 0) return;
  std::vector<double> shift(static_cast<size_t>(channels), 0);
  const float* wanted = reference.data<float>();
  float* values = result.mutable_data<float>();
  const auto channel = [&](int64_t i) { return static_cast<size_t>(i / inner % channels); };
  for (int64_t i = 0; i < result.count(); ++i)
    shift[channel(i)] += static_cast<double>(wanted[i]) - static_cast<double>(values[i]);
  for (int64_t i = 0; i < result.count(); ++i)
    values[i] = static_cast<float>(static_cast<double>(values[i]) + shift[channel(i)] / static_cast<double>(each));
}

}  // namespace

Tensor output_rows(const Tensor& output, int64_t samples) {
  const bool batched = output.rank() > 0 && output.dim(0) == samples && samples > 0;
  const int64_t rows = batched ? samples : 1;
  return to_float32(output).reshaped({rows, output.count() / rows});
}

Sensitivity::Sensitivity(const Graph& graph, std::vector<NamedTensors> batches, bool has_labels, ThreadPool& threads)
    : graph_(graph), threads_(threads) {
  for (NamedTensors& inputs : batches) {
    std::map<ValueId, Tensor> values;
    EvaluateOptions options;
    options.on_value = [&](const Graph& of, ValueId id, Tensor& tensor) {
      if (&of == &graph_) values[id] = tensor;
    };
    Evaluator evaluator(graph_, threads_, options);
    const std::vector<Tensor> outputs = evaluator.run_ordered(inputs);
    rows_.push_back(output_rows(outputs.at(0), samples_of(inputs)));
    values_.push_back(std::move(values));
  }
  LOWBIT_CHECK(!rows_.empty());
  kind_ = output_kind(rows_.front(), has_labels);
}

double Sensitivity::divergence_of(size_t batch, const Tensor& output) const {
  const Tensor rows = output_rows(output, rows_[batch].dim(0)), &reference = rows_[batch];
  LOWBIT_CHECK(rows.dims() == reference.dims());
  const auto width = static_cast<size_t>(rows.dim(1));
  double sum = 0;
  for (int64_t r = 0; r < rows.dim(0); ++r) {
    const size_t begin = static_cast<size_t>(r) * width;
    sum +=
        divergence(kind_, reference.values<float>().subspan(begin, width), rows.values<float>().subspan(begin, width));
  }
  return sum;
}

double Sensitivity::run_suffix(const Graph& suffix, size_t batch, const std::map<ValueId, Tensor>& given) const {
  // Networks whose first output is made before the change do not see it.
  if (suffix.outputs.empty() || suffix.outputs[0] != graph_.outputs[0]) {
    const auto found = given.find(graph_.outputs[0]);
    return found == given.end() ? 0 : divergence_of(batch, found->second);
  }
  NamedTensors inputs;
  for (const ValueId id : suffix.inputs) {
    const auto changed = given.find(id);
    inputs[suffix.value(id).name] = changed != given.end() ? changed->second : values_[batch].at(id);
  }
  Evaluator evaluator(suffix, threads_);
  return divergence_of(batch, evaluator.run_ordered(inputs)[0]);
}

double Sensitivity::replaced_constants(std::vector<size_t> nodes, const std::map<ValueId, Tensor>& constants) const {
  std::sort(nodes.begin(), nodes.end());
  const bool several = nodes.size() > 1;
  Graph suffix = suffix_from(graph_, several ? nodes.front() : nodes.front() + 1);
  if (several)
    for (const auto& [id, tensor] : constants) suffix.value(id).constant = tensor;
  double sum = 0;
  int64_t samples = 0;
  for (size_t batch = 0; batch < rows_.size(); ++batch) {
    samples += rows_[batch].dim(0);
    if (several) {
      sum += run_suffix(suffix, batch, {});
      continue;
    }
    const Node& node = graph_.nodes[nodes.front()];
    std::vector<const Tensor*> inputs;
    for (const ValueId id : node.inputs) {
      const auto replaced = constants.find(id);
      inputs.push_back(id == kNone                   ? nullptr
                       : replaced != constants.end() ? &replaced->second
                       : graph_.constant(id)         ? graph_.constant(id)
                                                     : &values_[batch].at(id));
    }
    std::vector<Tensor> results = evaluate_node(node, inputs, threads_, /*accelerated=*/true);
    std::map<ValueId, Tensor> given;
    for (size_t i = 0; i < node.outputs.size() && i < results.size(); ++i) {
      if (node.outputs[i] == kNone) continue;
      if (i == 0) match_means(results[0], values_[batch].at(node.outputs[0]), node);
      given[node.outputs[i]] = results[i];
    }
    sum += run_suffix(suffix, batch, given);
  }
  return samples > 0 ? sum / static_cast<double>(samples) : 0;
}

}  // namespace lowbit::search
