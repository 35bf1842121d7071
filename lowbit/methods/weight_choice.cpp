#include "lowbit/methods/weight_choice.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>

#include <fmt/format.h>

#include "lowbit/base/checked.h"
#include "lowbit/base/text.h"
#include "lowbit/numbers/widths.h"

namespace lowbit {
namespace {

constexpr std::string_view kAuto = "auto:";
constexpr int kMostWidth = 8;  ///< wider codes save nothing worth a choice
constexpr int kWidthsBelow = 3, kWidthsAbove = 2;
constexpr int64_t kSteps = 1 << 14;  ///< that the budget is counted in

/// A layer that is to be chosen for, and everything that was tried on it.
struct Layer {
  size_t node = 0;
  Tensor weight;
  std::vector<float> importance;
  std::vector<WeightFit> tried;
};

std::vector<std::pair<NumberFormat, Granularity>> candidates(double mean_bits, const Tensor& weight, int64_t axis) {
  std::vector<std::pair<NumberFormat, Granularity>> result;
  const int low = std::max(1, static_cast<int>(std::floor(mean_bits)) - kWidthsBelow);
  const int high = std::min(kMostWidth, static_cast<int>(std::ceil(mean_bits)) + kWidthsAbove);
  const int64_t most_bits = weight.count() * 32;
  const auto add = [&](const NumberFormat& format) {
    for (const Granularity& granularity : granularities_for(format, weight.dims(), axis))
      if (stored_bits(format, granularity, weight.dims()) < most_bits) result.emplace_back(format, granularity);
  };
  for (int bits = low; bits <= high; ++bits)
    for (NumberFormat format : formats_of_width(bits)) {
      add(format);
      // An offset in front helps where a group is not around zero; free levels have it already.
      // Fitted shapes cost a search for each group, which the offset would double for little.
      const bool has_offset = format.asymmetric || format.system->name == "codebook" || format.vector_size > 1;
      const bool has_shape = parameter_bits(format) > 2 * 32;
      format.standardized = true;
      if (!has_offset && !has_shape) add(format);
    }
  if (mean_bits > kMostWidth) add(parse_number_format(fmt::format("int{}", static_cast<int>(mean_bits))));
  return result;
}

/// Indices of the choices that no other one beats in both bits and error, by rising bits.
std::vector<size_t> pareto_front(const std::vector<Choice>& choices) {
  std::vector<size_t> order(choices.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return choices[a].bits != choices[b].bits ? choices[a].bits < choices[b].bits : choices[a].error < choices[b].error;
  });
  std::vector<size_t> front;
  double least = std::numeric_limits<double>::infinity();
  for (const size_t i : order)
    if (choices[i].error < least || front.empty()) {
      front.push_back(i);
      least = choices[i].error;
    }
  return front;
}

/// What is left of the budget goes, again and again, to the layer that gains the most for each bit.
void spend_rest(std::span<const std::vector<Choice>> layers, int64_t rest, std::vector<size_t>& chosen) {
  for (;;) {
    double best_gain = 0;
    size_t best_layer = 0, best_choice = 0;
    for (size_t layer = 0; layer < layers.size(); ++layer) {
      const Choice now = layers[layer][chosen[layer]];
      for (size_t i = 0; i < layers[layer].size(); ++i) {
        const Choice& other = layers[layer][i];
        if (!(other.error < now.error) || other.bits - now.bits > rest) continue;
        const double gain =
            (now.error - other.error) / static_cast<double>(std::max<int64_t>(other.bits - now.bits, 1));
        if (gain > best_gain) {
          best_gain = gain;
          best_layer = layer;
          best_choice = i;
        }
      }
    }
    if (!(best_gain > 0)) return;
    rest -= layers[best_layer][best_choice].bits - layers[best_layer][chosen[best_layer]].bits;
    chosen[best_layer] = best_choice;
  }
}

std::string describe(const WeightFit& fit) {
  return to_string(fit.quantization.format) + "/" + to_string(fit.quantization.granularity);
}

class Chooser {
 public:
  Chooser(const Graph& graph, const StatisticsSet* statistics, ThreadPool& threads, Placement& placement,
          Recipe& recipe, std::vector<std::string>& notes)
      : graph_(graph),
        statistics_(statistics),
        threads_(threads),
        placement_(placement),
        recipe_(recipe),
        notes_(notes),
        weighted_(statistics && recipe.weight_range != "mse") {}

