// random.h: a counter-based generator. The n-th number of a stream depends on (seed, stream, n) alone, so results are the same on every
// thread count and machine. The mixing function is SplitMix64's finalizer (Steele, Lea, Flood, "Fast splittable PRNGs", OOPSLA 2014).
#pragma once

#include <cmath>
#include <cstdint>

namespace lowbit {

class Random {
 public:
  explicit Random(uint64_t seed, uint64_t stream = 0) : key_(mix(seed ^ mix(stream + 0x9e3779b97f4a7c15u))) {}

  /// The n-th 64 random bits of the stream.
  uint64_t bits_at(uint64_t n) const { return mix(key_ + n * 0x9e3779b97f4a7c15u); }
  uint64_t bits() { return bits_at(counter_++); }
  /// Uniform in [0, 1).
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }
  double uniform_at(uint64_t n) const { return static_cast<double>(bits_at(n) >> 11) * 0x1p-53; }
  /// Uniform in [0, n), n >= 1; the bias is below 2^-40 for n < 2^24.
  int64_t below(int64_t n) { return static_cast<int64_t>(uniform() * static_cast<double>(n)); }
  /// Standard normal (Box-Muller).
  double normal() {
    const double u = 1.0 - uniform(), v = uniform();
    return std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586 * v);
  }

 private:
  static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  uint64_t key_, counter_ = 0;
};

}  // namespace lowbit
