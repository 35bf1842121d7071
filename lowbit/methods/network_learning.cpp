#include "lowbit/methods/network_learning.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include <fmt/format.h>

#include "lowbit/base/random.h"
#include "lowbit/base/text.h"
#include "lowbit/methods/annotate.h"
#include "lowbit/methods/gradient_tape.h"
#include "lowbit/methods/layer_matrix.h"
#include "lowbit/methods/layer_walk.h"
#include "lowbit/methods/learning_data.h"
#include "lowbit/ops/gradient.h"

namespace lowbit {
namespace {

constexpr int64_t kBlocksPerStep = 4;
constexpr int64_t kFewestBlocks = 8;
constexpr int64_t kMostHeldOut = 16;  ///< blocks
constexpr int64_t kLooks = 10;        ///< at the held-out samples
constexpr int kLayersPerBlock = 2;    ///< fewest, between two borders

/// Where loss is made: the scores that a classifier's Softmax reads, else the outputs.
std::vector<LossPoint> output_points(const Graph& graph, const GraphIndex& index) {
  std::vector<LossPoint> points;
  for (ValueId id : graph.outputs) {
    const int32_t producer = index.producer(id);
    if (producer < 0) continue;
    const Node& node = graph.nodes[static_cast<size_t>(producer)];
    const auto& shape = graph.value(id).shape;
    const int64_t axis = node.attr_int("axis", -1);
    const bool last = axis == -1 || (shape && axis == static_cast<int64_t>(shape->size()) - 1);
    if (node.is("Softmax") && last)
      points.emplace_back(node.inputs[0], true);
    else if (graph.value(id).dtype == DType::float32 || graph.value(id).dtype == DType::undefined)
      points.emplace_back(id, false);
  }
  return points;
}

class NetworkLearner {
 public:
  NetworkLearner(Graph& graph, const MethodContext& context, const LearningSettings& settings)
      : graph_(graph), context_(context), settings_(settings), index_(graph) {}

  /// What to tell the user.
  std::string run() {
    points_ = output_points(graph_, index_);
    if (const std::string why = make_plan(); !why.empty()) return why;
    LearningData data(context_, points_);
    if (data.blocks() < kFewestBlocks)
      return fmt::format("nothing learned: {} samples are too few ({} at least; --data, --samples)",
                         data.blocks() * LearningData::kBlock, kFewestBlocks * LearningData::kBlock);
    held_out_ = std::min(kMostHeldOut, std::max<int64_t>(2, data.blocks() / 6));
    decode_constants();
    start(data);
    const double before = held_out_loss(data);
    best_loss_ = before;
    keep();
    for (int64_t step = 0; step < settings_.steps; ++step) {
      if (context_.progress)
        context_.progress("learning", static_cast<double>(step) / static_cast<double>(settings_.steps));
      learn(data, step);
      if ((step + 1) % std::max<int64_t>(1, settings_.steps / kLooks) == 0 || step + 1 == settings_.steps) look(data);
    }
    write();
    return fmt::format("{} layers learned on {} samples: loss {:.4g} before, {:.4g} after, on {} others",
                       weights_.size(), (data.blocks() - held_out_) * LearningData::kBlock, before, best_loss_,
                       held_out_ * LearningData::kBlock);
  }

 private:
  struct Layer {
    size_t node;
    LearnedWeights weights;
  };
  struct Shift {
    size_t node;
    std::vector<float> learned, total;  ///< in units; times the unit
    float unit = 0;
    Adam moments;
  };

  bool learnable(const Node& node) const {
    if (!has_low_bit_weight(graph_, node) || !has_gradient(node)) return false;
    const Value& value = graph_.value(node.inputs[1]);
    return value.quantization->linear() && index_.readers(node.inputs[1]).size() == 1;
  }

