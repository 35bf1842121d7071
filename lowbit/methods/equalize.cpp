// Cross-layer equalization: output channel c of a layer and what reads it are rescaled, s_c = sqrt(r1_c / r2_c), so
// that the largest weight of the channel is the same on both sides, over and over until nothing changes. Behind a Clip
// from 0 the limit stays one number for all channels: channels that reach it keep their scale, the others may grow up
// to it (known from calibration data; without data such links are left alone). Paper: Nagel et al., "Data-Free
// Quantization Through Weight Equalization and Bias Correction", ICCV 2019, arXiv:1906.04721, section 4.1.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "lowbit/methods/channel_links.h"
#include "lowbit/methods/methods.h"

namespace lowbit {
namespace {

constexpr int kMostRounds = 50;
constexpr double kSettled = 1e-3;  ///< largest logarithm of a scale that counts as no change

void apply_equalize(Graph& graph, const MethodContext& context) {
  const std::vector<ChannelLink> links = find_channel_links(graph);
  std::vector<ChannelLink> clipped;
  std::copy_if(links.begin(), links.end(), std::back_inserter(clipped), [](const auto& l) { return l.clip > 0; });
  const std::map<ValueId, ChannelProfile> profiles =
      clipped.empty() ? std::map<ValueId, ChannelProfile>() : profile_channels(graph, clipped, context);
  // What each channel was divided by so far.
  std::vector<std::vector<double>> total;
  for (const ChannelLink& link : links) total.emplace_back(static_cast<size_t>(link.channels), 1.0);
  for (int round = 0; round < kMostRounds; ++round) {
    double largest = 0;
    for (size_t l = 0; l < links.size(); ++l) {
      const auto profile = profiles.find(links[l].value);
      if (links[l].clip > 0 && profile == profiles.end()) continue;
      const std::vector<double> before = producer_ranges(graph, links[l]), behind = reader_ranges(graph, links[l]);
      std::vector<double> scale(before.size(), 1.0);
      for (size_t c = 0; c < scale.size(); ++c) {
        if (!(before[c] > 0 && behind[c] > 0)) continue;
        scale[c] = std::clamp(std::sqrt(before[c] / behind[c]), 1e-6, 1e6);
        if (links[l].clip > 0) {
          const double reached = profile->second.max[c] / links[l].clip;
          scale[c] = reached > 0.999 ? 1.0 : std::max(scale[c], reached / total[l][c]);
        }
        total[l][c] *= scale[c];
        largest = std::max(largest, std::abs(std::log(scale[c])));
      }
      rescale(graph, links[l], scale);
    }
    if (largest < kSettled) break;
  }
  context.note(fmt::format("equalize: {} pairs of layers{}", links.size(),
                           links.empty() ? " (no layer's channels can be rescaled in this network)" : ""));
}

}  // namespace

const Method& equalize_method() {
  static const Method method{.name = "equalize",
                             .summary = "rescales channels between layers so that their weights have equal ranges",
                             .paper = "Nagel et al., ICCV 2019, arXiv:1906.04721, section 4.1",
                             .needs_data = false,
                             .apply = apply_equalize,
                             .stage = MethodStage::float_network};
  return method;
}

}  // namespace lowbit
