// Smoothing: the difficulty of activations whose channels have very different ranges moves into the weights, which have
// scales of their own: channel c of what a layer reads is divided by s_c = max|x_c|^a / max|w_c|^(1-a), its weights
// multiplied, and the inverse goes into the layer or norm before.
// Paper: Xiao et al., "SmoothQuant", ICML 2023, arXiv:2211.10438.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "lowbit/methods/channel_links.h"
#include "lowbit/methods/methods.h"

namespace lowbit {
namespace {

const MethodOption kSmoothOptions[] = {
    {"strength", 0.5, 0, 1, "a: 1 gives all channels the same range and leaves everything to the weights"},
};

void apply_smooth(Graph& graph, const MethodContext& context) {
  const double strength = smooth_method().option(context, "strength");
  const std::vector<ChannelLink> links = find_channel_links(graph);
  const auto profiles = profile_channels(graph, links, context);
  int64_t changed = 0;
  for (const ChannelLink& link : links) {
    const auto profile = profiles.find(link.value);
    if (profile == profiles.end()) continue;
    const std::vector<double> weights = reader_ranges(graph, link);
    std::vector<double> scale(weights.size(), 1.0);
    double mean_log = 0;
    for (size_t c = 0; c < scale.size(); ++c) {
      const double range = std::max(std::abs(profile->second.max[c]), std::abs(profile->second.min[c]));
      if (range > 0 && std::isfinite(range) && weights[c] > 0)
        scale[c] = std::pow(range, strength) / std::pow(weights[c], 1 - strength);
      mean_log += std::log(scale[c]) / static_cast<double>(scale.size());
    }
    for (size_t c = 0; c < scale.size(); ++c) {
      scale[c] = std::clamp(scale[c] / std::exp(mean_log), 1e-6, 1e6);
      if (link.clip <= 0) continue;
      const double reached = profile->second.max[c] / link.clip;  // as in equalization
      scale[c] = reached > 0.999 ? 1.0 : std::max(scale[c], reached);
    }
    rescale(graph, link, scale);
    ++changed;
  }
  context.note(fmt::format("smooth: {} inputs of layers", changed));
}

}  // namespace

const Method& smooth_method() {
  static const Method method{.name = "smooth",
                             .summary = "moves the ranges of activation channels into the weights behind them",
                             .paper = "Xiao et al., ICML 2023, arXiv:2211.10438",
                             .needs_data = true,
                             .apply = apply_smooth,
                             .stage = MethodStage::float_network,
                             .options = kSmoothOptions};
  return method;
}

}  // namespace lowbit
