#include <algorithm>
#include <cmath>

#include "lowbit/data/corruptions/kinds.h"

namespace lowbit::corruptions {
namespace {

/// A fractal of squares and diamonds on a torus of size 2^n, scaled to 0..1. Fournier, Fussell, Carpenter, "Computer
/// rendering of stochastic models", CACM 25 (1982). Each level is `decay` times as rough as the one before.
Picture<float> plasma(int64_t least_side, double decay, Random& random) {
  int64_t side = 1;
  while (side < least_side) side *= 2;
  Picture<float> map{side, side, 1, std::vector<float>(static_cast<size_t>(side * side), 0.0f)};
  const auto at = [&](int64_t x, int64_t y) -> float& {
    return map.values[static_cast<size_t>((y & (side - 1)) * side + (x & (side - 1)))];
  };
  double rough = 1;
  for (int64_t step = side; step > 1; step /= 2) {
    const int64_t half = step / 2;
    const auto around = [&](int64_t x, int64_t y, float sum) {
      at(x, y) = 0.25f * sum + static_cast<float>(rough * (2 * random.uniform() - 1));
    };
    for (int64_t y = half; y < side; y += step)
      for (int64_t x = half; x < side; x += step)
        around(x, y, at(x - half, y - half) + at(x + half, y - half) + at(x - half, y + half) + at(x + half, y + half));
    for (int64_t y = 0; y < side; y += half)
      for (int64_t x = y % step == 0 ? half : 0; x < side; x += step)
        around(x, y, at(x - half, y) + at(x + half, y) + at(x, y - half) + at(x, y + half));
    rough /= decay;
  }
  const auto [least, most] = std::minmax_element(map.values.begin(), map.values.end());
  const float low = *least, width = std::max(1e-6f, *most - *least);
  for (float& v : map.values) v = (v - low) / width;
  return map;
}

}  // namespace

/// x + amount * fog, scaled back so that the brightest pixel stays as bright.
void fog(Picture<float>& picture, int strength, Random& random) {
  constexpr double kAmount[] = {1.5, 2, 2.5, 2.5, 3}, kDecay[] = {2, 2, 1.7, 1.5, 1.4};
  const double amount = 255 * noise_factor(picture) * kAmount[strength - 1];
  const Picture<float> map = plasma(std::max(picture.width, picture.height), kDecay[strength - 1], random);
  const double brightest = *std::max_element(picture.values.begin(), picture.values.end());
  const double back = brightest / (brightest + amount);
  size_t i = 0;
  for (int64_t y = 0; y < picture.height; ++y)
    for (int64_t x = 0; x < picture.width; ++x)
      for (int64_t c = 0; c < picture.channels; ++c, ++i)
        picture.values[i] = static_cast<float>(
            (picture.values[i] + amount * map.values[static_cast<size_t>(y * map.width + x)]) * back);
}

/// Where a smooth random field is high there is water: pale, and the scene shows through by a fifth.
void spatter(Picture<float>& picture, int strength, Random& random) {
  constexpr double kAbove[] = {1.645, 1.405, 1.175, 0.915, 0.674};  // 5, 8, 12, 18 and 25 % of a normal field
  constexpr float kWater[] = {175, 238, 238}, kGreyWater = 219;
  const Picture<float> field =
      smooth_field(picture.width, picture.height, std::max(0.6, 4 * length_factor(picture)), random);
  for (size_t i = 0; i < field.values.size(); ++i) {
    const double wet = 0.8 * std::clamp(4 * (field.values[i] - kAbove[strength - 1]), 0.0, 1.0);
    for (int64_t c = 0; c < picture.channels; ++c) {
      float& v = picture.values[i * static_cast<size_t>(picture.channels) + static_cast<size_t>(c)];
      const float water = picture.channels == 3 ? kWater[c] : kGreyWater;
      v += static_cast<float>(wet * (water - v));
    }
  }
}

}  // namespace lowbit::corruptions