  std::string make_plan() {
    plan_.learns_weight.assign(graph_.nodes.size(), 0);
    plan_.learns_shift.assign(graph_.nodes.size(), 0);
    plan_.shift_axis.assign(graph_.nodes.size(), -1);
    plan_.stops.assign(graph_.values.size(), 0);
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      const Node& node = graph_.nodes[n];
      plan_.learns_weight[n] = static_cast<char>(learnable(node));
      plan_.learns_shift[n] = static_cast<char>(can_shift(graph_, index_, n));
      plan_.shift_axis[n] = node.is("Conv") || node.is("ConvTranspose") ? 1 : -1;
    }
    if (points_.empty()) return "nothing learned: the network has no float output";
    for (const LossPoint& point : points_)
      plan_.last = std::max(plan_.last, static_cast<size_t>(std::max(0, index_.producer(point.value()))));
    if (settings_.blocks) add_borders();
    std::vector<ValueId> losses;
    for (const LossPoint& point : points_) losses.push_back(point.value());
    const std::vector<std::string> missing = finish_plan(graph_, losses, plan_);
    if (!missing.empty()) return "nothing learned: there is no gradient of " + join(missing, ", ");
    if (std::find(plan_.learns_weight.begin(), plan_.learns_weight.end(), char{1}) == plan_.learns_weight.end())
      return "nothing learned: no layer with linear low-bit weights";
    return "";
  }

  /// Values through which everything flows, with some layers between them.
  void add_borders() {
    std::vector<int64_t> last_reader(graph_.values.size(), -1);
    for (size_t n = 0; n <= plan_.last; ++n)
      for (ValueId id : graph_.nodes[n].inputs)
        if (id != kNone) last_reader[static_cast<size_t>(id)] = static_cast<int64_t>(n);
    int64_t open_until = -1;
    int layers = 0;
    for (size_t n = 0; n < plan_.last; ++n) {
      const ValueId out = graph_.nodes[n].output();
      layers += plan_.learns_weight[n];
      const bool alone = open_until <= static_cast<int64_t>(n);
      open_until = std::max(open_until, last_reader[static_cast<size_t>(out)]);
      if (!alone || layers < kLayersPerBlock || !graph_.value(out).quantization) continue;
      if (std::any_of(points_.begin(), points_.end(), [&](const LossPoint& p) { return p.value() == out; })) continue;
      points_.emplace_back(out, false);
      plan_.stops[static_cast<size_t>(out)] = 1;
      layers = 0;
    }
  }

  void decode_constants() {
    constants_.assign(graph_.values.size(), {});
    for (size_t v = 0; v < graph_.values.size(); ++v)
      if (graph_.values[v].constant) constants_[v] = effective_constant(graph_.values[v]);
  }

  std::vector<float> least_scales(const Node& node) const {
    const Quantization& quantization = *graph_.value(node.inputs[1]).quantization;
    const size_t groups = quantization.params.size() / 2;
    const bool by_channel = quantization.granularity.kind == Granularity::Kind::channel;
    std::vector<float> least(groups, 0.0f);
    for (size_t g = 0; by_channel && g < groups; ++g)
      least[g] = smallest_weight_scale(graph_, node, static_cast<int64_t>(g));
    return least;
  }

  void start(const LearningData& data) {
    for (size_t n = 0; n <= plan_.last; ++n) {
      const Node& node = graph_.nodes[n];
      if (!plan_.learns_weight[n]) continue;
      const ValueId id = node.inputs[1];
      const Tensor original = to_float32(*context_.float_graph->constant(context_.float_graph->nodes[n].inputs[1]));
      weights_.push_back({n, LearnedWeights(*graph_.value(id).quantization, constants_[static_cast<size_t>(id)],
                                            original, least_scales(node))});
    }
    refer();
    Tape tape(graph_, plan_, constants_, learned_);
    tape.run(data.inputs(0));
    for (size_t n = 0; n <= plan_.last; ++n) {
      if (!plan_.learns_shift[n]) continue;
      const Tensor& y = tape.value(graph_.nodes[n].output());
      const int64_t axis = plan_.shift_axis[n] < 0 ? plan_.shift_axis[n] + y.rank() : plan_.shift_axis[n];
      double squares = 0;
      for (const float v : y.values<float>()) squares += static_cast<double>(v) * static_cast<double>(v);
      const auto channels = static_cast<size_t>(y.dim(axis));
      shifts_.push_back({n, std::vector<float>(channels, 0.0f), std::vector<float>(channels, 0.0f),
                         static_cast<float>(std::sqrt(squares / static_cast<double>(y.count()))), Adam(channels)});
    }
    refer();
  }

