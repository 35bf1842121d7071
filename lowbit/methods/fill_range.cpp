// Activation ranges by channel, without the cost of any: codes of an activation have one step for all channels, and a
// channel that reaches a tenth of the range gets a tenth of the codes. Where a channel can be rescaled
// (channel_links.h) it is grown, x_c / s_c with s_c < 1, until it fills the range, and the weights that read it shrink.
// Growing stops where the weights behind would lose more than the activations gain: of the noise that reaches the
// readers' results,
//   sum_r w_r ( step_x^2 s_c^2 sum_taps W_rc^2 + step_r(s)^2 taps E[x_c^2] / s_c^2 ) / 12,   step_r = max_c |W_rc| s_c
//   / q
// (w_r = 1 / power of result r, q = largest code of the weights), each s_c in turn takes the minimum,
// (B_c / A_c)^(1/4), between the one that fills the range and 1. The step of a depthwise layer scales with its only
// channel, so that it grows for free. The largest value of the tensor stays, so does a limit of Clip.
// The idea of moving range between activations and weights is that of Nagel et al., "Data-Free Quantization Through
// Weight Equalization and Bias Correction", ICCV 2019, arXiv:1906.04721; the objective is our own.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "lowbit/methods/activation_system.h"
#include "lowbit/methods/channel_links.h"
#include "lowbit/methods/methods.h"

namespace lowbit {
namespace {

constexpr int kRounds = 4;               ///< the weights' steps follow the scales
constexpr double kMostGrowth = 4096;     ///< of a channel that hardly moves
constexpr double kReachesLimit = 0.999;  ///< of a Clip: what comes this near may be cut there

/// What one link's scales are chosen from.
class LinkNoise {
 public:
  LinkNoise(const Graph& graph, const ChannelLink& link, const ChannelProfile& profile, double weight_codes,
            double activation_codes)
      : channels_(static_cast<size_t>(link.channels)), profile_(profile), weight_codes_(weight_codes) {
    double low = 0, high = 0;
    for (size_t c = 0; c < channels_; ++c) {
      low = std::min(low, profile.min[c]);
      high = std::max(high, profile.max[c]);
    }
    step_ = (high - low) / activation_codes;
    least_.assign(channels_, 1.0);
    for (size_t c = 0; c < channels_; ++c) {
      const double share = std::max(high > 0 ? profile.max[c] / high : 0, low < 0 ? profile.min[c] / low : 0);
      const bool limited = link.clip > 0 && profile.max[c] > kReachesLimit * link.clip;
      if (share > 0 && !limited) least_[c] = std::clamp(share, 1 / kMostGrowth, 1.0);
    }
    for (const LinkReader& reader : link.readers) add_rows(graph, reader);
  }

  bool usable() const { return std::isfinite(step_) && step_ > 0; }

  std::vector<double> scales() const {
    std::vector<double> scale = least_;
    for (int round = 0; round < kRounds; ++round) {
      std::vector<double> rounding(channels_, 0.0), weights(channels_, 0.0);
      for (const Row& row : rows_) add_row(row, scale, rounding, weights);
      for (size_t c = 0; c < channels_; ++c) {
        const double best = rounding[c] > 0 ? std::sqrt(std::sqrt(weights[c] / rounding[c])) : 0;
        scale[c] = std::clamp(best, least_[c], 1.0);
      }
    }
    return scale;
  }

 private:
  struct Cell {
    size_t channel;
    double largest = 0, squares = 0, taps = 0;
  };
  /// The weights of one output of a reader, by channel.
  using Row = std::vector<Cell>;

  void add_rows(const Graph& graph, const LinkReader& reader) {
    const Node& node = graph.nodes[reader.node];
    const Tensor& weight = *graph.constant(node.inputs[1]);
    const bool output_major = node.is("Conv") || (node.is("Gemm") && node.attr_int("transB", 0));
    const int64_t outputs = weight.dim(output_major ? 0 : 1), inner = weight.count() / std::max<int64_t>(1, outputs);
    std::vector<Row> rows(static_cast<size_t>(outputs));
    for_each_reader_weight(graph, reader, [&](int64_t element, int64_t channel) {
      Row& row = rows[static_cast<size_t>(output_major ? element / inner : element % outputs)];
      const auto c = static_cast<size_t>(channel);
      if (row.empty() || row.back().channel != c) row.push_back({.channel = c});
      const double value = std::abs(static_cast<double>(weight.data<float>()[element]));
      row.back().largest = std::max(row.back().largest, value);
      row.back().squares += value * value;
      row.back().taps += 1;
    });
    rows_.insert(rows_.end(), std::make_move_iterator(rows.begin()), std::make_move_iterator(rows.end()));
  }

  void add_row(const Row& row, const std::vector<double>& scale, std::vector<double>& rounding,
               std::vector<double>& weights) const {
    double power = 0, largest = 0;
    for (const Cell& cell : row) {
      power += cell.squares * profile_.mean_square[cell.channel];
      largest = std::max(largest, cell.largest * scale[cell.channel]);
    }
    if (!(power > 0) || !std::isfinite(power)) return;
    const double step = largest / weight_codes_;
    for (const Cell& cell : row) {
      rounding[cell.channel] += step_ * step_ * cell.squares / power;
      // Where the channel is the row's only one its step follows it, and growing costs nothing.
      if (row.size() > 1) weights[cell.channel] += step * step * cell.taps * profile_.mean_square[cell.channel] / power;
    }
  }

  size_t channels_;
  const ChannelProfile& profile_;
  double weight_codes_, step_ = 0;
  std::vector<double> least_;
  std::vector<Row> rows_;
};

/// Largest code of symmetric weights; weights that stay float have no noise.
double largest_weight_code(const Recipe& recipe) {
  const std::string& system = recipe.weights;
  const int bits = system == "none" ? 24 : system.starts_with("auto:") ? 4 : parse_number_format(system).bits;
  return std::max(1.0, std::exp2(bits - 1) - 1);
}

void apply_fill_range(Graph& graph, const MethodContext& context) {
  if (context.recipe.activations == "none") return;
  const ActivationSystem system = parse_activation_system(context.recipe.activations);
  const std::vector<ChannelLink> links = find_channel_links(graph);
  const auto profiles = profile_channels(graph, links, context);
  int64_t inputs = 0, grown = 0;
  for (const ChannelLink& link : links) {
    const auto profile = profiles.find(link.value);
    if (profile == profiles.end()) continue;
    const LinkNoise noise(graph, link, profile->second, largest_weight_code(context.recipe),
                          std::exp2(system.format.bits) - 1);
    if (!noise.usable()) continue;
    const std::vector<double> scale = noise.scales();
    rescale(graph, link, scale);
    ++inputs;
    grown += std::count_if(scale.begin(), scale.end(), [](double s) { return s < 0.99; });
  }
  context.note(fmt::format("fill-range: {} channels of {} inputs of layers grown", grown, inputs));
}

}  // namespace

const Method& fill_range_method() {
  static const Method method{.name = "fill-range",
                             .summary = "grows activation channels until each uses the whole range of its tensor",
                             .paper = "after Nagel et al., ICCV 2019, arXiv:1906.04721",
                             .needs_data = true,
                             .apply = apply_fill_range,
                             .stage = MethodStage::float_network};
  return method;
}

}  // namespace lowbit
