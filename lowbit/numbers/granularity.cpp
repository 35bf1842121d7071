#include "lowbit/numbers/granularity.h"

#include <fmt/format.h>

#include <algorithm>

#include "lowbit/base/checked.h"
#include "lowbit/base/error.h"
#include "lowbit/base/text.h"

namespace lowbit {
namespace {

/// A tensor seen along one axis: element (channel, column) with column = outer * inner_count + inner lies at
/// (outer * channels + channel) * inner_count + inner.
struct AxisView {
  int64_t channels = 1, inner = 1, columns = 1;
};

AxisView view_along(int64_t axis, std::span<const int64_t> dims) {
  if (axis < 0 || axis >= static_cast<int64_t>(dims.size()))
    throw Error(
        ErrorCode::bad_argument,
        fmt::format("axis {} does not exist in a tensor of {} dimensions (choose 0 to {}, or granularity tensor)", axis,
                    dims.size(), static_cast<int64_t>(dims.size()) - 1));
  AxisView view;
  const size_t at = static_cast<size_t>(axis);
  view.channels = dims[at];
  view.inner = checked_product(dims.subspan(at + 1));
  view.columns = checked_mul(checked_product(dims.first(at)), view.inner);
  return view;
}

/// Appends the elements of columns [begin, end) of one channel, joining runs that touch.
void append_columns(const AxisView& view, int64_t channel, int64_t begin, int64_t end, std::vector<Run>& runs) {
  while (begin < end) {
    const int64_t outer = begin / view.inner, inner = begin % view.inner;
    const int64_t count = std::min(end - begin, view.inner - inner);
    const int64_t offset = (outer * view.channels + channel) * view.inner + inner;
    if (!runs.empty() && runs.back().begin + runs.back().count == offset)
      runs.back().count += count;
    else
      runs.push_back({offset, count});
    begin += count;
  }
}

int64_t divide_up(int64_t a, int64_t b) { return a / b + (a % b != 0 ? 1 : 0); }

void check_size(const Granularity& granularity) {
  if (granularity.size < 1 || granularity.rows < 1)
    throw Error(ErrorCode::bad_argument, "the size of a quantization group must be at least 1");
}

/// The runs of one group in a buffer, so that a number system sees one contiguous piece.
template <class T>
class Gathered {
 public:
  Gathered(const T* source, std::span<const Run> runs) {
    if (runs.size() == 1) {
      data_ = source + runs[0].begin;
      count_ = runs[0].count;
      return;
    }
    for (const Run& run : runs) count_ += run.count;
    buffer_.resize(static_cast<size_t>(count_));
    T* to = buffer_.data();
    for (const Run& run : runs) to = std::copy_n(source + run.begin, run.count, to);
    data_ = buffer_.data();
  }
  const T* data() const { return data_; }
  int64_t count() const { return count_; }

