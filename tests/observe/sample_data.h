// sample_data.h: values that stress statistics: every magnitude, ties, zeros of both signs, NaN and infinity.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "lowbit/base/random.h"

namespace lowbit::testing {

enum class DataKind { normal, relu, extreme, softmax, image, any_bits, denormal };
inline constexpr int kDataKinds = 7;

inline float sample_value(DataKind kind, Random& random) {
  switch (kind) {
    case DataKind::normal:
      return static_cast<float>(random.normal());
    case DataKind::relu:
      return std::fmax(0.0f, static_cast<float>(random.normal()));
    case DataKind::extreme: {
      const float extremes[] = {1e38f,   -1e38f, 3.4028235e38f, -3.4028235e38f, 1e-45f,
                                -1e-45f, 0.0f,   -0.0f,         1.0f,           1e-38f};
      return extremes[random.below(10)];
    }
    case DataKind::softmax:
      return static_cast<float>(std::exp(-90.0 * random.uniform()));
    case DataKind::image:
      return static_cast<float>(random.below(256));
    case DataKind::any_bits:
      return std::bit_cast<float>(static_cast<uint32_t>(random.bits()));
    case DataKind::denormal:
      return std::bit_cast<float>(static_cast<uint32_t>(random.bits()) & 0x807fffffu);
  }
  return 0;
}

inline std::vector<float> sample_values(DataKind kind, int64_t n, uint64_t seed) {
  Random random(seed, static_cast<uint64_t>(kind));
  std::vector<float> values(static_cast<size_t>(n));
  for (float& value : values) value = sample_value(kind, random);
  return values;
}

}  // namespace lowbit::testing
