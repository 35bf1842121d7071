#include "lowbit/api/automatic_layers.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "lowbit/api/runner.h"
#include "lowbit/base/text.h"
#include "lowbit/core/weights.h"
#include "lowbit/methods/placement.h"
#include "lowbit/methods/weight_choice.h"

namespace lowbit {
namespace {

constexpr int kSecondOrderBits = 6;         // as the default methods: plain rounding of more bits is as good
constexpr int64_t kCandidateSamples = 256;  // for the weights of candidates
constexpr int64_t kTimingSamples = 16;      // only the form of the network matters
constexpr double kMostMacs = 1.2e11;        // of all sensitivities together: some seconds on two cores
constexpr int64_t kLeastSamples = 16, kMostSamples = 128;
constexpr int64_t kMostValueBytes = int64_t{256} << 20;
constexpr double kTimingSeconds = 0.3;

std::map<std::string, size_t> nodes_by_name(const Graph& graph) {
  std::map<std::string, size_t> result;
  for (size_t n = 0; n < graph.nodes.size(); ++n) result[graph.nodes[n].name] = n;
  return result;
}

/// Bytes of one sample's values.
int64_t value_bytes(const Graph& graph) {
  int64_t bytes = 0;
  for (const Value& value : graph.values) {
    if (value.constant || !value.shape) continue;
    int64_t count = 4;
    for (const Dim& dim : *value.shape) count *= dim.known() ? std::max<int64_t>(*dim.size, 1) : 1;
    bytes += count;
  }
  return std::max<int64_t>(bytes, 1);
}

Recipe weights_only(const Recipe& recipe, const std::string& candidate) {
  Recipe result = recipe;
  result.weights = candidate;
  result.activations = "none";
  result.samples = kCandidateSamples;
  for (std::string& method : result.methods)
    if (method == "default")
      method = parse_number_format(candidate).bits <= kSecondOrderBits ? "gptq:targets=0" : "none";
  return result;
}

}  // namespace

std::vector<LayerGroup> layer_groups(const Graph& graph, const Recipe& recipe, const Coverage& coverage) {
  std::map<std::string, int64_t> macs;
  for (const LayerDecision& layer : coverage.layers) macs[layer.name] = layer.macs;
  const Placement placement = place(graph, recipe, /*with_activations=*/true);
  const auto chosen_by_user = [&](const Node& node) {
    return std::any_of(recipe.rules.begin(), recipe.rules.end(),
                       [&](const LayerRule& rule) { return rule.settings.weights && matches(rule.match, node); });
  };
  std::vector<LayerGroup> groups;
  std::map<std::string, size_t> group_of;  // by weight
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    const NodePlan& plan = placement.nodes[n];
    if (plan.weights.empty() || plan.role == NodeRole::floating || chosen_by_user(node)) continue;
    std::optional<size_t> at;
    for (const WeightSlot& slot : plan.weights)
      if (const auto found = group_of.find(graph.value(node.inputs[slot.input]).name); found != group_of.end())
        at = found->second;
    if (!at) {
      at = groups.size();
      groups.push_back({{}, node.full_op(), 0, {}});
    }
    LayerGroup& group = groups[*at];
    group.names.push_back(node.name);
    group.macs += macs[node.name];
    for (const WeightSlot& slot : plan.weights) {
      const std::string& name = graph.value(node.inputs[slot.input]).name;
      group.weights.insert(name);
      group_of[name] = *at;
    }
  }
  return groups;
}

Recipe with_weights(Recipe recipe, const std::vector<LayerGroup>& groups, const std::vector<std::string>& candidates) {
  for (size_t g = 0; g < groups.size(); ++g)
    for (const std::string& name : groups[g].names) {
      LayerRule rule{.match = literal_glob(name), .settings = {}};
      rule.settings.weights = candidates[g];
      recipe.rules.push_back(std::move(rule));
    }
  return recipe;
}

std::vector<NamedTensors> few_samples(const Graph& graph, const DataSet& data, int64_t macs, double runs,
                                      ThreadPool& threads) {
  const double affordable = kMostMacs / std::max(1.0, static_cast<double>(macs) * runs);
  int64_t count = static_cast<int64_t>(
      std::clamp(affordable, static_cast<double>(kLeastSamples), static_cast<double>(kMostSamples)));
  count = std::clamp<int64_t>(std::min(count, kMostValueBytes / value_bytes(graph)), 1, data.size());
  const int64_t step = std::min(usable_batch(graph, count), count);
  std::vector<NamedTensors> batches;
  for (int64_t begin = 0; begin + step <= count; begin += step)
    batches.push_back(bind_inputs(graph, data.read(begin, step, &threads)));
  return batches;
}

