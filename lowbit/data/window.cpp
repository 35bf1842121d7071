#include "lowbit/data/window.h"

#include <fmt/format.h>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

class Window : public DataSet {
 public:
  Window(std::shared_ptr<const DataSet> whole, int64_t begin, int64_t count)
      : whole_(std::move(whole)), begin_(begin), count_(count) {}

  int64_t size() const override { return count_; }
  Batch read(int64_t begin, int64_t count, ThreadPool* threads) const override {
    if (begin < 0 || count < 0 || begin > count_ || count > count_ - begin)
      throw Error(ErrorCode::bad_argument,
                  fmt::format("samples {} to {} do not exist (there are {})", begin, begin + count, count_));
    return whole_->read(begin_ + begin, count, threads);
  }
  bool has_labels() const override { return whole_->has_labels(); }
  bool labels_are_given() const override { return whole_->labels_are_given(); }
  const std::vector<std::string>& class_names() const override { return whole_->class_names(); }
  std::string sample_name(int64_t index) const override { return whole_->sample_name(begin_ + index); }
  std::string describe() const override { return fmt::format("{} of {}", count_, whole_->describe()); }

 private:
  std::shared_ptr<const DataSet> whole_;
  int64_t begin_, count_;
};

}  // namespace

std::unique_ptr<DataSet> window(std::shared_ptr<const DataSet> whole, int64_t begin, int64_t count) {
  if (begin < 0 || count < 1 || begin > whole->size() || count > whole->size() - begin)
    throw Error(ErrorCode::bad_argument,
                fmt::format("a part of {} samples from {} on was asked for, there are {} (give more data)", count,
                            begin, whole->size()));
  return std::make_unique<Window>(std::move(whole), begin, count);
}

}  // namespace lowbit
