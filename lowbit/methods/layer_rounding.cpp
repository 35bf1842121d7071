#include "lowbit/methods/layer_rounding.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/methods/annotate.h"
#include "lowbit/methods/mean_shift.h"
#include "lowbit/methods/sample_weights.h"
#include "lowbit/numbers/element_groups.h"

namespace lowbit {

const MethodOption kDampingOption{"damping", 0.01, 1e-6, 10,
                                  "what is added to the diagonal of the moments, as a share of its mean"};
const MethodOption kTargetsOption{"targets", 1, 0, 1, "1: aim at the float network's results; 0: at the float weights"};
const MethodOption kScalesOption{"scales", 1, 0, 1,
                                 "1: try several scales for each row; 0: keep the parameters there are"};
const MethodOption kBiasOption{"bias", 1, 0, 1, "1: bring the mean of every output channel back"};
const MethodOption kFocusOption{"focus", 0, 0, 1,
                                "1: samples count as the float classifier is unsure of them; 0: all alike"};
const MethodOption kPositionsOption{"positions", 65536, 64, 1e9,
                                    "output positions that the moments of a layer are taken from"};

namespace {

/// One layer's problem: its parts with their metrics and targets.
class LayerRounding {
 public:
  LayerRounding(Graph& graph, size_t node, const LayerMatrix& matrix, const RoundingSettings& settings,
                std::string_view name, ThreadPool& threads)
      : graph_(graph),
        node_(graph.nodes[node]),
        matrix_(matrix),
        settings_(settings),
        name_(name),
        threads_(threads),
        weight_(to_float32(*graph.constant(node_.inputs[1]))),
        quantization_(*graph.value(node_.inputs[1]).quantization),
        group_of_(group_of_elements(quantization_.granularity, weight_.dims())) {
    find_rows_of_groups();
  }

  /// False if a metric cannot be used.
  bool prepare(const std::vector<MatrixPart>& parts, std::vector<Moments> moments) {
    parts_ = parts;
    targets_tensor_ = weight_;
    for (size_t p = 0; p < parts.size(); ++p)
      if (!prepare_part(parts[p], std::move(moments[p]))) return false;
    return true;
  }

  void round() {
    best_params_ = quantization_.params;
    best_error_.assign(static_cast<size_t>(matrix_.outputs()), std::numeric_limits<double>::infinity());
    best_.assign(parts_.size(), {});
    for (const std::vector<float>& params : candidates()) try_params(params);
    if (settings_.steps > 0) learn();
    if (settings_.sweeps > 0) refine();
    write();
  }

 private:
  GroupOf group_of(const MatrixPart& part) const {
    return [this, part](int64_t row, int64_t column) {
      return group_of_[static_cast<size_t>(matrix_.offset(part.group, row, part.first_column + column))];
    };
  }

  /// rows_of_groups_[g]: the row (over all groups of the layer) that alone uses the parameters g, or -1.
  void find_rows_of_groups() {
    const auto groups = static_cast<size_t>(group_count(quantization_.granularity, weight_.dims()));
    std::vector<int64_t> rows(groups, -2);
    for (int64_t g = 0; g < matrix_.groups; ++g)
      for (int64_t r = 0; r < matrix_.rows; ++r)
        for (int64_t c = 0; c < matrix_.columns; ++c) {
          int64_t& row = rows[static_cast<size_t>(group_of_[static_cast<size_t>(matrix_.offset(g, r, c))])];
          const int64_t here = g * matrix_.rows + r;
          row = row == -2 || row == here ? here : -1;
        }
    row_of_group_ = std::move(rows);
    rows_are_apart_ = std::all_of(row_of_group_.begin(), row_of_group_.end(), [](int64_t row) { return row >= 0; });
    one_group_a_row_ = rows_are_apart_ && static_cast<int64_t>(groups) == matrix_.outputs();
  }

