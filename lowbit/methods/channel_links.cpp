#include "lowbit/methods/channel_links.h"

#include <algorithm>
#include <cmath>

#include "lowbit/core/graph_index.h"

namespace lowbit {
namespace {

/// A float32 constant that only this node reads.
const Tensor* own(const Graph& graph, const GraphIndex& index, const Node& node, size_t input) {
  const Tensor* constant = graph.constant(node.input(input));
  return constant && constant->dtype() == DType::float32 && index.readers(node.inputs[input]).size() == 1 &&
                 !graph.is_output(node.inputs[input])
             ? constant
             : nullptr;
}

int64_t group_of(const Node& node) { return std::max<int64_t>(node.attr_int("group", 1), 1); }

bool plain_gemm(const Node& node) {
  return node.is("Gemm") && node.attr_float("alpha", 1) == 1 && node.attr_float("beta", 1) == 1 &&
         !node.attr_int("transA", 0);
}

/// Output channels of a node that can be divided by a number each; 0: it cannot.
int64_t producer_channels(const Graph& graph, const GraphIndex& index, const Node& node) {
  const Tensor* weight = own(graph, index, node, 1);
  if (!weight) return 0;
  int64_t channels = 0;
  if (node.is("Conv")) channels = weight->dim(0);
  if (node.is("ConvTranspose")) channels = weight->dim(1) * group_of(node);
  if (plain_gemm(node) && weight->rank() == 2) channels = weight->dim(node.attr_int("transB", 0) ? 0 : 1);
  if (node.is("LayerNormalization") && weight->rank() == 1) channels = weight->count();
  if (node.input(2) != kNone) {
    const Tensor* bias = own(graph, index, node, 2);
    if (!bias || bias->count() != channels) return 0;
  }
  return channels;
}

/// Channels of the input that a layer's weights can be multiplied for; 0: none.
int64_t reader_channels(const Graph& graph, const GraphIndex& index, const Node& node) {
  const Tensor* weight = own(graph, index, node, 1);
  if (!weight) return 0;
  if (node.is("Conv")) return weight->dim(1) * group_of(node);
  if (weight->rank() != 2) return 0;
  if (plain_gemm(node)) return weight->dim(node.attr_int("transB", 0) ? 1 : 0);
  return node.is("MatMul") ? weight->dim(0) : 0;
}

class LinkFinder {
 public:
  explicit LinkFinder(const Graph& graph) : graph_(graph), index_(graph) {}

  std::vector<ChannelLink> run() {
    std::vector<ChannelLink> links;
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      ChannelLink link{n, {}, kNone};
      link.channels = producer_channels(graph_, index_, graph_.nodes[n]);
      spatial_ = graph_.nodes[n].is("Conv") || graph_.nodes[n].is("ConvTranspose");
      if (link.channels < 1 || !follow(graph_.nodes[n].output(), 1, 0, link) || link.readers.empty()) continue;
      links.push_back(std::move(link));
    }
    return links;
  }

 private:
  /// True if everything that reads `id` is a layer of the link in the end.
  bool follow(ValueId id, int64_t inner, int depth, ChannelLink& link) {
    if (id == kNone || depth > 8 || graph_.is_output(id) || index_.readers(id).empty()) return false;
    for (const Graph::Use& use : index_.readers(id)) {
      if (use.position != 0) return false;
      const auto n = static_cast<size_t>(use.node);
      const Node& node = graph_.nodes[n];
      if (const int64_t channels = reader_channels(graph_, index_, node); channels > 0) {
        if (channels != link.channels * inner || (spatial_ && inner == 1 && !flat_ && !node.is("Conv"))) return false;
        if (link.value != kNone && link.value != id) return false;
        link.value = id;
        link.readers.push_back({n, inner});
        continue;
      }
      if (!passes(node, id, inner, depth, link)) return false;
    }
    return true;
  }

