#include "lowbit/data/sample_order.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "lowbit/base/random.h"
#include "lowbit/base/text.h"

namespace lowbit {
namespace {

/// Python's slice.indices().
struct Rows {
  int64_t start, step, count;
};
Rows resolve(const Slice& slice, int64_t rows) {
  // A longer step than the data selects the same as one just past the end, and cannot overflow.
  const int64_t step = std::clamp(slice.step, -rows - 1, rows + 1);
  const int64_t lowest = step > 0 ? 0 : -1, highest = step > 0 ? rows : rows - 1;
  const auto bound = [&](std::optional<int64_t> given, int64_t otherwise) {
    if (!given) return otherwise;
    return std::clamp(*given < 0 ? *given + rows : *given, lowest, highest);
  };
  const int64_t start = bound(slice.start, step > 0 ? lowest : highest);
  const int64_t stop = bound(slice.stop, step > 0 ? highest : lowest);
  const int64_t distance = step > 0 ? stop - start : start - stop, stride = step > 0 ? step : -step;
  return {start, step, distance > 0 ? (distance - 1) / stride + 1 : 0};
}

}  // namespace

Slice parse_slice(const std::string& text) {
  const auto refuse = [&](const char* what) -> Slice {
    throw Error(ErrorCode::bad_argument, fmt::format("the slice '{}' {} (expected START:STOP or START:STOP:STEP as in "
                                                     "numpy, e.g. 0::2 for every second sample)",
                                                     printable(text, 60), what));
  };
  const std::vector<std::string> parts = split(text, ':');
  if (parts.size() < 2 || parts.size() > 3) return refuse("has not two or three parts");
  std::optional<int64_t> numbers[3];
  for (size_t i = 0; i < parts.size(); ++i) {
    if (trim(parts[i]).empty()) continue;
    numbers[i] = parse_int(trim(parts[i]));
    if (!numbers[i]) return refuse("has a part that is no integer");
  }
  if (numbers[2] == 0) return refuse("has step 0");
  return {numbers[0], numbers[1], numbers[2].value_or(1)};
}

SampleOrder::SampleOrder(int64_t rows, const DataOptions& options, const std::string& path) {
  if (rows < 1) throw Error(ErrorCode::bad_file, "has no samples (its first dimension is 0)", path);
  const Rows chosen = resolve(options.slice.value_or(Slice{}), rows);
  start_ = chosen.start;
  step_ = chosen.step;
  size_ = chosen.count;
  if (options.limit) {
    if (*options.limit < 1)
      throw Error(ErrorCode::bad_argument, fmt::format("the limit is {} (it must be at least 1)", *options.limit));
    size_ = std::min(size_, *options.limit);
  }
  if (size_ == 0)
    throw Error(ErrorCode::bad_argument, fmt::format("the slice leaves none of the {} samples", with_commas(rows)),
                path);
  if (!options.shuffle_seed) return;
  // Fisher and Yates; each place is drawn by its own number, so a shorter limit gives the beginning of a longer one.
  shuffled_.resize(static_cast<size_t>(chosen.count));
  std::iota(shuffled_.begin(), shuffled_.end(), int64_t{0});
  Random random(*options.shuffle_seed);
  for (int64_t i = 0; i < size_; ++i)
    std::swap(shuffled_[static_cast<size_t>(i)], shuffled_[static_cast<size_t>(i + random.below(chosen.count - i))]);
  shuffled_.resize(static_cast<size_t>(size_));
}

void SampleOrder::check(int64_t begin, int64_t count) const {
  if (begin < 0 || count < 1 || begin > size_ - count)
    throw Error(ErrorCode::bad_argument,
                fmt::format("samples {} to {} were asked for, but there are {}", begin, begin + count, size_));
}

}  // namespace lowbit
