// Damage of arrays. Sizes are in standard deviations of the sample itself, so that they need no knowledge of its units.
#include <algorithm>
#include <cmath>

#include "lowbit/data/corruptions/kinds.h"

namespace lowbit::corruptions {
namespace {

struct Spread {
  double mean = 0, deviation = 0;
};

Spread spread_of(std::span<const float> values) {
  double sum = 0, squares = 0;
  for (const float v : values) sum += v, squares += double{v} * v;
  const double n = static_cast<double>(std::max<size_t>(1, values.size())), mean = sum / n;
  return {mean, std::sqrt(std::max(0.0, squares / n - mean * mean))};
}

double sign(Random& random) { return random.uniform() < 0.5 ? -1 : 1; }

/// At least one step.
int64_t share_of(int64_t steps, double share) {
  return std::clamp<int64_t>(static_cast<int64_t>(std::lrint(share * static_cast<double>(steps))), 1, steps);
}

}  // namespace

void sensor_noise(Signal signal, int strength, Random& random) {
  constexpr double kDeviations[] = {0.1, 0.2, 0.3, 0.5, 0.8};
  const double deviation = kDeviations[strength - 1] * spread_of(signal.values).deviation;
  for (float& v : signal.values) v += static_cast<float>(deviation * random.normal());
}

void gain(Signal signal, int strength, Random& random) {
  constexpr double kDecibels[] = {2, 4, 6, 9, 12};
  const auto factor = static_cast<float>(std::pow(10, sign(random) * kDecibels[strength - 1] / 20));
  for (float& v : signal.values) v *= factor;
}

void offset(Signal signal, int strength, Random& random) {
  constexpr double kDeviations[] = {0.1, 0.2, 0.3, 0.5, 0.8};
  const auto more = static_cast<float>(sign(random) * kDeviations[strength - 1] * spread_of(signal.values).deviation);
  for (float& v : signal.values) v += more;
}

void drop_out(Signal signal, int strength, Random& random) {
  constexpr double kShare[] = {0.05, 0.1, 0.2, 0.3, 0.4};
  const int64_t length = share_of(signal.steps, kShare[strength - 1]);
  const int64_t begin = random.below(signal.steps - length + 1);
  const auto from = signal.values.begin() + begin * signal.channels;
  std::fill(from, from + length * signal.channels, 0.0f);
}

void time_shift(Signal signal, int strength, Random& random) {
  constexpr double kShare[] = {0.02, 0.05, 0.1, 0.15, 0.2};
  const int64_t steps = share_of(signal.steps, kShare[strength - 1]);
  const int64_t turn = sign(random) > 0 ? steps : signal.steps - steps;
  std::rotate(signal.values.begin(), signal.values.begin() + turn * signal.channels, signal.values.end());
}

void spikes(Signal signal, int strength, Random& random) {
  constexpr double kShare[] = {0.005, 0.01, 0.02, 0.04, 0.08}, kDeviations = 5;
  const Spread spread = spread_of(signal.values);
  for (float& v : signal.values)
    if (random.uniform() < kShare[strength - 1])
      v = static_cast<float>(spread.mean + sign(random) * kDeviations * spread.deviation);
}

void clipping(Signal signal, int strength, Random&) {
  constexpr double kDeviations[] = {2.5, 2, 1.5, 1, 0.7};
  const Spread spread = spread_of(signal.values);
  const double reach = kDeviations[strength - 1] * spread.deviation;
  for (float& v : signal.values)
    v = std::clamp(v, static_cast<float>(spread.mean - reach), static_cast<float>(spread.mean + reach));
}

void drift(Signal signal, int strength, Random& random) {
  constexpr double kDeviations[] = {0.2, 0.4, 0.6, 1, 1.5};
  const double end = sign(random) * kDeviations[strength - 1] * spread_of(signal.values).deviation;
  for (int64_t t = 0; t < signal.steps; ++t)
    for (int64_t c = 0; c < signal.channels; ++c)
      signal.values[static_cast<size_t>(t * signal.channels + c)] +=
          static_cast<float>(end * static_cast<double>(t + 1) / static_cast<double>(signal.steps));
}

}  // namespace lowbit::corruptions
