// weight_sample.h: a part of a weight tensor that stands for the whole where many number systems are compared.
#pragma once

#include <optional>
#include <vector>

#include "lowbit/core/tensor.h"

namespace lowbit {

struct WeightSample {
  Tensor weight;
  std::vector<float> importance;  ///< as given: empty, or one for each element of `weight`
};

/// Whole channels of `axis`, evenly spread over it, with about `elements` elements and at least four channels; nothing
/// where that would be more than half of the tensor. `weight`: float32; `importance`: empty or one for each element.
std::optional<WeightSample> sample_channels(const Tensor& weight, const std::vector<float>& importance, int64_t axis,
                                            int64_t elements);

}  // namespace lowbit