  bool prepare_part(const MatrixPart& part, Moments moments) {
    double mean = 0;
    for (int64_t i = 0; i < part.columns; ++i) mean += moments.qq.at(i, i) / static_cast<double>(part.columns);
    if (!std::isfinite(mean)) return false;
    diagonals_.emplace_back();
    for (int64_t i = 0; i < part.columns; ++i) diagonals_.back().push_back(moments.qq.at(i, i) + 1e-3 * mean);
    // A constant input: the bias takes everything up, and any levels are as good as the nearest.
    double damping = mean > 0 ? settings_.damping * mean : 1.0, added = 0;
    // Moments of few positions are themselves uncertain, by about columns / positions.
    damping *=
        1 + 10 * static_cast<double>(part.columns) / static_cast<double>(std::max<int64_t>(1, moments.positions));
    for (int attempt = 0; attempt < 8; ++attempt, damping *= 10) {
      for (int64_t i = 0; i < part.columns; ++i) {
        moments.qq.at(i, i) += damping - added;
        moments.fq.at(i, i) += damping - added;
      }
      added = damping;
      MetricRounder rounder(moments.qq, settings_.order, threads_);
      if (!rounder.usable()) continue;
      targets_.push_back(make_targets(part, moments, rounder));
      rounders_.push_back(std::move(rounder));
      return true;
    }
    return false;
  }

  Matrix make_targets(const MatrixPart& part, const Moments& moments, const MetricRounder& rounder) {
    Matrix weights(part.columns, matrix_.rows);
    for (int64_t c = 0; c < part.columns; ++c)
      for (int64_t r = 0; r < matrix_.rows; ++r)
        weights.at(c, r) =
            static_cast<double>(weight_.data<float>()[matrix_.offset(part.group, r, part.first_column + c)]);
    if (!settings_.targets) return weights;
    Matrix moved = rounder.solve(transposed_product(moments.fq, weights, threads_));
    float* all = targets_tensor_.mutable_data<float>();
    for (int64_t c = 0; c < part.columns; ++c)
      for (int64_t r = 0; r < matrix_.rows; ++r)
        all[matrix_.offset(part.group, r, part.first_column + c)] = static_cast<float>(moved.at(c, r));
    return moved;
  }

  std::vector<float> fitted(FitRule rule, std::span<const float> importance) const {
    FitOptions options;
    options.rule = rule;
    return fit_groups(quantization_.format, quantization_.granularity, targets_tensor_.dims(),
                      targets_tensor_.data<float>(), importance, options);
  }

  /// Parameters worth trying for each row.
  std::vector<std::vector<float>> candidates() const {
    if (!settings_.scales) return {quantization_.params};
    std::vector<float> importance(static_cast<size_t>(weight_.count()), 0.0f);
    for (size_t p = 0; p < parts_.size(); ++p)
      for (int64_t r = 0; r < matrix_.rows; ++r)
        for (int64_t c = 0; c < parts_[p].columns; ++c)
          importance[static_cast<size_t>(matrix_.offset(parts_[p].group, r, parts_[p].first_column + c))] =
              static_cast<float>(diagonals_[p][static_cast<size_t>(c)]);
    std::vector<std::vector<float>> all = {fitted(FitRule::mse, importance), fitted(FitRule::mse, {})};
    const std::vector<float> widest = fitted(FitRule::minmax, {});
    all.push_back(widest);
    if (quantization_.linear() && quantization_.format.bits <= 6)
      for (double ratio : {0.9, 0.8, 0.7, 0.6, 0.5, 0.4}) {
        all.push_back(widest);
        for (size_t i = 0; i < all.back().size(); i += 2)
          all.back()[i] = static_cast<float>(static_cast<double>(all.back()[i]) * ratio);
      }
    for (std::vector<float>& params : all) keep_bias_in_range(params);
    return all;
  }

  /// Scales below which the bias would not fit 32 bits are raised.
  void keep_bias_in_range(std::vector<float>& params) const {
    if (!quantization_.linear()) return;
    for (size_t g = 0; g < row_of_group_.size(); ++g)
      if (row_of_group_[g] >= 0)
        params[g * 2] = std::max(params[g * 2], smallest_weight_scale(graph_, node_, row_of_group_[g]));
  }

