#include "lowbit/methods/weight_sample.h"

#include <algorithm>

namespace lowbit {
namespace {

constexpr int64_t kLeastChannels = 4;

}  // namespace

std::optional<WeightSample> sample_channels(const Tensor& weight, const std::vector<float>& importance, int64_t axis,
                                            int64_t elements) {
  const Dims& dims = weight.dims();
  if (axis < 0 || axis >= static_cast<int64_t>(dims.size()) || weight.count() == 0) return std::nullopt;
  const auto at = static_cast<size_t>(axis);
  const int64_t channels = dims[at], of_channel = weight.count() / channels;
  const int64_t taken = std::max(kLeastChannels, (elements + of_channel - 1) / of_channel);
  if (taken > channels / 2) return std::nullopt;
  int64_t inner = 1;
  for (size_t d = at + 1; d < dims.size(); ++d) inner *= dims[d];
  const int64_t outer = weight.count() / (channels * inner);

  Dims sampled = dims;
  sampled[at] = taken;
  WeightSample sample{Tensor(DType::float32, sampled), {}};
  if (!importance.empty()) sample.importance.resize(static_cast<size_t>(sample.weight.count()));
  const float* from = weight.data<float>();
  float* to = sample.weight.mutable_data<float>();
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t c = 0; c < taken; ++c) {
      const int64_t source = (o * channels + c * channels / taken) * inner, target = (o * taken + c) * inner;
      std::copy_n(from + source, inner, to + target);
      if (!importance.empty()) std::copy_n(importance.begin() + source, inner, sample.importance.begin() + target);
    }
  return sample;
}

}  // namespace lowbit
