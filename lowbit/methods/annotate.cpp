#include "lowbit/methods/annotate.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/core/graph_index.h"
#include "lowbit/methods/weight_fit.h"
#include "lowbit/numbers/rounding.h"
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
    for (size_t n = 0; n < placement_.nodes.size(); ++n) annotate_constants(n);
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
    NumberFormat format = parse_number_format(system);
    if (!is_linear(format))
      throw Error(ErrorCode::bad_argument,
                  fmt::format("activations cannot be {} in a static model (use intN or uintN)", system),
                  "--activations");
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
      range = choose_range(*seen, parse_range_rule(*settings.range), format);
    }
    format.asymmetric = choose_asymmetric(format, seen, *range);
    value.quantization = linear_quantization(format, linear_params(format, range->low, range->high), range->origin);
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
    if (plan.weight != kNone && (plan.role == NodeRole::anchor || plan.role == NodeRole::weights_only)) {
      annotate_weight(n, plan);
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
    NumberFormat format = parse_number_format(recipe_.activations);
    format.asymmetric = true;
    const auto [low, high] = std::minmax_element(constant->values<float>().begin(), constant->values<float>().end());
    if (low == constant->values<float>().end()) return;
    graph_.value(node.inputs[i]).quantization = linear_quantization(
        format, linear_params(format, std::min(*low, 0.f), std::max(*high, 0.f)), "constant operand");
  }

  void annotate_weight(size_t n, const NodePlan& plan) {
    Node& node = graph_.nodes[n];
    const Tensor weight = *graph_.constant(plan.weight);
    Quantization quantization;
    quantization.format = parse_number_format(*plan.settings.weights);
    quantization.granularity = parse_granularity(*plan.settings.granularity);
    quantization.granularity.axis = plan.channel_axis;
    fit_params(node, weight, quantization);
    if (plan.role == NodeRole::anchor) make_bias_fit(node, weight, quantization);
    const Tensor rounded = round_weight(weight, plan.weight, quantization);
    Value& value = graph_.value(plan.weight);
    if (value.quantization && !(*value.quantization == quantization)) {
      // Tied weights whose layers need different parameters: a constant of its own for this one.
      std::replace(node.inputs.begin(), node.inputs.end(), plan.weight,
                   graph_.add_constant(value.name + "_" + node.name, rounded));
      graph_.value(node.inputs[1]).quantization = std::move(quantization);
      return;
    }
    value.constant = rounded;
    value.quantization = std::move(quantization);
  }

  /// The weight itself if its codes are the nearest ones, else the values of the codes that the recipe's rounding
  /// draws.
  Tensor round_weight(const Tensor& weight, ValueId id, const Quantization& quantization) const {
    Rounding rounding = parse_rounding(recipe_.rounding);
    if (rounding.kind == Rounding::Kind::nearest) return weight;
    // Tensors must not share their random numbers.
    constexpr uint64_t kStride = 0x9e3779b97f4a7c15u;
    rounding.seed += kStride * static_cast<uint64_t>(id + 1);
    Tensor codes = Tensor::uninitialized(DType::int32, weight.dims());
    encode_groups_rounded(quantization.format, quantization.granularity, weight.dims(), quantization.params, rounding,
                          weight.data<float>(), codes.mutable_data<int32_t>());
    return decode_tensor(quantization, codes);
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
