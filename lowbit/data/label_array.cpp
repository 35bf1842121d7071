#include "lowbit/data/label_array.h"

#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "lowbit/base/text.h"

namespace lowbit {
namespace {

/// Index of the first value that is not finite, or -1.
template <typename T>
int64_t first_nonfinite(std::span<const T> values) {
  for (size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i])) return static_cast<int64_t>(i);
  return -1;
}

}  // namespace

void check_finite(const Tensor& tensor, const std::string& name, const std::function<int64_t(int64_t)>& row_of,
                  const std::string& path) {
  if (!is_float(tensor.dtype()) || tensor.count() == 0) return;
  const int64_t found = tensor.dtype() == DType::float64 ? first_nonfinite(tensor.values<double>())
                                                         : first_nonfinite(to_float32(tensor).values<float>());
  if (found < 0) return;
  const int64_t per_row = tensor.count() / tensor.dim(0);
  throw Error(
      ErrorCode::bad_file,
      fmt::format("row {}{} has NaN or infinity at element {} (remove the row, or repair the data)",
                  row_of(found / per_row), name.empty() ? "" : " of '" + printable(name, 80) + "'", found % per_row),
      path);
}

LabelArray to_labels(const Tensor& array, int64_t rows, const std::string& path) {
  if (array.rank() < 1 || array.dim(0) != rows)
    throw Error(ErrorCode::bad_file,
                fmt::format("labels of shape {} do not fit {} samples (one label per sample is expected)",
                            dims_text(array.dims()), with_commas(rows)),
                path);
  LabelArray result;
  if (is_float(array.dtype())) {
    check_finite(
        array, "labels", [](int64_t i) { return i; }, path);
    result.targets = to_float32(array);
    return result;
  }
  if (array.count() != rows)
    throw Error(ErrorCode::bad_file,
                fmt::format("labels of shape {} have more than one class number per sample (expected shape {})",
                            dims_text(array.dims()), rows),
                path);
  result.labels = to_int64(array);
  for (size_t i = 0; i < result.labels.size(); ++i)
    if (result.labels[i] < 0)
      throw Error(ErrorCode::bad_file,
                  fmt::format("the label of row {} is {} (class numbers begin at 0)", i, result.labels[i]), path);
  return result;
}

Tensor take_rows(const Tensor& array, const SampleOrder& order, int64_t begin, int64_t count) {
  Dims dims = array.dims();
  const size_t row = array.byte_size() / static_cast<size_t>(dims[0]);
  dims[0] = count;
  if (order.contiguous())
    return Tensor::view(array.dtype(), dims,
                        array.raw().subspan(static_cast<size_t>(order[begin]) * row, static_cast<size_t>(count) * row),
                        std::make_shared<Tensor>(array));
  Tensor part = Tensor::uninitialized(array.dtype(), dims);
  std::byte* to = part.mutable_raw();
  for (int64_t i = 0; i < count && row > 0; ++i)
    std::memcpy(to + static_cast<size_t>(i) * row, array.raw().data() + static_cast<size_t>(order[begin + i]) * row,
                row);
  return part;
}

void take_labels(const LabelArray& from, const SampleOrder& order, int64_t begin, int64_t count, Batch& batch) {
  if (from.targets) batch.targets = take_rows(*from.targets, order, begin, count);
  for (int64_t i = 0; i < count && !from.labels.empty(); ++i)
    batch.labels.push_back(from.labels[static_cast<size_t>(order[begin + i])]);
}

}  // namespace lowbit