  void refer() {
    learned_.weights.assign(graph_.nodes.size(), nullptr);
    learned_.shifts.assign(graph_.nodes.size(), nullptr);
    for (const Layer& layer : weights_) learned_.weights[layer.node] = &layer.weights.values();
    for (Shift& shift : shifts_) {
      for (size_t c = 0; c < shift.total.size(); ++c) shift.total[c] = shift.learned[c] * shift.unit;
      learned_.shifts[shift.node] = &shift.total;
    }
  }

  /// Loss of a block, and its gradients if they are asked for.
  double block_loss(const std::vector<Tensor>& inputs, const std::vector<Tensor>& wanted,
                    Tape::Gradients* gradients) const {
    Tape tape(graph_, plan_, constants_, learned_);
    tape.run(inputs);
    double loss = 0;
    std::vector<std::pair<ValueId, Tensor>> seeds;
    for (size_t p = 0; p < points_.size(); ++p) {
      Tensor gradient;
      loss += points_[p].loss(wanted[p], tape.value(points_[p].value()), gradients ? &gradient : nullptr);
      if (gradients) seeds.emplace_back(points_[p].value(), std::move(gradient));
    }
    if (gradients) *gradients = tape.back(seeds);
    return loss;
  }

  std::vector<Tensor> wanted(const LearningData& data, int64_t block) const {
    std::vector<Tensor> result;
    for (const LossPoint& point : points_) result.push_back(data.wanted(block, point.value()));
    return result;
  }

  /// Blocks 0 ... held_out_ - 1 are not learned from.
  double held_out_loss(const LearningData& data) const {
    std::vector<double> losses(static_cast<size_t>(held_out_));
    for (int64_t first = 0; first < held_out_; first += kBlocksPerStep) {
      const int64_t count = std::min(kBlocksPerStep, held_out_ - first);
      std::vector<std::vector<Tensor>> inputs, targets;
      for (int64_t b = 0; b < count; ++b) {
        inputs.push_back(data.inputs(first + b));
        targets.push_back(wanted(data, first + b));
      }
      context_.threads.parallel_for(count, [&](int64_t b) {
        const auto at = static_cast<size_t>(b);
        losses[static_cast<size_t>(first + b)] = block_loss(inputs[at], targets[at], nullptr);
      });
    }
    double sum = 0;
    for (const double loss : losses) sum += loss / static_cast<double>(held_out_);
    return sum;
  }

  void learn(const LearningData& data, int64_t step) {
    Random random(context_.recipe.seed, 1000 + static_cast<uint64_t>(step));
    std::vector<std::vector<Tensor>> inputs, targets;
    for (int64_t b = 0; b < kBlocksPerStep; ++b) {
      const int64_t block = held_out_ + random.below(data.blocks() - held_out_);
      inputs.push_back(data.inputs(block));
      targets.push_back(wanted(data, block));
    }
    std::vector<Tape::Gradients> parts(static_cast<size_t>(kBlocksPerStep));
    context_.threads.parallel_for(kBlocksPerStep, [&](int64_t b) {
      const auto at = static_cast<size_t>(b);
      block_loss(inputs[at], targets[at], &parts[at]);
    });
    const double angle = M_PI * static_cast<double>(step) / static_cast<double>(settings_.steps);
    apply(std::move(parts), 0.5 * (1 + std::cos(angle)));
  }