  bool passes(const Node& node, ValueId id, int64_t inner, int depth, ChannelLink& link) {
    if (node.outputs.size() != 1) return false;
    if (node.is("Relu") || node.is("LeakyRelu")) {
      link.through_relu = link.through_relu || (depth == 0 && node.is("Relu"));
      return follow(node.output(), inner, depth + 1, link);
    }
    if (node.is("Clip")) {
      const auto low = scalar_constant(graph_, node.input(1)), high = scalar_constant(graph_, node.input(2));
      if (!low || *low != 0 || !high || !(*high > 0)) return false;
      link.clip = link.clip > 0 ? std::min(link.clip, *high) : *high;
      return follow(node.output(), inner, depth + 1, link);
    }
    if (!spatial_) return false;
    if (node.is("MaxPool") || node.is("AveragePool") || node.is("GlobalAveragePool"))
      return follow(node.output(), inner, depth + 1, link);
    if (node.is("Flatten") && node.attr_int("axis", 1) == 1) {
      const auto& shape = graph_.value(id).shape;
      if (!shape || shape->size() < 3) return false;
      for (size_t d = 2; d < shape->size(); ++d) {
        if (!(*shape)[d].known()) return false;
        inner *= *(*shape)[d].size;
      }
      flat_ = true;
      const bool found = follow(node.output(), inner, depth + 1, link);
      flat_ = false;
      return found;
    }
    return false;
  }

  const Graph& graph_;
  GraphIndex index_;
  bool spatial_ = false, flat_ = false;
};

/// Channel of an output-major element of the producer's weights.
int64_t producer_channel(const Node& node, const Tensor& weight, int64_t element) {
  if (node.is("Conv")) return element / (weight.count() / weight.dim(0));
  if (node.is("ConvTranspose")) {
    const int64_t inner = weight.count() / (weight.dim(0) * weight.dim(1)), input = element / inner / weight.dim(1);
    return input / (weight.dim(0) / group_of(node)) * weight.dim(1) + element / inner % weight.dim(1);
  }
  if (node.is("LayerNormalization")) return element;
  return node.attr_int("transB", 0) ? element / weight.dim(1) : element % weight.dim(1);
}

}  // namespace

std::vector<ChannelLink> find_channel_links(const Graph& graph) { return LinkFinder(graph).run(); }

void for_each_reader_weight(const Graph& graph, const LinkReader& reader,
                            const std::function<void(int64_t element, int64_t channel)>& change) {
  const Node& node = graph.nodes[reader.node];
  const Tensor& weight = *graph.constant(node.inputs[1]);
  for (int64_t e = 0; e < weight.count(); ++e) {
    int64_t input;
    if (node.is("Conv")) {
      const int64_t taps = weight.count() / (weight.dim(0) * weight.dim(1)), output = e / taps / weight.dim(1);
      input = output / (weight.dim(0) / group_of(node)) * weight.dim(1) + e / taps % weight.dim(1);
    } else {
      input = node.is("Gemm") && node.attr_int("transB", 0) ? e % weight.dim(1) : e / weight.dim(1);
    }
    change(e, input / reader.inner);
  }
}

std::vector<double> producer_ranges(const Graph& graph, const ChannelLink& link) {
  const Node& node = graph.nodes[link.producer];
  const Tensor& weight = *graph.constant(node.inputs[1]);
  std::vector<double> ranges(static_cast<size_t>(link.channels), 0.0);
  for (int64_t e = 0; e < weight.count(); ++e) {
    double& range = ranges[static_cast<size_t>(producer_channel(node, weight, e))];
    range = std::max(range, std::abs(static_cast<double>(weight.data<float>()[e])));
  }
  return ranges;
}

std::vector<double> reader_ranges(const Graph& graph, const ChannelLink& link) {
  std::vector<double> ranges(static_cast<size_t>(link.channels), 0.0);
  for (const LinkReader& reader : link.readers) {
    const float* w = graph.constant(graph.nodes[reader.node].inputs[1])->data<float>();
    for_each_reader_weight(graph, reader, [&](int64_t element, int64_t channel) {
      double& range = ranges[static_cast<size_t>(channel)];
      range = std::max(range, std::abs(static_cast<double>(w[element])));
    });
  }
  return ranges;
}

