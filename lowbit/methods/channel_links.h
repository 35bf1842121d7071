// channel_links.h: places where a network can be rescaled channel by channel without changing what it computes: a
// producer's output channel c is divided by s_c and every reader's input channel c multiplied by it. The base of
// equalization, smoothing and activation-aware scaling.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "lowbit/methods/method.h"

namespace lowbit {

/// A layer that reads the scaled channels: its input c stands for channel c / inner (inner > 1 behind a Flatten).
struct LinkReader {
  size_t node;
  int64_t inner = 1;
};

/// A producer (Conv, ConvTranspose, Gemm with constant weights, LayerNormalization with constant scale) and the layers
/// (Conv, Gemm, MatMul with constant weights) that alone read its result, perhaps through operators that commute with
/// positive scaling (ReLU, LeakyReLU, pooling, zero padding, Flatten, Clip from 0, which needs care).
struct ChannelLink {
  size_t producer;
  std::vector<LinkReader> readers;
  ValueId value;  ///< what the readers read (the value behind the activation)
  int64_t channels = 0;
  double clip = 0;            ///< upper limit of a Clip on the way; 0: none
  bool through_relu = false;  ///< directly behind the producer
};

/// Links of a float network, in graph order. Constants shared with other nodes make no link.
std::vector<ChannelLink> find_channel_links(const Graph& graph);

/// The largest absolute weight of each output channel of the link's producer, and of each channel of its readers.
std::vector<double> producer_ranges(const Graph& graph, const ChannelLink& link);
std::vector<double> reader_ranges(const Graph& graph, const ChannelLink& link);

/// Divides the producer's channels by `scale` and multiplies the readers'. All scales positive and finite.
void rescale(Graph& graph, const ChannelLink& link, const std::vector<double>& scale);

/// What one value's channels look like over the calibration data.
struct ChannelProfile {
  std::vector<double> max, min, mean_abs, mean_square;
};

/// Profiles, by value, of the values that the links' readers read (axis 1, or the last behind matrix layers).
std::map<ValueId, ChannelProfile> profile_channels(const Graph& graph, const std::vector<ChannelLink>& links,
                                                   const MethodContext& context);

/// Calls change(element, channel) for every weight of a reader with the channel it multiplies.
void for_each_reader_weight(const Graph& graph, const LinkReader& reader,
                            const std::function<void(int64_t element, int64_t channel)>& change);

}  // namespace lowbit
