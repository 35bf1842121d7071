// weight_grid.h: which levels each element of a weight tensor may take, for any number system and granularity. The
// methods that choose codes ask for nearest levels and neighbours, and never see the system itself.
#pragma once

#include <memory>
#include <vector>

#include "lowbit/core/quantization.h"
#include "lowbit/numbers/rounding.h"
#include "lowbit/passes/level_model.h"

namespace lowbit {

/// False for vector codebooks, which choose for several elements at once: no element has levels of its own.
inline bool has_levels_of_elements(const Quantization& quantization) { return quantization.format.vector_size == 1; }

/// Needs levels of elements.
class WeightGrid {
 public:
  /// The parameters may be others than the annotation's, of the same number.
  WeightGrid(const Quantization& quantization, std::vector<float> params);

  /// The level of group `group` nearest to x; NaN counts as 0.
  float nearest(int32_t group, double x) const;
  /// The levels below and above x (the same one twice on a level and outside of the range).
  std::pair<float, float> around(int32_t group, double x) const;
  const std::vector<float>& params() const { return params_; }

 private:
  bool linear_;
  CodeRange codes_;
  std::vector<float> params_;
  std::vector<std::shared_ptr<const NeighbourFinder>> finders_;  ///< by group; empty for linear systems
};

}  // namespace lowbit
