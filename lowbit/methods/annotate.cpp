#include "lowbit/methods/annotate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/core/graph_index.h"
#include "lowbit/core/offload.h"
#include "lowbit/methods/activation_system.h"
#include "lowbit/methods/body_weights.h"
#include "lowbit/methods/weight_fit.h"
#include "lowbit/observe/range.h"

namespace lowbit {
namespace {

/// Operators whose results have a range that no data can leave.
std::optional<Range> known_range(const Node& node) {
  if (node.is("Sigmoid") || node.is("HardSigmoid") || node.is("Softmax")) return Range{0, 1, "bounded by " + node.op};
  if (node.is("Tanh") || node.is("Softsign")) return Range{-1, 1, "bounded by " + node.op};
  return std::nullopt;
}

/// The largest 32-bit bias code that is allowed; half of the range is left to the products.
constexpr double kMaxBiasCode = 1073741824.0;

class Annotator {
 public:
  Annotator(Graph& graph, const Recipe& recipe, const Placement& placement, const StatisticsSet* statistics,
            std::vector<std::string>& notes, ThreadPool* threads)
      : graph_(graph),
        recipe_(recipe),
        placement_(placement),
        statistics_(statistics),
        notes_(notes),
        threads_(threads),
        index_(graph) {}

  void run() {
    for (size_t v = 0; v < graph_.values.size(); ++v)
      if (placement_.quantized[v] && placement_.parameters_of[v] == static_cast<ValueId>(v))
        annotate_activation(static_cast<ValueId>(v));
    // Movement results and branches of a Concat share what was found for their owner.
    for (size_t v = 0; v < placement_.quantized.size(); ++v) {
      const ValueId owner = placement_.parameters_of[v];
      if (!placement_.quantized[v] || owner == static_cast<ValueId>(v)) continue;
      if (!graph_.value(owner).quantization) annotate_activation(owner);
      graph_.values[v].quantization = graph_.value(owner).quantization;
    }
    for (size_t n = 0; n < placement_.nodes.size(); ++n) {
      annotate_constants(n);
      for (ValueId id : graph_.nodes[n].inputs)
        if (const Tensor* constant = graph_.constant(id)) rest_pages(*constant);
    }
    annotate_bodies(graph_, recipe_);
  }

 private:
  const LayerSettings& settings_for(ValueId id) const {
    const int32_t producer = index_.producer(id);
    const auto& readers = index_.readers(id);
    // The settings of the layer that makes the value; a network input takes those of its first reader.
    const int32_t node = producer >= 0 ? producer : readers.empty() ? 0 : readers[0].node;
    return placement_.nodes[static_cast<size_t>(node)].settings;
  }

  void annotate_activation(ValueId id) {
    Value& value = graph_.value(id);
    const LayerSettings& settings = settings_for(id);
    const std::string& system = *settings.activations == "none" ? recipe_.activations : *settings.activations;
    const ActivationSystem wanted = parse_activation_system(system);
    NumberFormat format = wanted.format;
    if (wanted.dynamic) return annotate_dynamic(value, wanted);
    // A symmetric range is a matter of scale; the lowest code is there, and engines use it.
    if (is_linear(format)) format.narrow = false;
    const int32_t producer = index_.producer(id);
    std::optional<Range> range;
    if (producer >= 0) range = known_range(graph_.nodes[static_cast<size_t>(producer)]);
    const TensorStatistics* seen = nullptr;
    if (!range) {
      const auto found = statistics_ ? statistics_->tensors.find(value.name)
                                     : std::map<std::string, TensorStatistics>::const_iterator{};
      if (!statistics_ || found == statistics_->tensors.end() || found->second.count == found->second.nonfinite)
        throw Error(
            ErrorCode::bad_argument,
            fmt::format("calibration never saw value '{}' (give --data, or keep its layer in float with --exclude)",
                        printable(value.name)));
      seen = &found->second;
      range = choose_range(*seen, parse_range_rule(*settings.range),
                           is_linear(format) ? format : parse_number_format("uint8"));
    }
    if (is_linear(format)) {
      format.asymmetric = choose_asymmetric(format, seen, *range);
      value.quantization = linear_quantization(format, linear_params(format, range->low, range->high), range->origin);
      return;
    }
    value.quantization = Quantization{format, {}, activation_params(format, *range), range->origin};
  }

