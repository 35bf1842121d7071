#include "lowbit/methods/weight_grid.h"

#include <algorithm>
#include <cmath>

namespace lowbit {

WeightGrid::WeightGrid(const Quantization& quantization, std::vector<float> params)
    : linear_(quantization.linear()), codes_(quantization.codes()), params_(std::move(params)) {
  if (linear_) return;
  const auto each = static_cast<size_t>(quantization.format.system->param_count(quantization.format));
  const size_t groups = each == 0 ? 1 : params_.size() / each;
  for (size_t g = 0; g < groups; ++g)
    finders_.push_back(std::make_shared<const NeighbourFinder>(quantization.format, params_.data() + g * each));
}

float WeightGrid::nearest(int32_t group, double x) const {
  if (linear_) {
    const size_t at = static_cast<size_t>(group) * 2;
    const LinearParams p{params_[at], static_cast<int32_t>(params_[at + 1])};
    return linear_decode(linear_encode(static_cast<float>(x), p, codes_), p);
  }
  const auto [below, above] = around(group, x);
  return x - static_cast<double>(below) <= static_cast<double>(above) - x ? below : above;
}

std::pair<float, float> WeightGrid::around(int32_t group, double x) const {
  if (!linear_) {
    const size_t at = finders_.size() == 1 ? 0 : static_cast<size_t>(group);
    const Neighbours found = finders_[at]->find(static_cast<float>(x));
    return {found.below, found.above};
  }
  const size_t at = static_cast<size_t>(group) * 2;
  const LinearParams p{params_[at], static_cast<int32_t>(params_[at + 1])};
  const double code = std::isnan(x) ? 0 : x / static_cast<double>(p.scale) + p.zero_point;
  const double low = std::clamp(std::floor(code), static_cast<double>(codes_.min), static_cast<double>(codes_.max));
  const double high = std::clamp(std::ceil(code), static_cast<double>(codes_.min), static_cast<double>(codes_.max));
  return {linear_decode(static_cast<int32_t>(low), p), linear_decode(static_cast<int32_t>(high), p)};
}

}  // namespace lowbit
