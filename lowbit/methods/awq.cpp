// Activation-aware scaling: weights that meet large activations are multiplied before they are rounded, so that they
// lose less, and the activations divided: s_c = (mean|x_c|)^a, with a from 0 to 1 in steps of 1/20 chosen for each link
// by the error of the rounded weights weighted with E[x_c^2]. Gains where several input channels share one scale.
// Paper: Lin et al., "AWQ", MLSys 2024, arXiv:2306.00978.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "lowbit/methods/channel_links.h"
#include "lowbit/methods/methods.h"

namespace lowbit {
namespace {

constexpr int kSteps = 20;

std::vector<double> scales_for(const ChannelProfile& profile, const ChannelLink& link, double exponent) {
  std::vector<double> scale(profile.mean_abs.size(), 1.0);
  double mean_log = 0;
  for (size_t c = 0; c < scale.size(); ++c) {
    // Weights are multiplied by the scale, activations divided.
    if (profile.mean_abs[c] > 0) scale[c] = std::pow(profile.mean_abs[c], exponent);
    mean_log += std::log(scale[c]) / static_cast<double>(scale.size());
  }
  for (size_t c = 0; c < scale.size(); ++c) {
    scale[c] = std::clamp(scale[c] / std::exp(mean_log), 1e-4, 1e4);
    if (link.clip > 0) {
      const double reached = profile.max[c] / link.clip;
      scale[c] = reached > 0.999 ? 1.0 : std::max(scale[c], reached);
    }
  }
  return scale;
}

/// Squared error of the readers' results, inputs taken as uncorrelated, if their weights are rounded with the scales.
double error_of(const Graph& graph, const ChannelLink& link, const ChannelProfile& profile,
                const std::vector<double>& scale, const Recipe& recipe) {
  double error = 0;
  for (const LinkReader& reader : link.readers) {
    const Node& node = graph.nodes[reader.node];
    const Tensor& weight = *graph.constant(node.inputs[1]);
    Tensor scaled = weight;
    float* to = scaled.mutable_data<float>();
    for_each_reader_weight(graph, reader, [&](int64_t e, int64_t c) {
      to[e] = static_cast<float>(static_cast<double>(to[e]) * scale[static_cast<size_t>(c)]);
    });
    Quantization q;
    q.format = parse_number_format(recipe.weights);
    q.granularity = parse_granularity(settled_granularity(recipe.granularity, recipe.weights));
    q.granularity.axis = node.is("Conv") || node.attr_int("transB", 0) ? 0 : weight.rank() - 1;
    FitOptions options;
    options.rule = recipe.weight_range == "mse" ? FitRule::mse : FitRule::minmax;
    q.params = fit_groups(q.format, q.granularity, weight.dims(), scaled.data<float>(), {}, options);
    const Tensor rounded = fake_quantize(q, scaled);
    const float* r = rounded.data<float>();
    const float* w = weight.data<float>();
    for_each_reader_weight(graph, reader, [&](int64_t e, int64_t c) {
      const auto channel = static_cast<size_t>(c);
      const double d = static_cast<double>(r[e]) / scale[channel] - static_cast<double>(w[e]);
      error += d * d * profile.mean_square[channel];
    });
  }
  return error;
}

void apply_awq(Graph& graph, const MethodContext& context) {
  if (context.recipe.weights == "none") return;
  const std::vector<ChannelLink> links = find_channel_links(graph);
  const auto profiles = profile_channels(graph, links, context);
  int64_t changed = 0;
  for (const ChannelLink& link : links) {
    const auto profile = profiles.find(link.value);
    if (profile == profiles.end()) continue;
    std::vector<double> best(static_cast<size_t>(link.channels), 1.0);
    double least = error_of(graph, link, profile->second, best, context.recipe);
    bool better = false;
    for (int step = 1; step <= kSteps; ++step) {
      const std::vector<double> scale = scales_for(profile->second, link, static_cast<double>(step) / kSteps);
      const double error = error_of(graph, link, profile->second, scale, context.recipe);
      if (!(error < least)) continue;
      least = error;
      best = scale;
      better = true;
    }
    if (!better) continue;
    rescale(graph, link, best);
    ++changed;
  }
  context.note(fmt::format("awq: {} of {} links were rescaled", changed, links.size()));
}

}  // namespace

const Method& awq_method() {
  static const Method method{.name = "awq",
                             .summary = "scales up the weights that meet large activations before they are rounded",
                             .paper = "Lin et al., MLSys 2024, arXiv:2306.00978",
                             .needs_data = true,
                             .apply = apply_awq,
                             .stage = MethodStage::float_network};
  return method;
}

}  // namespace lowbit