CandidateWeights::CandidateWeights(const Model& model, const DataSet& calibration, const Recipe& recipe,
                                   const std::vector<std::string>& candidates, ThreadPool& threads,
                                   const Progress& progress) {
  for (const std::string& candidate : candidates) {
    if (progress)
      progress("weights of " + candidate, static_cast<double>(graphs_.size()) / static_cast<double>(candidates.size()));
    graphs_.push_back(quantize(model, &calibration, weights_only(recipe, candidate), threads).model.graph);
  }
}

std::vector<std::vector<double>> CandidateWeights::losses(const Graph& graph, const std::vector<LayerGroup>& groups,
                                                          const search::Sensitivity& sensitivity,
                                                          const Progress& progress) const {
  const auto nodes = nodes_by_name(graph);
  std::vector<std::map<std::string, size_t>> low_nodes;
  for (const Graph& low : graphs_) low_nodes.push_back(nodes_by_name(low));
  std::vector<std::vector<double>> result(groups.size());
  for (size_t g = 0; g < groups.size(); ++g)
    for (size_t c = 0; c < graphs_.size(); ++c) {
      std::vector<size_t> changed;
      std::map<ValueId, Tensor> constants;
      for (const std::string& name : groups[g].names) {
        const size_t n = nodes.at(name);
        changed.push_back(n);
        const Node &node = graph.nodes[n], &low = graphs_[c].nodes[low_nodes[c].at(name)];
        for (size_t i = 0; i < node.inputs.size() && i < low.inputs.size(); ++i)
          if (low.inputs[i] != kNone && is_annotated_constant(graphs_[c].value(low.inputs[i])))
            constants[node.inputs[i]] = weight_values(graphs_[c].value(low.inputs[i]));
      }
      result[g].push_back(sensitivity.replaced_constants(changed, constants));
      if (progress)
        progress("sensitivity of layers",
                 static_cast<double>(g * graphs_.size() + c + 1) / static_cast<double>(groups.size() * graphs_.size()));
    }
  return result;
}

std::vector<std::vector<double>> CandidateWeights::bytes(const Model& base, const std::vector<LayerGroup>& groups,
                                                         const std::string& output, const LowerOptions& lower,
                                                         const Progress& progress) const {
  const auto nodes = nodes_by_name(base.graph);
  std::vector<std::vector<double>> result(groups.size());
  for (size_t g = 0; g < groups.size(); ++g)
    for (size_t c = 0; c < graphs_.size(); ++c) {
      Model changed = base;
      const auto low_nodes = nodes_by_name(graphs_[c]);
      for (const std::string& name : groups[g].names) {
        const Node &node = changed.graph.nodes[nodes.at(name)], &low = graphs_[c].nodes[low_nodes.at(name)];
        for (size_t i = 0; i < node.inputs.size() && i < low.inputs.size(); ++i) {
          if (low.inputs[i] == kNone || !is_annotated_constant(graphs_[c].value(low.inputs[i]))) continue;
          changed.graph.value(node.inputs[i]).constant = graphs_[c].value(low.inputs[i]).constant;
          changed.graph.value(node.inputs[i]).quantization = graphs_[c].value(low.inputs[i]).quantization;
        }
      }
      const auto size = predicted_file_bytes(changed, output, lower);
      if (!size)
        throw Error(ErrorCode::bad_argument,
                    "the format of the output cannot hold one of the candidates (choose other --candidates, or .lbq)",
                    output);
      result[g].push_back(static_cast<double>(*size));
      if (progress)
        progress("bytes of layers",
                 static_cast<double>(g * graphs_.size() + c + 1) / static_cast<double>(groups.size() * graphs_.size()));
    }
  return result;
}

LayerTimes measure_times(const Model& model, const DataSet& calibration, const Recipe& recipe,
                         const std::vector<LayerGroup>& groups, const std::vector<std::string>& candidates,
                         ThreadPool& threads, const Progress& progress) {
  std::map<std::string, size_t> group_of;
  for (size_t g = 0; g < groups.size(); ++g)
    for (const std::string& name : groups[g].names) group_of[name] = g;
  LayerTimes times;
  for (const std::string& candidate : candidates) {
    if (progress)
      progress("timing " + candidate, static_cast<double>(times.ms.size()) / static_cast<double>(candidates.size()));
    Recipe plain = recipe;
    plain.weights = candidate;
    plain.methods.clear();
    plain.samples = kTimingSamples;
    const Model low = quantize(model, &calibration, plain, threads).model;
    BenchOptions options;
    options.seconds = kTimingSeconds;
    options.per_layer = true;
    const BenchResult bench = bench_model(low, model.source_path, threads, options);
    std::vector<double> ms(groups.size(), 0);
    double in_layers = 0;
    for (const BenchResult::Layer& layer : bench.layers) {
      const auto found = group_of.find(layer.name);
      if (found == group_of.end()) continue;
      ms[found->second] += layer.ms_median;
      in_layers += layer.ms_median;
    }
    times.ms.push_back(std::move(ms));
    times.rest.push_back(std::max(0.0, bench.ms_median - in_layers));
  }
  return times;
}

}  // namespace lowbit
