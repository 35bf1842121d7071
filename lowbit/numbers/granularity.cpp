#include "lowbit/numbers/granularity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "lowbit/base/checked.h"
#include "lowbit/base/error.h"
#include "lowbit/base/text.h"
#include "lowbit/base/threads.h"

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

/// How a tensor falls into groups; gives the runs of any group by its number.
class Cutting {
 public:
  Cutting(const Granularity& granularity, std::span<const int64_t> dims) {
    if (granularity.kind == Granularity::Kind::tensor) {
      whole_ = checked_product(dims);
      groups_ = 1;
      return;
    }
    view_ = view_along(granularity.axis, dims);
    const bool whole_rows = granularity.kind == Granularity::Kind::channel;
    if (!whole_rows) check_size(granularity);
    // A group larger than the tensor is the tensor: no sum below can then overflow.
    const int64_t most = std::max<int64_t>(view_.columns, 1);
    rows_ = granularity.kind == Granularity::Kind::block ? std::clamp<int64_t>(view_.channels, 1, granularity.rows) : 1;
    width_ = whole_rows ? most : std::min(granularity.size, most);
    pieces_ = whole_rows ? 1 : divide_up(view_.columns, width_);
    groups_ = checked_mul(divide_up(view_.channels, rows_), pieces_);
  }

  int64_t groups() const { return groups_; }
  const AxisView& view() const { return view_; }
  int64_t pieces() const { return pieces_; }

  /// Rows [begin, end) of a group, and its columns.
  struct Part {
    int64_t row_begin, row_end, piece, column_begin, column_end;
  };
  Part part(int64_t group) const {
    const int64_t row = group / pieces_ * rows_, piece = group % pieces_;
    return {row, std::min(row + rows_, view_.channels), piece, piece * width_,
            std::min((piece + 1) * width_, view_.columns)};
  }

  void runs(int64_t group, std::vector<Run>& runs) const {
    runs.clear();
    if (whole_ >= 0) {
      if (whole_ > 0) runs.push_back({0, whole_});
      return;
    }
    const Part at = part(group);
    for (int64_t channel = at.row_begin; channel < at.row_end; ++channel)
      append_columns(view_, channel, at.column_begin, at.column_end, runs);
  }

  void row_runs(int64_t channel, const Part& at, std::vector<Run>& runs) const {
    runs.clear();
    append_columns(view_, channel, at.column_begin, at.column_end, runs);
  }

  /// Codes of a row before a piece, and in the whole row, with vectors of this size.
  int64_t codes_before(int64_t piece, int64_t vector_size) const { return piece * divide_up(width_, vector_size); }
  int64_t codes_of_row(int64_t vector_size) const {
    if (pieces_ == 0) return 0;
    const Part last = part(pieces_ - 1);
    return codes_before(pieces_ - 1, vector_size) + divide_up(last.column_end - last.column_begin, vector_size);
  }

 private:
  AxisView view_;
  int64_t whole_ = -1;  ///< elements of the only group, in the order of memory
  int64_t rows_ = 1, width_ = 1, pieces_ = 1, groups_ = 0;
};

/// The cutting of a vector system: one group is then a block of all rows, since vectors lie in rows.
Cutting cut_rows(const Granularity& granularity, std::span<const int64_t> dims) {
  static constexpr int64_t kOne[] = {1};
  Granularity rows = granularity;
  if (granularity.kind == Granularity::Kind::tensor) {
    rows.kind = Granularity::Kind::block;
    rows.rows = rows.size = std::max<int64_t>(checked_product(dims), 1);
    if (dims.empty()) rows.axis = 0;
  }
  return Cutting(rows, dims.empty() ? std::span<const int64_t>(kOne) : dims);
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

/// The finite values of a group with their weights, since a fit must not meet others. Vector systems, in which every
/// value has its place, get all and leave out what is not finite themselves.
class FiniteData {
 public:
  FiniteData(const NumberFormat& format, std::span<const float> x, std::span<const float> importance)
      : x_(x), importance_(importance) {
    const auto finite = [](float value) { return std::isfinite(value); };
    if (format.vector_size > 1 || std::all_of(x.begin(), x.end(), finite)) return;
    for (size_t i = 0; i < x.size(); ++i) {
      if (!finite(x[i])) continue;
      kept_x_.push_back(x[i]);
      if (!importance.empty()) kept_importance_.push_back(importance[i]);
    }
    x_ = kept_x_;
    importance_ = kept_importance_;
  }
  std::span<const float> x() const { return x_; }
  std::span<const float> importance() const { return importance_; }

 private:
  std::vector<float> kept_x_, kept_importance_;
  std::span<const float> x_, importance_;
};

void check_importance(std::span<const float> importance, int64_t elements) {
  if (importance.empty()) return;
  if (static_cast<int64_t>(importance.size()) != elements)
    throw Error(ErrorCode::bad_argument,
                fmt::format("{} importance weights for {} elements", importance.size(), elements));
  const auto usable = [](float w) { return w >= 0 && std::isfinite(w); };
  if (!std::all_of(importance.begin(), importance.end(), usable))
    throw Error(ErrorCode::bad_argument, "an importance weight is negative or not finite");
}

template <class T>
void scatter(const T* source, std::span<const Run> runs, T* to) {
  for (const Run& run : runs) {
    std::copy_n(source, run.count, to + run.begin);
    source += run.count;
  }
}

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
    scatter(buffer.data(), runs, to);
  });
}

