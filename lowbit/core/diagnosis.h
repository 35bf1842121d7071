// diagnosis.h: what a comparison of a low-bit network with its float original found, in figures and in words. Filled by
// api/compare.h and the rules of the analysis room, printed by report.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lowbit/core/measurements.h"

namespace lowbit {

/// What a rule found.
struct Finding {
  std::string rule;                 ///< "outlier-channel", of the table of rules
  std::string layer;                ///< the node that it is about, or the network input
  std::string cause;                ///< a sentence with the figures
  std::vector<std::string> remedy;  ///< options of `lowbit quantize` that address it, one argument each; may be empty
  std::string advice;               ///< what no option can do, e.g. other calibration data; may be empty
  std::string command;              ///< the whole command line that tries the remedy; empty if there is none
};

/// Statistics of one layer's result, beside its errors in LayerError. Shares are fractions of 1.
struct LayerFigures {
  std::string name, op, value;
  double range_use = 0;          ///< (range of the values) / (range of the codes), at most 1; 0 if not low-bit
  int64_t codes_used = 0;        ///< distinct codes that occurred
  int64_t codes = 0;             ///< that there are; 0 if not low-bit
  double clipped_share = 0;      ///< values outside the range by more than half a step
  double saturated_share = 0;    ///< results of the integer run at the lowest or highest code
  double weight_imbalance = 0;   ///< widest output channel / median one, of the weights; 0 without
  double channel_imbalance = 0;  ///< the same of the values
  int64_t widest_channel = -1;   ///< of the values
  int64_t dead_channels = 0;     ///< channels that never change
  double tail = 0;               ///< largest |x - mean| in standard deviations
  double mean_shift = 0;         ///< root mean square over channels of the mean error, in steps of the codes
};

/// One node of the network as it is drawn: where errors come from and go to.
struct DrawnNode {
  std::string name, op;
  std::vector<int32_t> inputs;             ///< earlier nodes that it reads
  std::string weights, activations;        ///< "int8/channel"; empty: none, or float
  double weight_bits = 0, value_bits = 0;  ///< 0: float or none
  bool has_weights = false;
  std::optional<double> local_db, accumulated_db;
};

struct Diagnosis {
  std::optional<TensorError> weights_only;      ///< error of the outputs with low-bit weights and float activations
  std::optional<TensorError> activations_only;  ///< the other way round
  std::vector<LayerFigures> layers;             ///< in graph order
  std::vector<Finding> findings;                ///< worst first
  std::vector<DrawnNode> graph;                 ///< in graph order
  /// Layers whose values cannot be compared one by one, since a method changed the basis they are written in.
  std::vector<std::string> incomparable;
  int64_t rescaled = 0;  ///< values that a method rescaled by channel; compared after undoing that
};

}  // namespace lowbit
