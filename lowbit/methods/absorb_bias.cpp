// High-bias absorption: where a channel in front of a ReLU is almost always above some c > 0, c is taken out of its
// bias and added, through the weights behind, to the next bias: ReLU(x) - c = ReLU(x - c) for x >= c. The range of the
// activation shrinks by c. c = max(0, mean - 3 sd) of the channel over the calibration data; only in front of layers
// without padding, where the constant reaches every position alike.
// Paper: Nagel et al., ICCV 2019, arXiv:1906.04721, section 4.1.3.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "lowbit/core/graph_index.h"
#include "lowbit/methods/channel_links.h"
#include "lowbit/methods/methods.h"

namespace lowbit {
namespace {

bool unpadded(const Node& node) {
  if (!node.is("Conv")) return true;
  const std::string automatic = node.attr_string("auto_pad", "NOTSET");
  const std::vector<int64_t> pads = node.attr_ints("pads");
  return (automatic == "NOTSET" || automatic == "VALID") &&
         std::all_of(pads.begin(), pads.end(), [](int64_t p) { return p == 0; });
}

bool can_absorb(const Graph& graph, const GraphIndex& index, const ChannelLink& link) {
  const Node& producer = graph.nodes[link.producer];
  const int32_t relu = index.producer(link.value);
  if (relu < 0 || !graph.nodes[static_cast<size_t>(relu)].is("Relu") ||
      graph.nodes[static_cast<size_t>(relu)].inputs[0] != producer.output())
    return false;
  return std::all_of(link.readers.begin(), link.readers.end(), [&](const LinkReader& reader) {
    const Node& node = graph.nodes[reader.node];
    const Tensor* bias = graph.constant(node.input(2));
    const bool own_bias = node.input(2) == kNone ||
                          (bias && bias->dtype() == DType::float32 && index.readers(node.inputs[2]).size() == 1);
    return unpadded(node) && own_bias && (node.is("Conv") || node.is("Gemm"));
  });
}

/// Adds what the readers' weights make of the constant to their biases.
void add_to_readers(Graph& graph, const ChannelLink& link, const std::vector<double>& constant) {
  for (const LinkReader& reader : link.readers) {
    Node& node = graph.nodes[reader.node];
    const Tensor weight = *graph.constant(node.inputs[1]);
    const bool rows_first = node.is("Conv") || node.attr_int("transB", 0);
    const int64_t outputs = weight.dim(rows_first ? 0 : 1);
    std::vector<double> sum(static_cast<size_t>(outputs), 0.0);
    for_each_reader_weight(graph, reader, [&](int64_t e, int64_t c) {
      const int64_t output = rows_first ? e / (weight.count() / outputs) : e % outputs;
      sum[static_cast<size_t>(output)] +=
          static_cast<double>(weight.data<float>()[e]) * constant[static_cast<size_t>(c)];
    });
    const Tensor* old = graph.constant(node.input(2));
    Tensor bias(DType::float32, {outputs});
    for (int64_t o = 0; o < outputs; ++o) {
      const float before = old ? old->data<float>()[old->count() == 1 ? 0 : o] : 0.0f;
      bias.mutable_data<float>()[o] = static_cast<float>(static_cast<double>(before) + sum[static_cast<size_t>(o)]);
    }
    node.inputs.resize(3, kNone);
    node.inputs[2] = graph.add_constant(node.name + "_bias", std::move(bias));
  }
}

void apply_absorb_bias(Graph& graph, const MethodContext& context) {
  const std::vector<ChannelLink> links = find_channel_links(graph);
  const auto profiles = profile_channels(graph, links, context);
  int64_t channels = 0;
  for (const ChannelLink& link : links) {
    const GraphIndex index(graph);
    const auto profile = profiles.find(link.value);
    const Node& producer = graph.nodes[link.producer];
    if (profile == profiles.end() || producer.input(2) == kNone || !can_absorb(graph, index, link)) continue;
    std::vector<double> constant(static_cast<size_t>(link.channels), 0.0);
    for (size_t c = 0; c < constant.size(); ++c) {
      const double mean = profile->second.mean_abs[c];
      const double deviation = std::sqrt(std::max(0.0, profile->second.mean_square[c] - mean * mean));
      if (std::isfinite(mean)) constant[c] = std::max(0.0, mean - 3 * deviation);
      channels += constant[c] > 0 ? 1 : 0;
    }
    Tensor bias = *graph.constant(producer.inputs[2]);
    for (int64_t c = 0; c < bias.count(); ++c)
      bias.mutable_data<float>()[c] -= static_cast<float>(constant[static_cast<size_t>(c)]);
    graph.value(producer.inputs[2]).constant = std::move(bias);
    add_to_readers(graph, link, constant);
  }
  context.note(fmt::format("absorb-bias: {} channels", channels));
}

}  // namespace

const Method& absorb_bias_method() {
  static const Method method{.name = "absorb-bias",
                             .summary = "moves large biases in front of a ReLU into the layer behind it",
                             .paper = "Nagel et al., ICCV 2019, arXiv:1906.04721, section 4.1.3",
                             .needs_data = true,
                             .apply = apply_absorb_bias,
                             .stage = MethodStage::float_network};
  return method;
}

}  // namespace lowbit
