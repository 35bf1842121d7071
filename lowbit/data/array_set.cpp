#include <cstring>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/core/offload.h"
#include "lowbit/data/class_labels.h"
#include "lowbit/data/sample_order.h"
#include "lowbit/data/sources.h"

namespace lowbit {
namespace {

using Arrays = std::map<std::string, Tensor>;

/// The first dimension that all arrays share. Arrays without dimensions have no rows.
int64_t common_rows(const Arrays& arrays, const std::string& path) {
  const std::pair<const std::string, Tensor>* first = nullptr;
  for (const auto& array : arrays) {
    if (array.second.dtype() == DType::string)
      throw Error(ErrorCode::unsupported, fmt::format("the array '{}' holds text", printable(array.first, 80)), path);
    if (array.second.rank() == 0) continue;
    if (!first) first = &array;
    if (array.second.dim(0) != first->second.dim(0))
      throw Error(
          ErrorCode::bad_file,
          fmt::format("the arrays '{}' of shape {} and '{}' of shape {} differ in their number of rows (one row "
                      "per sample is expected)",
                      printable(first->first, 80), dims_text(first->second.dims()), printable(array.first, 80),
                      dims_text(array.second.dims())),
          path);
  }
  if (!first)
    throw Error(ErrorCode::bad_file, "has no array with rows (expected: the first dimension counts the samples)", path);
  return first->second.dim(0);
}

/// Takes the labels out of the arrays: those of --labels, else the array `labels` of an .npz.
LabelArray find_labels(Arrays& arrays, const std::string& path, const DataOptions& options) {
  const auto inside = arrays.extract("labels");
  const int64_t rows = common_rows(arrays, path);
  LabelArray labels = load_labels(options, rows);
  if (labels.empty() && !inside.empty()) labels = to_labels(inside.mapped(), rows, path);
  return labels;
}

class ArraySet : public DataSet {
 public:
  ArraySet(Arrays arrays, const std::string& path, const DataOptions& options)
      : path_(path),
        check_finite_(!options.allow_nonfinite),
        corruption_(options.corruption),
        labels_(find_labels(arrays, path, options)),
        arrays_(std::move(arrays)),
        order_(common_rows(arrays_, path), options, path) {
    if (const std::optional<ClassList> list = find_class_list(path, options.classes))
      names_ = lowbit::class_names(*list);
  }

  int64_t size() const override { return order_.size(); }
  bool has_labels() const override { return !labels_.empty(); }
  const std::vector<std::string>& class_names() const override { return names_; }
  std::string sample_name(int64_t index) const override {
    order_.check(index, 1);
    return fmt::format("row {}", order_[index]);
  }
  std::string describe() const override {
    std::string shapes;
    for (const auto& [name, array] : arrays_)
      shapes += fmt::format("{}{}{}{}", shapes.empty() ? "" : ", ", printable(name, 40), name.empty() ? "" : " ",
                            dims_text(array.dims()));
    return fmt::format("{} rows of {} ({}), {}", with_commas(size()), path_, shapes,
                       has_labels() ? "with labels" : "without labels");
  }

  Batch read(int64_t begin, int64_t count, ThreadPool*) const override {
    order_.check(begin, count);
    Batch batch;
    for (const auto& [name, array] : arrays_)
      batch.inputs.emplace_back(name, array.rank() == 0 ? array : rows(name, array, begin, count));
    take_labels(labels_, order_, begin, count, batch);
    return batch;
  }

 private:
  Tensor rows(const std::string& name, const Tensor& array, int64_t begin, int64_t count) const {
    Tensor part = take_rows(array, order_, begin, count);
    rest_pages(array);  // else a pass over a large file would leave all of it in memory
    if (check_finite_) {
      const auto row_of = [this, begin](int64_t i) { return order_[begin + i]; };
      check_finite(part, name, row_of, path_);
    }
    if (corruption_ && is_float(part.dtype())) {
      part = to_float32(part);
      for (int64_t i = 0; i < count; ++i) corrupt(*corruption_, static_cast<uint64_t>(order_[begin + i]), part, i);
    }
    return part;
  }

  std::string path_;
  bool check_finite_;
  std::optional<CorruptionChoice> corruption_;
  LabelArray labels_;
  Arrays arrays_;
  SampleOrder order_;
  std::vector<std::string> names_;
};

}  // namespace

std::unique_ptr<DataSet> open_arrays(std::map<std::string, Tensor> arrays, const std::string& path,
                                     const DataOptions& options) {
  return std::make_unique<ArraySet>(std::move(arrays), path, options);
}

}  // namespace lowbit
