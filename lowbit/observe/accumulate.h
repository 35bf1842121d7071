// accumulate.h: how values enter statistics: blocks through the vector code, keys into counters, and a tensor cut into
// parts that any number of threads may take. Private to the room.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "lowbit/base/threads.h"
#include "lowbit/observe/block_summary.h"
#include "lowbit/observe/float_mode.h"
#include "lowbit/observe/statistics.h"

namespace lowbit {

/// Counts keys in four interleaved 32-bit tables (equal values in a row would otherwise wait for each other's store)
/// and empties them into a histogram.
class KeyCounter {
 public:
  /// expected: about how many keys will come; few are only kept until finish(), which saves the tables.
  explicit KeyCounter(size_t expected);
  void count(std::span<const uint32_t> keys, uint32_t min_magnitude, uint32_t max_magnitude);
  void finish(Histogram& histogram);

 private:
  struct Free {
    void operator()(uint32_t* p) const;
  };
  void flush(Histogram& histogram);
  Histogram overflow_;         ///< emptied from the tables before their 32 bits run out
  std::vector<uint32_t> few_;  ///< the keys, if there are no tables
  std::unique_ptr<uint32_t[], Free> tables_;
  int64_t pending_ = 0;                                 ///< keys in the tables
  uint32_t first_page_ = ~uint32_t{0}, last_page_ = 0;  ///< binades that the tables may hold
};

/// Adds what is known of the values themselves (all but count, samples and channels).
void merge_values(TensorStatistics& to, const TensorStatistics& from);

struct MinMax {
  float min = std::numeric_limits<float>::infinity(), max = -std::numeric_limits<float>::infinity();
  bool empty() const { return min > max; }
  void add(const MinMax& other) {
    min = std::min(min, other.min);
    max = std::max(max, other.max);
  }
};

/// Collects values; the samples they belong to are the caller's business.
class ValueAccumulator {
 public:
  explicit ValueAccumulator(size_t expected);
  /// Adds values and returns the extremes of the finite ones.
  MinMax add(std::span<const float> x);
  /// Adds count, nonfinite, zeros, min, max, sums and histogram to `statistics`. The accumulator is spent.
  void finish(TensorStatistics& statistics);

 private:
  TensorStatistics values_;
  KeyCounter counter_;
};

/// What the dimensions of a tensor mean.
struct TensorOrder {
  bool batched = false;        ///< the first one counts samples
  bool channels_last = false;  ///< [N, H, W, C]; the statistics are those of [N, C, H, W]
};

/// TensorStatistics::add on the threads of a pool; null: on this one. The result does not depend on the pool.
void add_tensor(TensorStatistics& statistics, const Tensor& x, TensorOrder order, ThreadPool* threads);

}  // namespace lowbit
