// facts.h: what the rules judge: plain figures of a network on some data, whoever measured them. A field that was not
// measured keeps its default, and rules that need it stay quiet.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace lowbit {

/// One channel of a value, over all samples.
struct ChannelFacts {
  double low = 0, high = 0;
  double mean_error = 0;      ///< of the layer alone, low-bit minus float
  double sqnr_db = INFINITY;  ///< of the layer alone
  double reach() const { return high > -low ? high : -low; }
};

/// A value that some layer makes, or an input of the network. Figures are of the float network.
struct ValueFacts {
  std::string name;
  int64_t count = 0;          ///< values seen; 0: it was never computed on these data
  double sqnr_db = INFINITY;  ///< what the layer that makes it does by itself
  double low = 0, high = 0, mean = 0, standard_deviation = 0;
  std::vector<ChannelFacts> channels;
  // If it is low-bit:
  bool has_codes = false;
  double grid_low = 0, grid_high = 0;  ///< what the codes can represent
  double step = 0;                     ///< of a linear system, else 0
  int bits = 0;
  int64_t codes_used = 0, codes = 0;
  double clipped_share = 0;
  // Of the data that it was calibrated on:
  int64_t calibrated_values = -1;  ///< -1: not known, the two below neither
  double calibrated_mean = 0, calibrated_deviation = 0;
};

struct LayerFacts {
  std::string name, op;
  double local_sqnr_db = 0;        ///< this layer alone
  double accumulated_sqnr_db = 0;  ///< everything before it low-bit too
  ValueFacts result;
  std::vector<ValueFacts> inputs;  ///< activations that it reads, in order
  // Weights; empty if it has none that are low-bit.
  std::vector<double> channel_ranges;  ///< largest |w| of each output channel
  bool weights_per_tensor = false;
  int weight_bits = 0;
  bool depthwise = false;
  /// What the layer by itself does to all values, or to the middle one of its channels if that is worse: one loud
  /// channel must not hide what happens to the others.
  double judged_db() const;
};

struct NetworkFacts {
  std::vector<ValueFacts> inputs;  ///< of the network
  std::vector<LayerFacts> layers;  ///< in graph order
  int64_t samples = 0;
};

}  // namespace lowbit
