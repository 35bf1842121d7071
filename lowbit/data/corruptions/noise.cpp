#include <cmath>

#include "lowbit/data/corruptions/kinds.h"

namespace lowbit::corruptions {
namespace {

constexpr double kManyPhotons = 50;  // beyond, a normal distribution is as good

/// A Poisson variable: Knuth's product of uniforms for few, the normal limit for many.
double poisson(double mean, Random& random) {
  if (mean > kManyPhotons) return std::max(0.0, std::round(mean + std::sqrt(mean) * random.normal()));
  const double limit = std::exp(-mean);
  double product = random.uniform(), count = 0;
  while (product > limit) {
    product *= random.uniform();
    ++count;
  }
  return count;
}

}  // namespace

void gaussian_noise(Picture<float>& picture, int strength, Random& random) {
  constexpr double kDeviation[] = {0.08, 0.12, 0.18, 0.26, 0.38};  // of the full range
  const double deviation = 255 * noise_factor(picture) * kDeviation[strength - 1];
  for (float& v : picture.values) v += static_cast<float>(deviation * random.normal());
}

void shot_noise(Picture<float>& picture, int strength, Random& random) {
  constexpr double kPhotons[] = {60, 25, 12, 5, 3};  // of a white pixel
  const double factor = noise_factor(picture), photons = kPhotons[strength - 1] / (factor * factor);
  for (float& v : picture.values) v = static_cast<float>(255 * poisson(v / 255 * photons, random) / photons);
}

void impulse_noise(Picture<float>& picture, int strength, Random& random) {
  constexpr double kShare[] = {0.03, 0.06, 0.09, 0.17, 0.27};
  const double share = noise_factor(picture) * kShare[strength - 1];
  for (float& v : picture.values)
    if (const double u = random.uniform(); u < share) v = u < share / 2 ? 0.0f : 255.0f;
}

}  // namespace lowbit::corruptions