  static void annotate_dynamic(Value& value, const ActivationSystem& system) {
    Quantization quantization;
    quantization.format = system.format;
    quantization.dynamic = true;
    // For dynamic activations a channel is a row along the last axis, a token.
    if (system.by_row) quantization.granularity.kind = Granularity::Kind::channel;
    quantization.origin = "found at inference";
    value.quantization = std::move(quantization);
  }

  bool choose_asymmetric(NumberFormat format, const TensorStatistics* seen, const Range& range) const {
    if (recipe_.symmetry == "symmetric") return false;
    if (recipe_.symmetry != "mixed" || !seen) return true;
    NumberFormat symmetric = format, asymmetric = format;
    symmetric.asymmetric = false;
    asymmetric.asymmetric = true;
    // Symmetric arithmetic is cheaper, so it wins unless the zero point is worth something.
    return expected_mse(*seen, asymmetric, range.low, range.high) <
           0.98 * expected_mse(*seen, symmetric, range.low, range.high);
  }

  void annotate_constants(size_t n) {
    const NodePlan& plan = placement_.nodes[n];
    if (plan.role == NodeRole::dynamic) {
      // A static range, where another layer asked for one, is as good.
      Value& input = graph_.value(graph_.nodes[n].inputs[0]);
      if (!input.quantization) annotate_dynamic(input, parse_activation_system(*plan.settings.activations));
    }
    if (plan.role == NodeRole::anchor || plan.role == NodeRole::weights_only || plan.role == NodeRole::dynamic) {
      for (const WeightSlot& slot : plan.weights) annotate_weight(n, plan, slot);
      return;
    }
    if (plan.role != NodeRole::integer && plan.role != NodeRole::concat) return;
    for (size_t i = 0; i < graph_.nodes[n].inputs.size(); ++i) annotate_operand(n, i, plan);
  }

  /// A constant operand of an element-wise operator or a Concat.
  void annotate_operand(size_t n, size_t i, const NodePlan& plan) {
    Node& node = graph_.nodes[n];
    const Tensor* constant = graph_.constant(node.inputs[i]);
    const bool arithmetic = node.is("Add") || node.is("Sub") || node.is("Mul") || node.is("Concat");
    if (!constant || !arithmetic || constant->dtype() != DType::float32) return;
    if (index_.readers(node.inputs[i]).size() > 1 || graph_.is_output(node.inputs[i])) {
      const Tensor copy = *constant;
      node.inputs[i] = graph_.add_constant(graph_.value(node.inputs[i]).name + "_operand", copy);
      constant = graph_.constant(node.inputs[i]);
    }
    if (plan.role == NodeRole::concat) {
      graph_.value(node.inputs[i]).quantization = graph_.value(node.outputs[0]).quantization;
      return;
    }
    NumberFormat format = parse_activation_system(recipe_.activations).format;
    if (!is_linear(format)) return;
    format.asymmetric = true;
    const auto [low, high] = std::minmax_element(constant->values<float>().begin(), constant->values<float>().end());
    if (low == constant->values<float>().end()) return;
    graph_.value(node.inputs[i]).quantization = linear_quantization(
        format, linear_params(format, std::min(*low, 0.f), std::max(*high, 0.f)), "constant operand");
  }

  void annotate_weight(size_t n, const NodePlan& plan, const WeightSlot& slot) {
    Node& node = graph_.nodes[n];
    const ValueId id = node.inputs[slot.input];
    // Decided once for a constant, unless integer arithmetic asks for parameters of its own.
    if (graph_.value(id).quantization && plan.role != NodeRole::anchor) return;
    const Tensor weight = original_of(id);
    Quantization quantization;
    quantization.format = parse_number_format(*plan.settings.weights);
    quantization.granularity = slot_granularity(*plan.settings.granularity, slot);
    fit_params(node, weight, quantization);
    if (plan.role == NodeRole::anchor) make_bias_fit(node, weight, quantization);
    const bool tied = graph_.value(id).quantization && !(*graph_.value(id).quantization == quantization);
    ValueId target = id;
    if (tied || kept_elsewhere(id)) {
      // Tied weights whose layers need different parameters, or one of which stays float: a constant of its own.
      target = graph_.add_constant(graph_.value(id).name + "_" + node.name, weight);
      node.inputs[slot.input] = target;
    }
    graph_.value(target).constant = rounded_weight(recipe_, quantization, graph_.value(target).name, weight);
    graph_.value(target).quantization = std::move(quantization);
  }