  void try_params(const std::vector<float>& params) {
    const WeightGrid grid(quantization_, params);
    std::vector<RoundedMatrix> made;
    std::vector<double> error(best_error_.size(), 0.0);
    for (size_t p = 0; p < parts_.size(); ++p) {
      made.push_back(rounders_[p].round(targets_[p], grid, group_of(parts_[p])));
      for (int64_t r = 0; r < matrix_.rows; ++r)
        error[static_cast<size_t>(parts_[p].group * matrix_.rows + r)] += made.back().error[static_cast<size_t>(r)];
    }
    std::vector<char> better(error.size(), 0);
    if (rows_are_apart_) {
      for (size_t row = 0; row < error.size(); ++row) better[row] = error[row] < best_error_[row];
    } else {
      double now = 0, before = 0;
      for (size_t row = 0; row < error.size(); ++row) now += error[row], before += best_error_[row];
      std::fill(better.begin(), better.end(), static_cast<char>(now < before));
    }
    take(params, std::move(made), error, better);
  }

  void take(const std::vector<float>& params, std::vector<RoundedMatrix> made, const std::vector<double>& error,
            const std::vector<char>& better) {
    const size_t each = params.size() / row_of_group_.size();
    for (size_t g = 0; g < row_of_group_.size(); ++g)
      if (better[rows_are_apart_ ? static_cast<size_t>(row_of_group_[g]) : 0])
        std::copy_n(params.begin() + static_cast<int64_t>(g * each), each,
                    best_params_.begin() + static_cast<int64_t>(g * each));
    for (size_t row = 0; row < error.size(); ++row)
      if (better[row]) best_error_[row] = error[row];
    for (size_t p = 0; p < parts_.size(); ++p) {
      if (best_[p].levels.rows() == 0) {
        best_[p] = std::move(made[p]);
        continue;
      }
      for (int64_t r = 0; r < matrix_.rows; ++r)
        if (better[static_cast<size_t>(parts_[p].group * matrix_.rows + r)]) take_row(p, r, made[p]);
    }
  }

  void take_row(size_t p, int64_t r, const RoundedMatrix& from) {
    best_[p].error[static_cast<size_t>(r)] = from.error[static_cast<size_t>(r)];
    for (int64_t c = 0; c < parts_[p].columns; ++c) best_[p].levels.at(c, r) = from.levels.at(c, r);
  }

  /// Learned rounding from the targets, with the parameters that are best so far.
  void learn() {
    const WeightGrid grid(quantization_, best_params_);
    for (size_t p = 0; p < parts_.size(); ++p) {
      const RoundedMatrix learned = rounders_[p].learn(targets_[p], grid, group_of(parts_[p]), settings_.steps);
      for (int64_t r = 0; r < matrix_.rows; ++r)
        if (learned.error[static_cast<size_t>(r)] < best_[p].error[static_cast<size_t>(r)]) take_row(p, r, learned);
    }
  }

  /// Coordinate descent, twice with the scales solved again between where a row has a scale of its own.
  void refine() {
    descend();
    const bool one_part = static_cast<int64_t>(parts_.size()) == matrix_.groups;
    if (!settings_.scales || !quantization_.linear() || !one_group_a_row_ || !one_part) return;
    std::vector<size_t> group_of_row(best_error_.size());
    for (size_t g = 0; g < row_of_group_.size(); ++g) group_of_row[static_cast<size_t>(row_of_group_[g])] = g;
    for (int round = 0; round < 3; ++round) {
      for (size_t p = 0; p < parts_.size(); ++p) rescale(p, group_of_row);
      descend();
    }
  }

  void descend() {
    const WeightGrid grid(quantization_, best_params_);
    for (size_t p = 0; p < parts_.size(); ++p)
      rounders_[p].descend(targets_[p], grid, group_of(parts_[p]), settings_.sweeps, best_[p]);
  }

  void rescale(size_t p, const std::vector<size_t>& group_of_row) {
    const std::vector<double> scaling = rounders_[p].best_scaling(targets_[p], best_[p].levels);
    for (int64_t r = 0; r < matrix_.rows; ++r) {
      const int64_t row = parts_[p].group * matrix_.rows + r;
      float& scale = best_params_[group_of_row[static_cast<size_t>(row)] * 2];
      const auto wanted = static_cast<float>(static_cast<double>(scale) * scaling[static_cast<size_t>(r)]);
      if (!std::isnormal(wanted) || wanted < 0.5f * scale || wanted > 2 * scale ||
          wanted < smallest_weight_scale(graph_, node_, row))
        continue;
      for (int64_t c = 0; c < parts_[p].columns; ++c) {
        // The code stays, its level follows the scale exactly as decoding does.
        const double code = std::nearbyint(best_[p].levels.at(c, r) / static_cast<double>(scale));
        best_[p].levels.at(c, r) = static_cast<double>(static_cast<float>(code) * wanted);
      }
      scale = wanted;
    }
  }

