// histogram.h: counts of values in bins with fixed edges of 2^-6 relative width, so that merging is adding.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

namespace lowbit {

/// Counts of values by sign, exponent and the first 6 mantissa bits, zeros apart. 32 640 bins cover all finite floats;
/// only those of binades that occur take memory: 0.5 KiB per sign and binade, at most 280 KiB, usually 20.
class Histogram {
 public:
  static constexpr int kMantissaBits = 6;
  static constexpr int kPageBins = 1 << kMantissaBits;
  /// Counts of one sign and binade. A page is kept only if one of its counts is not 0.
  using Page = std::array<int64_t, kPageBins>;
  /// Key k of a value x: the top 15 bits of x for x > 0 (0 ... 16319), -1 - (the top 15 bits of |x|) for x < 0. It
  /// rises with x. Page k >> 6 holds it at k & 63.
  static constexpr int32_t kMinKey = -16320, kMaxKey = 16319;

  /// Counts the finite values.
  void add(std::span<const float> x);
  void add_zeros(int64_t n) { zeros_ += n; }
  /// Adds n > 0 values with this key in [kMinKey, kMaxKey].
  void add_key(int32_t key, int64_t n);
  /// Adds values that are not zero, given by their top 15 bits (sign, exponent, 6 mantissa bits).
  void add_top_bits(std::span<const uint32_t> top_bits);
  static int32_t key_of(uint32_t top_bits) {
    const auto top = static_cast<int32_t>(top_bits);
    return top < kSignBit ? top : kSignBit - 1 - top;
  }
  /// The caller makes sure that the totals together fit int64.
  void merge(const Histogram& other);

  int64_t total() const;
  int64_t zeros() const { return zeros_; }
  const std::map<int16_t, Page>& pages() const { return pages_; }

  /// Every non-empty bin in ascending order of value: [low, high) and its count (for negative values the edges are
  /// mirrored). Zeros are a bin of their own with low = high = 0.
  struct Bin {
    double low, high;
    int64_t count;
    double centre() const { return 0.5 * (low + high); }
  };
  std::vector<Bin> bins() const;
  /// Uniform re-binning of [low, high], low < high, into n bins; a bin of ours that overlaps several gives each its
  /// share. What lies outside is left out.
  std::vector<double> uniform(double low, double high, int n) const;
  /// The value below which the share p of the values lies (interpolated in its bin); 0 if there are no values.
  double quantile(double p) const;
  /// The edges of the bin of a key.
  static double low_edge(int32_t key);
  static double high_edge(int32_t key);

  bool operator==(const Histogram&) const = default;

 private:
  static constexpr int32_t kSignBit = 1 << 14;
  int64_t zeros_ = 0;
  std::map<int16_t, Page> pages_;
};

}  // namespace lowbit