  void run() {
    std::map<double, std::vector<Layer>> by_budget;
    for (size_t n = 0; n < placement_.nodes.size(); ++n) {
      const NodePlan& plan = placement_.nodes[n];
      const std::optional<double> mean_bits = parse_auto(*plan.settings.weights);
      if (!mean_bits || plan.weight == kNone) continue;
      const Tensor weight = to_float32(*graph_.constant(plan.weight));
      by_budget[*mean_bits].push_back(
          {n, weight, weight_importance(graph_, graph_.nodes[n], weight, weighted_ ? statistics_ : nullptr), {}});
    }
    for (auto& [mean_bits, layers] : by_budget) choose(mean_bits, layers);
    // What no layer of this network took stays valid when the recipe is read again.
    if (parse_auto(recipe_.weights)) recipe_.weights = "int8";
    for (LayerRule& rule : recipe_.rules)
      if (rule.settings.weights && parse_auto(*rule.settings.weights)) rule.settings.weights.reset();
    for (NodePlan& plan : placement_.nodes)
      if (parse_auto(*plan.settings.weights)) plan.settings.weights = recipe_.weights;
    recipe_.rules.insert(recipe_.rules.end(), rules_.begin(), rules_.end());
    recipe_.weight_range = weighted_ ? "weighted" : "mse";
  }

 private:
  void choose(double mean_bits, std::vector<Layer>& layers) {
    try_all(mean_bits, layers);
    std::vector<std::vector<Choice>> choices;
    int64_t elements = 0;
    for (const Layer& layer : layers) {
      elements += layer.weight.count();
      std::vector<Choice> of_layer;
      for (const WeightFit& fit : layer.tried) of_layer.push_back({fit.bits, fit.relative_error()});
      choices.push_back(std::move(of_layer));
    }
    const auto budget = static_cast<int64_t>(mean_bits * static_cast<double>(elements));
    const std::vector<size_t> chosen = spread_bits(choices, budget);
    int64_t bits = 0;
    for (size_t i = 0; i < layers.size(); ++i) {
      bits += choices[i][chosen[i]].bits;
      settle(layers[i], chosen[i]);
    }
    notes_.push_back(fmt::format("auto:{:g}: {:.3f} bits for each of {} weights{}", mean_bits,
                                 static_cast<double>(bits) / static_cast<double>(std::max<int64_t>(elements, 1)),
                                 with_commas(elements),
                                 bits > budget ? " (no system takes fewer; the scales of so few weights count)" : ""));
  }

  void try_all(double mean_bits, std::vector<Layer>& layers) {
    struct Task {
      Layer* layer;
      size_t slot;
      NumberFormat format;
      Granularity granularity;
    };
    std::vector<Task> tasks;
    for (Layer& layer : layers) {
      const auto found = candidates(mean_bits, layer.weight, placement_.nodes[layer.node].channel_axis);
      layer.tried.resize(found.size());
      for (size_t i = 0; i < found.size(); ++i) tasks.push_back({&layer, i, found[i].first, found[i].second});
    }
    threads_.parallel_for(static_cast<int64_t>(tasks.size()), [&](int64_t i) {
      const Task& task = tasks[static_cast<size_t>(i)];
      task.layer->tried[task.slot] =
          fit_weight(task.format, task.granularity, task.layer->weight, task.layer->importance, FitRule::mse, nullptr);
    });
  }

  void settle(const Layer& layer, size_t chosen) {
    const WeightFit& fit = layer.tried[chosen];
    NodePlan& plan = placement_.nodes[layer.node];
    plan.settings.weights = to_string(fit.quantization.format);
    plan.settings.granularity = to_string(fit.quantization.granularity);
    const Node& node = graph_.nodes[layer.node];
    LayerRule rule{.match = literal_glob(node.name), .settings = {}};
    rule.settings.weights = plan.settings.weights;
    rule.settings.granularity = plan.settings.granularity;
    rules_.push_back(std::move(rule));
    // The best of the other systems that takes no more room.
    const WeightFit* second = nullptr;
    for (const WeightFit& other : layer.tried)
      if (other.bits <= fit.bits && other.quantization.format.system != fit.quantization.format.system &&
          (!second || other.error < second->error))
        second = &other;
    const std::string why = fmt::format(
        "chosen out of {}: {:.2f} bits, {:.1f} dB{}", layer.tried.size(),
        static_cast<double>(fit.bits) / static_cast<double>(std::max<int64_t>(layer.weight.count(), 1)), fit.sqnr_db(),
        second ? fmt::format("; next in that room {}, {:.1f} dB", describe(*second), second->sqnr_db()) : "");
    plan.reason += (plan.reason.empty() ? "" : "; ") + why;
  }

