// statistics.h: what is known of the values of one tensor after any number of batches: exact, order-independent, mergeable.
// Everything is kept in integers or exactly associative forms, so the statistics of any split of the data in any order, merged, equal those of
// one pass bit for bit. Memory does not grow with the data.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "lowbit/base/file.h"
#include "lowbit/core/tensor.h"

namespace lowbit {

/// Exact sum of floats: integer accumulators per exponent window. Associative and commutative.
class ExactSum {
 public:
  void add(std::span<const float> x);  ///< finite values only
  void merge(const ExactSum& other);
  double value() const;  ///< correctly rounded from the exact sum
  bool operator==(const ExactSum&) const = default;
  /// 16 windows of 16 binary exponents each; window w counts in units of 2^(16 w - 149).
  std::array<__int128, 16> windows{};
};

/// Counts of values by sign, exponent and the first 6 mantissa bits: 2^-6 relative resolution everywhere, fixed edges, so that merging is adding.
/// Re-binned at will to a uniform histogram of a range.
class Histogram {
 public:
  static constexpr int kMantissaBits = 6;
  void add(std::span<const float> x);
  void merge(const Histogram& other);
  int64_t total() const;
  /// Every non-empty bin in ascending order of value: [low, high) and its count (for negative values the edges are mirrored). Zeros are a bin of their own.
  struct Bin {
    double low, high;
    int64_t count;
    double centre() const { return 0.5 * (low + high); }
  };
  std::vector<Bin> bins() const;
  /// Uniform re-binning of [low, high] into n bins; a bin of ours that overlaps several gives each its share.
  std::vector<double> uniform(double low, double high, int n) const;
  /// The value below which the share p of the values lies (interpolated in its bin).
  double quantile(double p) const;
  bool operator==(const Histogram&) const = default;
  std::map<int32_t, int64_t> counts;  ///< key: the top 1 + 8 + kMantissaBits bits of the float, ordered by value
};

/// Statistics of one tensor.
struct TensorStatistics {
  int64_t count = 0;    ///< values seen, the non-finite ones included
  int64_t samples = 0;  ///< samples (batch entries) seen
  int64_t nonfinite = 0, zeros = 0;
  float min = 0, max = 0;  ///< of the finite values; min > max if there were none
  ExactSum sum, sum_of_squares;  ///< of float32(x) and float32(x * x)
  Histogram histogram;
  /// For the moving average rule: per-sample minima and maxima enter as sums, which makes the "moving" average the plain mean over samples: the only
  /// form of it that does not depend on the order of the data.
  ExactSum sum_of_sample_minima, sum_of_sample_maxima;
  /// Per channel (index of `channel_axis`): min, max, sum, count; empty if not asked for.
  struct Channel {
    float min = 0, max = 0;
    int64_t count = 0;
    ExactSum sum;
    bool operator==(const Channel&) const = default;
  };
  int64_t channel_axis = -1;
  std::vector<Channel> channels;

  /// Adds a batch; the first dimension are the samples (`batched` false: the whole tensor is one sample).
  void add(const Tensor& x, bool batched);
  void merge(const TensorStatistics& other);
  double mean() const;
  double variance() const;
  bool operator==(const TensorStatistics&) const = default;
};

/// Statistics by value name, with what they were measured on.
struct StatisticsSet {
  std::string model_fingerprint, data_description;
  std::map<std::string, TensorStatistics> tensors;
  /// Throws Error{bad_argument} if the fingerprints differ.
  void merge(const StatisticsSet& other);
};

/// Binary file (versioned, checksummed; docs/statistics-file.md): saved on one machine, merged on another.
void save_statistics(const StatisticsSet& set, const std::string& path);
StatisticsSet read_statistics(Bytes bytes, const std::string& path);
StatisticsSet load_statistics(const std::string& path);

}  // namespace lowbit
