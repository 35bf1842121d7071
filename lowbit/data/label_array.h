// label_array.h: labels that come as an array of their own.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "lowbit/core/tensor.h"
#include "lowbit/data/sample_order.h"

namespace lowbit {

/// Class numbers (integers) or regression targets (floats), one per row of the data; both empty if there are none.
struct LabelArray {
  std::vector<int64_t> labels;
  std::optional<Tensor> targets;  ///< float32, first dimension = rows

  bool empty() const { return labels.empty() && !targets; }
};

/// Integers of shape [rows] or [rows, 1], none negative, or floats of shape [rows, ...], all finite.
/// Throws Error{bad_file} naming `path` and, where it applies, the row.
LabelArray to_labels(const Tensor& array, int64_t rows, const std::string& path);

/// Throws Error{bad_file} naming the first NaN or infinity of a float tensor; `row_of`: the number of its i-th row.
void check_finite(const Tensor& tensor, const std::string& name, const std::function<int64_t(int64_t)>& row_of,
                  const std::string& path);

/// Samples [begin, begin + count) of an array: a view if they are neighbouring rows, else a copy.
Tensor take_rows(const Tensor& array, const SampleOrder& order, int64_t begin, int64_t count);

/// Sets the labels or targets of samples [begin, begin + count).
void take_labels(const LabelArray& from, const SampleOrder& order, int64_t begin, int64_t count, Batch& batch);

}  // namespace lowbit
