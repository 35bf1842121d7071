#include <algorithm>

#include "lowbit/data/corruptions/kinds.h"

namespace lowbit::corruptions {
namespace {

/// Calls change(pixel, largest, smallest) for each pixel's channels.
template <typename Change>
void for_pixels(Picture<float>& picture, Change change) {
  const auto channels = static_cast<size_t>(picture.channels);
  for (size_t i = 0; i < picture.values.size(); i += channels) {
    const std::span<float> pixel(picture.values.data() + i, channels);
    const auto [least, most] = std::minmax_element(pixel.begin(), pixel.end());
    change(pixel, *most, *least);
  }
}

}  // namespace

/// The value of HSV grows; hue and saturation stay.
void brightness(Picture<float>& picture, int strength, Random&) {
  const float more = 25.5f * static_cast<float>(strength);
  for_pixels(picture, [&](std::span<float> pixel, float most, float) {
    const float value = std::min(255.0f, most + more);
    for (float& v : pixel) v = most > 0 ? v * value / most : value;
  });
}

/// Around the mean of each channel.
void contrast(Picture<float>& picture, int strength, Random&) {
  constexpr float kKept[] = {0.4f, 0.3f, 0.2f, 0.1f, 0.05f};
  const auto channels = static_cast<size_t>(picture.channels);
  for (size_t c = 0; c < channels; ++c) {
    double sum = 0;
    for (size_t i = c; i < picture.values.size(); i += channels) sum += picture.values[i];
    const auto mean = static_cast<float>(sum / static_cast<double>(picture.width * picture.height));
    for (size_t i = c; i < picture.values.size(); i += channels)
      picture.values[i] = mean + kKept[strength - 1] * (picture.values[i] - mean);
  }
}

/// The saturation of HSV; pixels without a hue stay grey.
void saturate(Picture<float>& picture, int strength, Random&) {
  constexpr float kTimes[] = {0.3f, 0.1f, 2, 5, 20}, kMore[] = {0, 0, 0, 0.1f, 0.2f};
  for_pixels(picture, [&](std::span<float> pixel, float most, float least) {
    if (most <= least) return;
    const float before = (most - least) / most;
    const float after = std::clamp(before * kTimes[strength - 1] + kMore[strength - 1], 0.0f, 1.0f);
    for (float& v : pixel) v = most - (most - v) * after / before;
  });
}

}  // namespace lowbit::corruptions
