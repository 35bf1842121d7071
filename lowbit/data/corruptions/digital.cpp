#include <algorithm>
#include <cmath>

#include "lowbit/data/corruptions/kinds.h"

namespace lowbit::corruptions {

/// Each pixel is taken from where two smooth random fields point to.
void elastic(Picture<float>& picture, int strength, Random& random) {
  constexpr double kReach[] = {0.01, 0.016, 0.024, 0.034, 0.046};  // root mean square, of the shorter side
  const double side = static_cast<double>(std::min(picture.width, picture.height));
  const double sigma = std::max(1.0, 0.05 * side), reach = side * kReach[strength - 1];
  const Picture<float> dx = smooth_field(picture.width, picture.height, sigma, random);
  const Picture<float> dy = smooth_field(picture.width, picture.height, sigma, random);
  const Picture<float> before = picture;
  size_t i = 0, pixel = 0;
  for (int64_t y = 0; y < picture.height; ++y)
    for (int64_t x = 0; x < picture.width; ++x, ++pixel)
      for (int64_t c = 0; c < picture.channels; ++c, ++i)
        picture.values[i] = sample(before, static_cast<double>(x) + reach * dx.values[pixel],
                                   static_cast<double>(y) + reach * dy.values[pixel], c);
}

void pixelate(Picture<float>& picture, int strength, Random&) {
  constexpr double kKept[] = {0.6, 0.5, 0.4, 0.3, 0.25};
  const double kept = 1 - (1 - kKept[strength - 1]) * noise_factor(picture);
  const auto fewer = [&](int64_t n) {
    return std::max<int64_t>(1, static_cast<int64_t>(std::lrint(kept * static_cast<double>(n))));
  };
  const Picture<float> small = resize_bilinear(picture, fewer(picture.width), fewer(picture.height));
  size_t i = 0;
  for (int64_t y = 0; y < picture.height; ++y)
    for (int64_t x = 0; x < picture.width; ++x)
      for (int64_t c = 0; c < picture.channels; ++c, ++i) {
        const int64_t from = (2 * y + 1) * small.height / (2 * picture.height) * small.width +
                             (2 * x + 1) * small.width / (2 * picture.width);
        picture.values[i] = small.values[static_cast<size_t>(from * small.channels + c)];
      }
}

}  // namespace lowbit::corruptions
