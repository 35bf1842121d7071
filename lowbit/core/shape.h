// shape.h: dimensions. `Dims` are the concrete ones of a tensor; a `Shape` belongs to a value of the graph and may have symbols.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace lowbit {

using Dims = std::vector<int64_t>;

/// One dimension of a value: a number, a named symbol ("N"), or unknown (no number and an empty name).
struct Dim {
  std::optional<int64_t> size;
  std::string symbol;

  Dim() = default;
  Dim(int64_t n) : size(n) {}  // NOLINT: a number is a dimension
  explicit Dim(std::string name) : symbol(std::move(name)) {}

  bool known() const { return size.has_value(); }
  /// Equal numbers, or the same non-empty symbol. Two unknowns are not equal.
  bool same_as(const Dim& other) const {
    if (size || other.size) return size == other.size;
    return !symbol.empty() && symbol == other.symbol;
  }
};

using Shape = std::vector<Dim>;

/// The numbers if every dimension is known.
std::optional<Dims> concrete(const Shape& shape);
Shape to_shape(const Dims& dims);
/// "1x3x?xN"; "scalar" for rank 0.
std::string shape_text(const Shape& shape);
std::string dims_text(const Dims& dims);

/// Number of elements (1 for rank 0), with overflow check.
int64_t element_count(const Dims& dims);
/// Row-major strides in elements.
Dims row_major_strides(const Dims& dims);
/// Turns an axis in [-rank, rank) into [0, rank). Throws Error{bad_file} naming the axis and the rank.
int64_t normalize_axis(int64_t axis, int64_t rank);
/// NumPy broadcasting. Throws Error{bad_file} if the shapes do not broadcast.
Dims broadcast_dims(const Dims& a, const Dims& b);

}  // namespace lowbit