 private:
  std::vector<T> buffer_;
  const T* data_ = nullptr;
  int64_t count_ = 0;
};

/// work(group, source, count, destination) on contiguous memory, for each group.
template <class From, class To, class Work>
void convert_groups(const Granularity& granularity, std::span<const int64_t> dims, const From* from, To* to,
                    const Work& work) {
  std::vector<To> buffer;
  for_each_group(granularity, dims, [&](int64_t group, std::span<const Run> runs) {
    if (runs.size() == 1) return work(group, from + runs[0].begin, runs[0].count, to + runs[0].begin);
    const Gathered<From> gathered(from, runs);
    buffer.resize(static_cast<size_t>(gathered.count()));
    work(group, gathered.data(), gathered.count(), buffer.data());
    const To* source = buffer.data();
    for (const Run& run : runs) {
      std::copy_n(source, run.count, to + run.begin);
      source += run.count;
    }
  });
}

}  // namespace

Granularity parse_granularity(std::string_view text) {
  const auto size = [](std::string_view digits) {
    const std::optional<int64_t> value = parse_int(digits);
    return value && *value >= 1 && *value <= (int64_t{1} << 40) ? value : std::nullopt;
  };
  if (text == "tensor") return {};
  if (text == "channel") return {.kind = Granularity::Kind::channel};
  if (text.starts_with("group:")) {
    if (const auto n = size(text.substr(6))) return {.kind = Granularity::Kind::group, .size = *n};
  } else if (text.starts_with("block:")) {
    const std::string_view shape = text.substr(6);
    const size_t cross = shape.find('x');
    if (cross != std::string_view::npos) {
      const auto rows = size(shape.substr(0, cross)), columns = size(shape.substr(cross + 1));
      if (rows && columns) return {.kind = Granularity::Kind::block, .rows = *rows, .size = *columns};
    }
  }
  throw Error(ErrorCode::bad_argument,
              fmt::format("'{}' is no granularity (use tensor, channel, group:N or block:RxC, e.g. group:32)",
                          printable(text, 80)));
}

std::string to_string(const Granularity& granularity) {
  switch (granularity.kind) {
    case Granularity::Kind::tensor:
      return "tensor";
    case Granularity::Kind::channel:
      return "channel";
    case Granularity::Kind::group:
      return fmt::format("group:{}", granularity.size);
    case Granularity::Kind::block:
      return fmt::format("block:{}x{}", granularity.rows, granularity.size);
  }
  LOWBIT_CHECK(false);
}

int64_t group_count(const Granularity& granularity, std::span<const int64_t> dims) {
  if (granularity.kind == Granularity::Kind::tensor) return 1;
  const AxisView view = view_along(granularity.axis, dims);
  if (granularity.kind == Granularity::Kind::channel) return view.channels;
  check_size(granularity);
  const int64_t rows = granularity.kind == Granularity::Kind::block ? granularity.rows : 1;
  return checked_mul(divide_up(view.channels, rows), divide_up(view.columns, granularity.size));
}

void for_each_group(const Granularity& granularity, std::span<const int64_t> dims,
                    const std::function<void(int64_t group, std::span<const Run> runs)>& visit) {
  std::vector<Run> runs;
  if (granularity.kind == Granularity::Kind::tensor) {
    const int64_t count = checked_product(dims);
    if (count > 0) runs.push_back({0, count});
    return visit(0, runs);
  }
  const AxisView view = view_along(granularity.axis, dims);
  const bool whole_rows = granularity.kind == Granularity::Kind::channel;
  if (!whole_rows) check_size(granularity);
  // A group larger than the tensor is the tensor: no sum below can then overflow.
  const int64_t rows = granularity.kind == Granularity::Kind::block ? std::min(granularity.rows, view.channels) : 1;
  const int64_t most = std::max<int64_t>(view.columns, 1);
  const int64_t width = whole_rows ? most : std::min(granularity.size, most);
  const int64_t pieces = whole_rows ? 1 : divide_up(view.columns, width);
  int64_t group = 0;
  for (int64_t row = 0; row < view.channels; row += rows)
    for (int64_t piece = 0; piece < pieces; ++piece) {
      runs.clear();
      const int64_t begin = piece * width, end = std::min(begin + width, view.columns);
      for (int64_t channel = row; channel < std::min(row + rows, view.channels); ++channel)
        append_columns(view, channel, begin, end, runs);
      visit(group++, runs);
    }
}

void check_group_params(const NumberFormat& format, const Granularity& granularity, std::span<const int64_t> dims,
                        std::span<const float> params) {
  const int64_t wanted = checked_mul(group_count(granularity, dims), format.system->param_count(format));
  if (static_cast<int64_t>(params.size()) != wanted)
    throw Error(ErrorCode::bad_argument,
                fmt::format("{} with granularity {} needs {} parameters for this tensor, found {}", to_string(format),
                            to_string(granularity), wanted, params.size()));
}

std::vector<float> fit_groups(const NumberFormat& format, const Granularity& granularity, std::span<const int64_t> dims,
                              const float* x, std::span<const float> importance, const FitOptions& options) {
  const int64_t each = format.system->param_count(format);
  std::vector<float> params(static_cast<size_t>(checked_mul(group_count(granularity, dims), each)));
  if (!importance.empty() && static_cast<int64_t>(importance.size()) != checked_product(dims))
    throw Error(ErrorCode::bad_argument,
                fmt::format("{} importance weights for {} elements", importance.size(), checked_product(dims)));
  for_each_group(granularity, dims, [&](int64_t group, std::span<const Run> runs) {
    const Gathered<float> values(x, runs);
    const std::span<const float> group_x(values.data(), static_cast<size_t>(values.count()));
    float* found = params.data() + group * each;
    if (importance.empty()) return format.system->fit(format, group_x, {}, options, found);
    const Gathered<float> weights(importance.data(), runs);
    format.system->fit(format, group_x, {weights.data(), group_x.size()}, options, found);
  });
  return params;
}

void encode_groups(const NumberFormat& format, const Granularity& granularity, std::span<const int64_t> dims,
                   std::span<const float> params, const float* x, int32_t* codes) {
  check_group_params(format, granularity, dims, params);
  const int64_t each = format.system->param_count(format);
  convert_groups(granularity, dims, x, codes, [&](int64_t group, const float* from, int64_t count, int32_t* to) {
    encode(format, params.data() + group * each, from, count, to);
  });
}

void decode_groups(const NumberFormat& format, const Granularity& granularity, std::span<const int64_t> dims,
                   std::span<const float> params, const int32_t* codes, float* y) {
  check_group_params(format, granularity, dims, params);
  const int64_t each = format.system->param_count(format);
  convert_groups(granularity, dims, codes, y, [&](int64_t group, const int32_t* from, int64_t count, float* to) {
    decode(format, params.data() + group * each, from, count, to);
  });
}

}  // namespace lowbit
