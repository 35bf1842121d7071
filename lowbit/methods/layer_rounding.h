// layer_rounding.h: the choice of parameters and levels for one layer's weights against the second moments of its
// input: what gptq and learned-rounding share.
#pragma once

#include <vector>

#include "lowbit/methods/layer_matrix.h"
#include "lowbit/methods/method.h"
#include "lowbit/methods/metric_rounding.h"
#include "lowbit/methods/moments.h"

namespace lowbit {

struct RoundingSettings {
  double damping = 0.01;  ///< added to the diagonal of the moments, as a share of its mean
  bool targets = true;    ///< aim at the float network's results
  bool order = true;      ///< columns with large inputs first
  bool scales = true;     ///< try several parameter sets for each row
  bool bias = true;       ///< bring the mean of every output channel back
  int sweeps = 8;         ///< of coordinate descent
  int steps = 0;          ///< of learned rounding; 0: column updates
  double focus = 0;       ///< weight of samples by what the float classifier is unsure of
  int64_t positions = 65536;
};

/// Walks over the network and rounds every layer with low-bit weights; `name` is the method's, for notes and origins.
void round_layers(Graph& graph, const MethodContext& context, const RoundingSettings& settings, std::string_view name);

/// The options that both methods have.
extern const MethodOption kDampingOption, kTargetsOption, kScalesOption, kBiasOption, kFocusOption, kPositionsOption;

}  // namespace lowbit