  void apply(std::vector<Tape::Gradients> parts, double share) {
    const LearningRates rates{settings_.rates.weights * share, settings_.rates.scales * share};
    context_.threads.parallel_for(static_cast<int64_t>(weights_.size()), [&](int64_t w) {
      Layer& layer = weights_[static_cast<size_t>(w)];
      Tensor sum;
      for (Tape::Gradients& part : parts) {
        Tensor& more = part.weights[layer.node];
        if (!more.defined()) continue;
        if (!sum.defined()) {
          sum = std::move(more);
          continue;
        }
        float* to = sum.mutable_data<float>();
        for (int64_t i = 0; i < sum.count(); ++i) to[i] += more.data<float>()[i];
      }
      if (sum.defined()) layer.weights.learn(sum, rates);
    });
    for (Shift& shift : shifts_) {
      std::vector<float> sum(shift.learned.size(), 0.0f);
      for (const Tape::Gradients& part : parts)
        for (size_t c = 0; c < part.shifts[shift.node].size(); ++c) sum[c] += part.shifts[shift.node][c] * shift.unit;
      shift.moments.step(static_cast<float>(settings_.shift_rate * share), sum, shift.learned);
    }
    refer();
  }

  void look(const LearningData& data) {
    const double loss = held_out_loss(data);
    if (!(loss < best_loss_)) return;
    best_loss_ = loss;
    keep();
  }

  void keep() {
    best_weights_.clear();
    best_shifts_.clear();
    for (const Layer& layer : weights_) best_weights_.push_back(layer.weights.state());
    for (const Shift& shift : shifts_) best_shifts_.push_back(shift.learned);
  }

  void write() {
    for (size_t i = 0; i < weights_.size(); ++i) {
      Layer& layer = weights_[i];
      layer.weights.restore(best_weights_[i]);
      Value& value = graph_.value(graph_.nodes[layer.node].inputs[1]);
      value.constant = layer.weights.values();
      value.quantization->params = layer.weights.params();
      value.quantization->origin = settings_.blocks ? "learned by blocks" : "learned from the outputs";
    }
    for (size_t i = 0; i < shifts_.size(); ++i) {
      const Shift& shift = shifts_[i];
      std::vector<double> by;
      for (const float learned : best_shifts_[i])
        by.push_back(static_cast<double>(learned) * static_cast<double>(shift.unit));
      shift_bias(graph_, shift.node, by);
    }
  }

  Graph& graph_;
  const MethodContext& context_;
  const LearningSettings& settings_;
  GraphIndex index_;
  TapePlan plan_;
  std::vector<LossPoint> points_;
  std::vector<Tensor> constants_;
  Tape::Learned learned_;
  std::vector<Layer> weights_;
  std::vector<Shift> shifts_;
  int64_t held_out_ = 0;
  double best_loss_ = std::numeric_limits<double>::infinity();
  std::vector<LearnedWeights::State> best_weights_;
  std::vector<std::vector<float>> best_shifts_;
};

}  // namespace

void learn_network(Graph& graph, const MethodContext& context, const LearningSettings& settings,
                   std::string_view name) {
  if (!context.batches || graph.nodes.empty()) return;
  context.note(fmt::format("{}: {}", name, NetworkLearner(graph, context, settings).run()));
}

std::span<const MethodOption> learning_options() {
  static const MethodOption options[] = {
      {"steps", 800, 1, 1e6, "steps of Adam, on 32 samples each"},
      {"rate", 0.003, 0, 1, "of the weights, in steps of their codes"},
      {"scale-rate", 0.001, 0, 1, "of the logarithms of the scales"},
      {"bias-rate", 0.001, 0, 1, "of the biases, in units of the layer's results"},
  };
  return options;
}

void learn_by_options(Graph& graph, const MethodContext& context, const Method& method, bool blocks) {
  const auto option = [&](std::string_view key) { return method.option(context, key); };
  learn_network(graph, context,
                {.blocks = blocks,
                 .steps = static_cast<int64_t>(option("steps")),
                 .rates = {option("rate"), option("scale-rate")},
                 .shift_rate = option("bias-rate")},
                method.name);
}

}  // namespace lowbit