  /// The values of a constant before it was rounded for another reader.
  Tensor original_of(ValueId id) {
    const auto [found, fresh] = originals_.try_emplace(id, *graph_.constant(id));
    return found->second;
  }

  /// A layer that the user wants in float reads the constant too.
  bool kept_elsewhere(ValueId id) const {
    if (static_cast<size_t>(id) >= index_.uses.size()) return false;
    const auto& readers = index_.readers(id);
    return std::any_of(readers.begin(), readers.end(), [&](const Graph::Use& use) {
      const NodePlan& plan = placement_.nodes[static_cast<size_t>(use.node)];
      return plan.role == NodeRole::floating && !plan.reason.empty() && use.position >= 0 &&
             (plan.reason == "excluded" || plan.reason == "not included" || plan.reason == "its weights stay float");
    });
  }

  void fit_params(const Node& node, const Tensor& weight, Quantization& quantization) {
    std::vector<float> importance;
    if (recipe_.weight_range == "weighted") {
      importance = weight_importance(graph_, node, weight, statistics_);
      if (importance.empty())
        notes_.push_back(printable(node.name) +
                         ": its input was not measured channel by channel, so all its weights count the same");
    }
    const FitOptions options{.rule = recipe_.weight_range == "minmax" ? FitRule::minmax : FitRule::mse,
                             .threads = threads_};
    quantization.params = fit_groups(quantization.format, quantization.granularity, weight.dims(), weight.data<float>(),
                                     importance, options);
    quantization.origin = recipe_.weight_range == "minmax" ? "extremes of the weights"
                          : importance.empty()             ? "least squared error of the weights"
                                                           : "least error of the weights by the size of their inputs";
  }

  /// |b| / (s_x * s_w) must fit 32 bits: otherwise s_w is raised, which costs resolution only in a channel whose
  /// weights are negligible beside its bias.
  void make_bias_fit(const Node& node, const Tensor& weight, Quantization& quantization) {
    if (!quantization.linear()) return;
    const int64_t channels = weight.dim(quantization.granularity.axis),
                  groups = static_cast<int64_t>(quantization.params.size()) / 2;
    if (groups != 1 && groups != channels) return;
    int64_t raised = 0;
    for (int64_t c = 0; c < channels; ++c) {
      float& scale = quantization.params[static_cast<size_t>(groups == 1 ? 0 : c) * 2];
      const float needed = smallest_weight_scale(graph_, node, c);
      // A scale that float32 cannot hold is left: then the bias does not fit, and the layer says so and stays float.
      if (!(needed > scale) || !std::isfinite(needed)) continue;
      scale = needed;
      ++raised;
    }
    if (raised > 0)
      notes_.push_back(fmt::format("{}: the weight scale of {} channel{} was raised so that the bias fits 32 bits",
                                   printable(node.name), raised, raised == 1 ? "" : "s"));
  }

  Graph& graph_;
  const Recipe& recipe_;
  const Placement& placement_;
  const StatisticsSet* statistics_;
  std::vector<std::string>& notes_;
  ThreadPool* threads_;
  GraphIndex index_;
  std::unordered_map<ValueId, Tensor> originals_;
};

}  // namespace

std::set<std::string> values_to_observe(const Graph& graph, const Placement& placement) {
  std::set<std::string> names;
  for (size_t v = 0; v < placement.quantized.size(); ++v)
    if (placement.quantized[v]) names.insert(graph.value(placement.parameters_of[v]).name);
  return names;
}

float smallest_weight_scale(const Graph& graph, const Node& node, int64_t channel) {
  const Tensor* bias = graph.constant(node.input(2));
  const auto& input = graph.value(node.inputs[0]).quantization;
  if (!bias || !is_float(bias->dtype()) || bias->count() == 0 || !input || !input->linear() || input->dynamic) return 0;
  const float value = to_float32(*bias).data<float>()[std::min(channel, bias->count() - 1)];
  const double needed =
      std::abs(static_cast<double>(value)) / (static_cast<double>(input->linear_at(0).scale) * kMaxBiasCode);
  return needed > 0 ? std::nextafter(static_cast<float>(needed), INFINITY) : 0.0f;
}

void annotate(Graph& graph, const Recipe& recipe, const Placement& placement, const StatisticsSet* statistics,
              std::vector<std::string>& notes, ThreadPool* threads) {
  Annotator(graph, recipe, placement, statistics, notes, threads).run();
}

}  // namespace lowbit
