#include "lowbit/core/shape.h"

#include <algorithm>

#include <fmt/format.h>

#include "lowbit/base/checked.h"
#include "lowbit/base/text.h"

namespace lowbit {

std::optional<Dims> concrete(const Shape& shape) {
  Dims dims;
  for (const Dim& dim : shape) {
    if (!dim.known()) return std::nullopt;
    dims.push_back(*dim.size);
  }
  return dims;
}

Shape to_shape(const Dims& dims) { return {dims.begin(), dims.end()}; }

std::string shape_text(const Shape& shape) {
  if (shape.empty()) return "scalar";
  std::string text;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += 'x';
    text += shape[i].known()          ? std::to_string(*shape[i].size)
            : shape[i].symbol.empty() ? "?"
                                      : printable(shape[i].symbol, 40);
  }
  return text;
}

std::string dims_text(const Dims& dims) { return dims.empty() ? "scalar" : fmt::format("{}", fmt::join(dims, "x")); }

int64_t element_count(const Dims& dims) { return checked_product(dims); }

Dims row_major_strides(const Dims& dims) {
  Dims strides(dims.size());
  int64_t stride = 1;
  for (size_t i = dims.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= std::max<int64_t>(dims[i], 1);
  }
  return strides;
}

int64_t normalize_axis(int64_t axis, int64_t rank) {
  if (axis < -rank || axis >= rank)
    throw Error(ErrorCode::bad_file, fmt::format("axis {} is outside the rank {}", axis, rank));
  return axis < 0 ? axis + rank : axis;
}

Dims broadcast_dims(const Dims& a, const Dims& b) {
  Dims result(std::max(a.size(), b.size()));
  for (size_t i = 0; i < result.size(); ++i) {
    const int64_t da = i < a.size() ? a[a.size() - 1 - i] : 1, db = i < b.size() ? b[b.size() - 1 - i] : 1;
    if (da != db && da != 1 && db != 1)
      throw Error(ErrorCode::bad_file,
                  fmt::format("the shapes {} and {} do not broadcast", dims_text(a), dims_text(b)));
    result[result.size() - 1 - i] = da == 1 ? db : da;
  }
  return result;
}

}  // namespace lowbit
