// rounding.h: choosing between the two levels on either side of a value. Works for every number system, since it asks
// only for the neighbouring levels.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "lowbit/numbers/granularity.h"
#include "lowbit/numbers/number_system.h"

namespace lowbit {

struct Rounding {
  enum class Kind : uint8_t {
    nearest,     ///< the system's own encode
    stochastic,  ///< above with probability (x - below) / (above - below): right on average
  };
  Kind kind = Kind::nearest;
  uint64_t seed = 0;

  bool operator==(const Rounding&) const = default;
};

/// "nearest", "stochastic" (seed 0), "stochastic:SEED". Throws Error{bad_argument} otherwise.
Rounding parse_rounding(std::string_view text);
std::string to_string(const Rounding& rounding);

/// The levels around a value: below <= x <= above inside the range; outside, and on a level, both are the same.
struct Neighbours {
  int32_t below_code = 0, above_code = 0;
  float below = 0, above = 0;
};

/// Finds them for the parameters of one group.
class NeighbourFinder {
 public:
  NeighbourFinder(const NumberFormat& format, const float* params);
  ~NeighbourFinder();
  /// NaN counts as 0.
  Neighbours find(float x) const;

 private:
  struct State;
  std::unique_ptr<const State> state_;
};

/// codes[i] for x[i], which has the index first_index + i in its tensor: the random number of an element depends on the
/// seed and that index alone, so the codes are the same for any cutting of the tensor and any number of threads.
void encode_rounded(const NumberFormat& format, const float* params, const Rounding& rounding, const float* x,
                    int64_t n, int64_t first_index, int32_t* codes);

/// encode_groups with a rounding.
void encode_groups_rounded(const NumberFormat& format, const Granularity& granularity, std::span<const int64_t> dims,
                           std::span<const float> params, const Rounding& rounding, const float* x, int32_t* codes);

}  // namespace lowbit