  void write() {
    Tensor levels = weight_;
    float* to = levels.mutable_data<float>();
    for (size_t p = 0; p < parts_.size(); ++p)
      for (int64_t r = 0; r < matrix_.rows; ++r)
        for (int64_t c = 0; c < parts_[p].columns; ++c)
          to[matrix_.offset(parts_[p].group, r, parts_[p].first_column + c)] =
              static_cast<float>(best_[p].levels.at(c, r));
    Value& value = graph_.value(own_constant(graph_, node_, 1));
    value.constant = std::move(levels);
    value.quantization->params = best_params_;
    value.quantization->origin = std::string(name_);
  }

  Graph& graph_;
  Node& node_;
  const LayerMatrix& matrix_;
  const RoundingSettings& settings_;
  std::string_view name_;
  ThreadPool& threads_;
  const Tensor weight_;
  const Quantization quantization_;
  std::vector<int32_t> group_of_;
  std::vector<int64_t> row_of_group_;
  bool rows_are_apart_ = false, one_group_a_row_ = false;
  std::vector<MatrixPart> parts_;
  std::vector<MetricRounder> rounders_;
  std::vector<Matrix> targets_;
  std::vector<std::vector<double>> diagonals_;
  Tensor targets_tensor_;
  std::vector<float> best_params_;
  std::vector<double> best_error_;
  std::vector<RoundedMatrix> best_;
};

void round_layer(const LayerWalk& walk, Graph& graph, const GraphIndex& index, size_t n,
                 const RoundingSettings& settings, std::string_view name, const MethodContext& context) {
  const Node& node = graph.nodes[n];
  if (!has_low_bit_weight(graph, node)) return;
  const Dims dims = graph.constant(node.inputs[1])->dims();
  const auto matrix = layer_matrix(node, dims);
  if (!matrix || graph.constant(node.inputs[0])) return;
  const Quantization& quantization = *graph.value(node.inputs[1]).quantization;
  if (!has_levels_of_elements(quantization)) {
    context.note(fmt::format("{}: {} keeps its nearest vectors: {} has no levels of single weights", name,
                             printable(node.name, 80), to_string(quantization.format)));
    return;
  }
  // A constant error of a MatMul can be taken up by the Add behind it.
  bool has_bias = can_shift(graph, index, n);
  for (const Graph::Use& use : index.readers(node.output()))
    has_bias = has_bias || (use.node >= 0 && can_shift(graph, index, static_cast<size_t>(use.node)));
  const std::vector<MatrixPart> parts = matrix_parts(*matrix);
  MomentOptions options{
      .centred = settings.bias && has_bias, .positions = settings.positions, .seed = context.recipe.seed};
  std::vector<Moments> moments = collect_moments(walk, node, dims, *matrix, parts, options, context.threads);
  LayerRounding rounding(graph, n, *matrix, settings, name, context.threads);
  if (moments.empty() || !rounding.prepare(parts, std::move(moments))) {
    context.note(fmt::format("{}: {} is rounded to nearest: the moments of its input are not usable", name,
                             printable(node.name, 80)));
    return;
  }
  rounding.round();
}

}  // namespace

void round_layers(Graph& graph, const MethodContext& context, const RoundingSettings& settings, std::string_view name) {
  if (!context.batches) return;
  const GraphIndex index(graph);
  std::optional<size_t> last;
  for (size_t n = 0; n < graph.nodes.size(); ++n)
    if (has_low_bit_weight(graph, graph.nodes[n]) || (settings.bias && can_shift(graph, index, n))) last = n;
  if (!last) return;
  LayerWalk walk(graph, context, "rounding weights");
  walk.set_sample_weights(sample_weights(context, settings.focus));
  walk.run({.before = [&](size_t n) { round_layer(walk, graph, index, n, settings, name, context); },
            .after =
                [&](size_t n) {
                  if (settings.bias) correct_mean_shift(walk, graph, index, n);
                }},
           *last);
}

}  // namespace lowbit
