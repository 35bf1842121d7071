// sample_order.h: which samples of a source are used, and in which order.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lowbit/data/dataset.h"

namespace lowbit {

/// Sample i of the data set is row order[i] of the source: first the slice, then the permutation, then the limit.
class SampleOrder {
 public:
  /// Throws Error{bad_file} if `rows` is 0, Error{bad_argument} if slice and limit leave nothing; `path` names the
  /// data.
  SampleOrder(int64_t rows, const DataOptions& options, const std::string& path);

  int64_t size() const { return size_; }
  int64_t operator[](int64_t i) const {
    const int64_t position = shuffled_.empty() ? i : shuffled_[static_cast<size_t>(i)];
    return start_ + position * step_;
  }
  /// True if samples [begin, begin + count) are neighbouring rows in ascending order.
  bool contiguous() const { return shuffled_.empty() && step_ == 1; }
  /// Throws Error{bad_argument} unless [begin, begin + count) are samples.
  void check(int64_t begin, int64_t count) const;

 private:
  int64_t start_ = 0, step_ = 1, size_ = 0;
  std::vector<int64_t> shuffled_;  ///< empty: the natural order
};

}  // namespace lowbit
