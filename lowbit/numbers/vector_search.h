// vector_search.h: the nearest of K vectors, the loop behind vector codebooks; written once with Highway. Distances are
// sums of squares in double, component by component, without fused multiply-add, so every target gives the same codes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace lowbit {

/// K vectors of D components, laid out for the search.
class VectorTable {
 public:
  /// entries: [count, size], row-major; count >= 1. Components that are not finite count as 0.
  VectorTable(std::span<const float> entries, int64_t count, int size);

  int size() const { return size_; }
  int64_t count() const { return count_; }

  /// codes[i] = the smallest index whose entry has the least sum over components of w (x - entry)^2.
  ///   x        n values, vectors one after the other; the last may be shorter, and only its components then count.
  ///            NaN counts as 0, infinities as the largest floats.
  ///   weights  null (all 1) or n weights >= 0
  ///   errors   null, or the least sums, one for each code
  void nearest(const float* x, const float* weights, int64_t n, int32_t* codes, double* errors = nullptr) const;

 private:
  int64_t count_, padded_;
  int size_;
  std::vector<double> columns_;  ///< [size, padded_]: component j of every entry, then +infinity
};

}  // namespace lowbit