/// visit(group, first code, runs) for each row's part of each group.
template <class Visit>
void for_each_row_part(const Cutting& cutting, int64_t vector_size, const Visit& visit) {
  std::vector<Run> runs;
  const int64_t row_codes = cutting.codes_of_row(vector_size);
  for (int64_t group = 0; group < cutting.groups(); ++group) {
    const Cutting::Part at = cutting.part(group);
    for (int64_t row = at.row_begin; row < at.row_end; ++row) {
      cutting.row_runs(row, at, runs);
      visit(group, row * row_codes + cutting.codes_before(at.piece, vector_size), std::span<const Run>(runs));
    }
  }
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
  return Cutting(granularity, dims).groups();
}

void for_each_group(const Granularity& granularity, std::span<const int64_t> dims,
                    const std::function<void(int64_t group, std::span<const Run> runs)>& visit) {
  const Cutting cutting(granularity, dims);
  std::vector<Run> runs;
  for (int64_t group = 0; group < cutting.groups(); ++group) {
    cutting.runs(group, runs);
    visit(group, runs);
  }
}

std::vector<int64_t> code_dims(const NumberFormat& format, const Granularity& granularity,
                               std::span<const int64_t> dims) {
  if (format.vector_size <= 1) return {dims.begin(), dims.end()};
  const Cutting cutting = cut_rows(granularity, dims);
  return {cutting.view().channels, cutting.codes_of_row(format.vector_size)};
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
  const int64_t each = format.system->param_count(format), elements = checked_product(dims);
  const Cutting cutting =
      format.vector_size > 1 && elements > 0 ? cut_rows(granularity, dims) : Cutting(granularity, dims);
  std::vector<float> params(static_cast<size_t>(checked_mul(cutting.groups(), each)));
  check_importance(importance, elements);
  const auto fit_some = [&](int64_t begin, int64_t end) {
    std::vector<Run> runs;
    FitOptions group_options = options;
    for (int64_t group = begin; group < end; ++group) {
      cutting.runs(group, runs);
      const Cutting::Part part = cutting.part(group);
      group_options.row_length = part.column_end - part.column_begin;
      const Gathered<float> values(x, runs);
      const std::span<const float> group_x(values.data(), static_cast<size_t>(values.count()));
      const Gathered<float> weights(importance.data(), importance.empty() ? std::span<const Run>() : runs);
      const FiniteData data(format, group_x, {weights.data(), static_cast<size_t>(weights.count())});
      format.system->fit(format, data.x(), data.importance(), group_options, params.data() + group * each);
    }
  };
  if (!options.threads || cutting.groups() < 2) {
    fit_some(0, cutting.groups());
  } else {
    constexpr int64_t kElementsPerTask = 4096;
    const int64_t block = std::max<int64_t>(1, kElementsPerTask * cutting.groups() / std::max<int64_t>(elements, 1));
    options.threads->parallel_blocks(cutting.groups(), block, fit_some);
  }
  return params;
}

void encode_groups(const NumberFormat& format, const Granularity& granularity, std::span<const int64_t> dims,
                   std::span<const float> params, const float* x, int32_t* codes) {
  check_group_params(format, granularity, dims, params);
  const int64_t each = format.system->param_count(format);
  if (format.vector_size > 1)
    return for_each_row_part(cut_rows(granularity, dims), format.vector_size,
                             [&](int64_t group, int64_t first, std::span<const Run> runs) {
                               const Gathered<float> row(x, runs);
                               encode(format, params.data() + group * each, row.data(), row.count(), codes + first);
                             });
  convert_groups(granularity, dims, x, codes, [&](int64_t group, const float* from, int64_t count, int32_t* to) {
    encode(format, params.data() + group * each, from, count, to);
  });
}

void decode_groups(const NumberFormat& format, const Granularity& granularity, std::span<const int64_t> dims,
                   std::span<const float> params, const int32_t* codes, float* y) {
  check_group_params(format, granularity, dims, params);
  const int64_t each = format.system->param_count(format);
  if (format.vector_size > 1) {
    std::vector<float> row;
    return for_each_row_part(cut_rows(granularity, dims), format.vector_size,
                             [&](int64_t group, int64_t first, std::span<const Run> runs) {
                               int64_t count = 0;
                               for (const Run& run : runs) count += run.count;
                               row.resize(static_cast<size_t>(count));
                               decode(format, params.data() + group * each, codes + first, count, row.data());
                               scatter(row.data(), runs, y);
                             });
  }
  convert_groups(granularity, dims, codes, y, [&](int64_t group, const int32_t* from, int64_t count, float* to) {
    decode(format, params.data() + group * each, from, count, to);
  });
}

}  // namespace lowbit