void rescale(Graph& graph, const ChannelLink& link, const std::vector<double>& scale) {
  const Node& producer = graph.nodes[link.producer];
  Tensor weight = *graph.constant(producer.inputs[1]);
  float* w = weight.mutable_data<float>();
  for (int64_t e = 0; e < weight.count(); ++e)
    w[e] = static_cast<float>(static_cast<double>(w[e]) /
                              scale[static_cast<size_t>(producer_channel(producer, weight, e))]);
  graph.value(producer.inputs[1]).constant = weight;
  if (producer.input(2) != kNone) {
    Tensor bias = *graph.constant(producer.inputs[2]);
    for (int64_t c = 0; c < bias.count(); ++c)
      bias.mutable_data<float>()[c] =
          static_cast<float>(static_cast<double>(bias.data<float>()[c]) / scale[static_cast<size_t>(c)]);
    graph.value(producer.inputs[2]).constant = std::move(bias);
  }
  for (const LinkReader& reader : link.readers) {
    const ValueId id = graph.nodes[reader.node].inputs[1];
    Tensor changed = *graph.constant(id);
    float* to = changed.mutable_data<float>();
    for_each_reader_weight(graph, reader, [&](int64_t element, int64_t channel) {
      to[element] = static_cast<float>(static_cast<double>(to[element]) * scale[static_cast<size_t>(channel)]);
    });
    graph.value(id).constant = std::move(changed);
  }
}

std::map<ValueId, ChannelProfile> profile_channels(const Graph& graph, const std::vector<ChannelLink>& links,
                                                   const MethodContext& context) {
  std::map<ValueId, ChannelProfile> profiles;
  if (!context.batches) return profiles;
  std::map<ValueId, const ChannelLink*> wanted;
  for (const ChannelLink& link : links) wanted[link.value] = &link;
  std::map<ValueId, double> counts;
  EvaluateOptions options;
  options.on_value = [&](const Graph& where, ValueId id, Tensor& x) {
    const auto found = wanted.find(id);
    if (&where != &graph || found == wanted.end() || x.dtype() != DType::float32 || x.rank() < 2) return;
    const ChannelLink& link = *found->second;
    const Node& reader = graph.nodes[link.readers[0].node];
    const int64_t axis = reader.is("Conv") ? 1 : x.rank() - 1;
    int64_t inner = link.readers[0].inner;
    for (int64_t d = axis + 1; d < x.rank(); ++d) inner *= x.dim(d);
    ChannelProfile& p = profiles[id];
    p.max.resize(static_cast<size_t>(link.channels), -INFINITY);
    p.min.resize(p.max.size(), INFINITY);
    p.mean_abs.resize(p.max.size(), 0.0);
    p.mean_square.resize(p.max.size(), 0.0);
    for (int64_t e = 0; e < x.count(); ++e) {
      const auto c = static_cast<size_t>(e / inner % link.channels);
      const auto value = static_cast<double>(x.data<float>()[e]);
      p.max[c] = std::max(p.max[c], value);
      p.min[c] = std::min(p.min[c], value);
      p.mean_abs[c] += std::abs(value);
      p.mean_square[c] += value * value;
    }
    counts[id] += static_cast<double>(x.count()) / static_cast<double>(link.channels);
  };
  Evaluator evaluator(graph, context.threads, options);
  const BatchSource source = context.batches();
  NamedTensors inputs;
  while (source(inputs) > 0) evaluator.run(inputs);
  for (auto& [id, profile] : profiles)
    for (size_t c = 0; c < profile.max.size(); ++c) {
      profile.mean_abs[c] /= counts[id];
      profile.mean_square[c] /= counts[id];
    }
  return profiles;
}

}  // namespace lowbit
