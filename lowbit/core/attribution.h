// attribution.h: whether a low-bit model looks at the same parts of its input as the float one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lowbit/core/measurements.h"

namespace lowbit {

struct AttributionAgreement {
  std::string method;              ///< "occlusion" or "gradients"
  int64_t samples = 0, cells = 0;  ///< cells: parts that the input is cut into
  Metric rank_correlation;         ///< Spearman's, of the cells' importance; mean over the samples, bootstrap interval
  Metric cosine;                   ///< of the two maps
  Metric top_overlap;              ///< share of the most important eighth of the cells that both name
  std::string least_alike;         ///< the sample with the lowest rank correlation
  double least_correlation = 0;
};

}  // namespace lowbit
