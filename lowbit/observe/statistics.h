// statistics.h: what is known of the values of one tensor after any number of batches: exact, order-independent,
// mergeable. Everything is kept in integers or exactly associative forms, so the statistics of any split of the data in
// any order, merged, equal those of one pass bit for bit. Memory does not grow with the data.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "lowbit/base/file.h"
#include "lowbit/core/tensor.h"
#include "lowbit/observe/exact_sum.h"
#include "lowbit/observe/histogram.h"

namespace lowbit {

/// Statistics of one tensor. -0 counts as 0. NaN and infinity are counted in `nonfinite` and enter nothing else.
struct TensorStatistics {
  static constexpr float kInfinity = std::numeric_limits<float>::infinity();

  int64_t count = 0;    ///< values seen, the non-finite ones included
  int64_t samples = 0;  ///< samples (batch entries) seen
  int64_t nonfinite = 0, zeros = 0;
  float min = kInfinity, max = -kInfinity;  ///< of the finite values; min > max if there were none
  /// Of float32(x), and of float32(x * x) with overflow replaced by the largest float.
  ExactSum sum, sum_of_squares;
  Histogram histogram;
  /// For the moving average rule: per-sample minima and maxima enter as sums, which makes the "moving" average the
  /// plain mean over samples: the only form of it that does not depend on the order of the data.
  ExactSum sum_of_sample_minima, sum_of_sample_maxima;
  int64_t finite_samples = 0;  ///< samples with a finite value: how many minima and maxima the two sums have
  /// Per channel (index of `channel_axis`), of the finite values: min, max, count, sum and sum of squares (as those of
  /// the tensor); min > max if there were none.
  struct Channel {
    float min = kInfinity, max = -kInfinity;
    int64_t count = 0;
    ExactSum sum, sum_of_squares;
    bool operator==(const Channel&) const = default;
  };
  int64_t channel_axis = -1;  ///< set to the axis before the first add to get `channels`; -1: none
  std::vector<Channel> channels;

  /// Adds a batch; the first dimension are the samples (`batched` false, or rank 0: the whole tensor is one sample).
  /// Types other than float32 are converted first. Throws Error{bad_argument} if `channel_axis` is set and the tensor
  /// has no such axis or another number of channels than before. About 1 ns per value.
  void add(const Tensor& x, bool batched);
  /// Throws Error{bad_argument} if the channels differ, Error{bad_file} if a count leaves int64.
  void merge(const TensorStatistics& other);
  int64_t finite() const { return count - nonfinite; }
  /// Of the finite values; 0 if there are none.
  double mean() const;
  /// mean(x^2) - mean(x)^2, not below 0. Its absolute error is up to 2^-24 mean(x^2), from the rounded squares.
  double variance() const;
  bool operator==(const TensorStatistics&) const = default;
};

/// Statistics by value name, with what they were measured on.
struct StatisticsSet {
  std::string model_fingerprint, data_description;
  std::map<std::string, TensorStatistics> tensors;
  /// Adds the other's values; the descriptions of different data are joined by "; ". Throws Error{bad_argument} if the
  /// fingerprints differ.
  void merge(const StatisticsSet& other);
};

/// Binary file (versioned, checksummed; docs/statistics-file.md): saved on one machine, merged on another.
void save_statistics(const StatisticsSet& set, const std::string& path);
/// The bytes of the file.
std::string write_statistics(const StatisticsSet& set);
/// Throws Error{bad_file} naming `path` unless the bytes are a whole, undamaged and consistent statistics file.
StatisticsSet read_statistics(Bytes bytes, const std::string& path);
StatisticsSet load_statistics(const std::string& path);

}  // namespace lowbit
