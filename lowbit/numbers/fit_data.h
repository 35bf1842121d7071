// fit_data.h: what the searches for parameters share: ranges, errors summed in a fixed order (the same bits on every
// machine), samples of long groups.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "lowbit/numbers/number_system.h"

namespace lowbit {

/// The smallest scale a fit may give: the smallest normal float.
inline constexpr float kSmallestScale = 0x1p-126f;

/// One group with its weights (empty: all 1).
struct FitData {
  std::span<const float> x, importance;
  double weight(size_t i) const { return importance.empty() ? 1.0 : static_cast<double>(importance[i]); }
};

struct ValueRange {
  float low = 0, high = 0;
};

/// Range that the parameters must cover: of the data, or the given one; always finite and widened to contain 0.
/// Non-finite values are left out. {0, 0} for no data.
ValueRange range_to_cover(std::span<const float> x, const FitOptions& options);

/// Sum of weight * (x - y)^2, in double, in a fixed order.
double squared_error(const FitData& data, std::span<const float> y);

/// Sum of weight * (x - decode(encode(x)))^2 with these parameters.
double squared_error(const NumberFormat& format, const float* params, const FitData& data);

/// At most `most` elements at even distances: the data itself if it is that short.
class FitSample {
 public:
  FitSample(const FitData& data, size_t most);
  const FitData& data() const { return data_; }

 private:
  std::vector<float> x_, importance_;
  FitData data_;
};

/// float(scale) made usable: at least kSmallestScale, at most the largest float, 1 for 0 or NaN.
float usable_scale(double scale);

}  // namespace lowbit
