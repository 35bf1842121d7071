// causes.h: from figures of one layer to a likely cause in words and the flags that address it. Plain rules with stated
// thresholds, so that every sentence can be checked by hand.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lowbit/core/graph.h"

namespace lowbit {

/// What compare_models() knows of a layer.
struct LayerFacts {
  std::string name, op;
  double local_sqnr_db = 0;
  // Weights; empty if it has none that are low-bit.
  std::vector<double> channel_ranges;  ///< largest |w| of each output channel
  bool weights_per_tensor = false;
  int weight_bits = 0;
  // The layer's result, if its value is low-bit.
  bool has_codes = false;
  double clipped_share = 0;
  double low = 0, high = 0, standard_deviation = 0;  ///< of the float values
  double step = 0;                                   ///< scale of the annotation
  int64_t codes_used = 0, codes = 0;                 ///< distinct ones
  double mean_shift = 0;                             ///< root mean square over channels of the mean error
  std::vector<double> input_ranges;                  ///< largest |x| of each low-bit activation input
  bool joins_inputs = false;                         ///< Add, Concat and their like
};

struct Finding {
  std::string cause, remedy;
};

/// The first rule that applies, or an empty finding. Layers better than 40 dB get none: there is nothing to explain.
Finding explain(const LayerFacts& facts);

}  // namespace lowbit
