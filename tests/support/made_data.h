// made_data.h: a data set for tests whose samples are made by a function.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "lowbit/data/dataset.h"

namespace lowbit::testing {

class MadeData : public DataSet {
 public:
  /// `make(sample)` gives the values of one sample of dims `dims` (without the batch).
  MadeData(int64_t size, Dims dims, std::function<std::vector<float>(int64_t sample)> make,
           std::vector<int64_t> labels = {})
      : size_(size), dims_(std::move(dims)), make_(std::move(make)), labels_(std::move(labels)) {}
  int64_t size() const override { return size_; }
  Batch read(int64_t begin, int64_t count, ThreadPool*) const override {
    Dims dims = dims_;
    dims.insert(dims.begin(), count);
    std::vector<float> values;
    for (int64_t i = 0; i < count; ++i) {
      const std::vector<float> sample = make_(begin + i);
      values.insert(values.end(), sample.begin(), sample.end());
    }
    Batch batch;
    batch.inputs.emplace_back("", Tensor::from<float>(dims, values));
    if (has_labels()) batch.labels.assign(labels_.begin() + begin, labels_.begin() + begin + count);
    return batch;
  }
  bool has_labels() const override { return !labels_.empty(); }
  const std::vector<std::string>& class_names() const override { return names_; }
  std::string sample_name(int64_t index) const override { return "sample " + std::to_string(index); }
  std::string describe() const override { return "made data"; }

 private:
  int64_t size_;
  Dims dims_;
  std::function<std::vector<float>(int64_t)> make_;
  std::vector<int64_t> labels_;
  std::vector<std::string> names_;
};

}  // namespace lowbit::testing