  const Graph& graph_;
  const StatisticsSet* statistics_;
  ThreadPool& threads_;
  Placement& placement_;
  Recipe& recipe_;
  std::vector<std::string>& notes_;
  const bool weighted_;
  std::vector<LayerRule> rules_;
};

}  // namespace

std::string literal_glob(const std::string& name) {
  std::string result;
  for (const char c : name) {
    if (c == '*' || c == '?' || c == '[')
      result += std::string("[") + c + "]";
    else
      result += c;
  }
  return result;
}

std::optional<double> parse_auto(std::string_view weights) {
  if (!weights.starts_with(kAuto)) return std::nullopt;
  const std::optional<double> bits = parse_double(weights.substr(kAuto.size()));
  if (!bits || !(*bits >= 1 && *bits <= 16))
    throw Error(ErrorCode::bad_argument, fmt::format("'{}': auto:N takes a number of bits from 1 to 16, as in auto:3.5",
                                                     printable(weights, 60)));
  return bits;
}

std::vector<size_t> spread_bits(std::span<const std::vector<Choice>> layers, int64_t budget) {
  // The smallest choices are paid for exactly; what they leave is counted in steps, extra bits rounded up.
  std::vector<std::vector<size_t>> fronts;
  std::vector<size_t> chosen;
  int64_t rest = budget;
  for (const std::vector<Choice>& layer : layers) {
    fronts.push_back(pareto_front(layer));
    chosen.push_back(fronts.back().front());
    rest -= layer[chosen.back()].bits;
  }
  if (rest <= 0) return chosen;
  const int64_t step = (rest + kSteps - 1) / kSteps, steps = rest / step;
  constexpr double kNever = std::numeric_limits<double>::infinity();
  std::vector<double> least(static_cast<size_t>(steps) + 1, 0), next(least.size());
  std::vector<std::vector<uint16_t>> picks(layers.size(), std::vector<uint16_t>(least.size()));
  for (size_t layer = 0; layer < layers.size(); ++layer) {
    std::fill(next.begin(), next.end(), kNever);
    const std::vector<size_t>& front = fronts[layer];
    for (size_t f = 0; f < front.size(); ++f) {
      const Choice& choice = layers[layer][front[f]];
      const int64_t cost = (choice.bits - layers[layer][front[0]].bits + step - 1) / step;
      for (int64_t at = cost; at <= steps; ++at) {
        const double error = least[static_cast<size_t>(at - cost)] + choice.error;
        if (!(error < next[static_cast<size_t>(at)])) continue;
        next[static_cast<size_t>(at)] = error;
        picks[layer][static_cast<size_t>(at)] = static_cast<uint16_t>(f);
      }
    }
    least.swap(next);
  }
  int64_t at = steps;
  for (size_t layer = layers.size(); layer-- > 0;) {
    const std::vector<size_t>& front = fronts[layer];
    chosen[layer] = front[picks[layer][static_cast<size_t>(at)]];
    at -= (layers[layer][chosen[layer]].bits - layers[layer][front[0]].bits + step - 1) / step;
  }
  for (size_t layer = 0; layer < layers.size(); ++layer)
    rest -= layers[layer][chosen[layer]].bits - layers[layer][fronts[layer][0]].bits;
  spend_rest(layers, rest, chosen);
  return chosen;
}

void resolve_auto(const Graph& graph, const StatisticsSet* statistics, ThreadPool& threads, Placement& placement,
                  Recipe& recipe, std::vector<std::string>& notes) {
  const bool wanted = std::any_of(placement.nodes.begin(), placement.nodes.end(), [](const NodePlan& plan) {
    return plan.settings.weights && parse_auto(*plan.settings.weights).has_value();
  });
  if (wanted) Chooser(graph, statistics, threads, placement, recipe, notes).run();
}

}  // namespace lowbit
