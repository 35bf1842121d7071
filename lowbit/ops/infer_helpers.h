// infer_helpers.h: what many operators' shape inference has in common. Unknown stays unknown; contradictions throw
// Error{bad_file} naming the node.
#pragma once

#include <optional>
#include <vector>

#include "lowbit/ops/op.h"

namespace lowbit {

/// The dimensions of an input if all of them (or at least the rank) are known; nothing if the rank is unknown.
std::optional<Shape> shape_of(const InferContext& context, size_t input);
/// Rank of an input, or -1.
int64_t rank_of(const InferContext& context, size_t input);

/// The elements of a small integer input: its constant if it has one, else what is followed through shape arithmetic.
std::optional<std::vector<Dim>> dims_of(const InferContext& context, size_t input);
/// The same if every element is a number.
std::optional<std::vector<int64_t>> ints_of(const InferContext& context, size_t input);
/// The number of elements of a 1-D input (or of its constant), or nothing.
std::optional<int64_t> length_of(const InferContext& context, size_t input);

/// a * b, a + b, a - b, a / b (rounding down) where known; a symbol survives the neutral element (N * 1, N + 0).
Dim dim_mul(const Dim& a, const Dim& b);
Dim dim_add(const Dim& a, const Dim& b);
Dim dim_sub(const Dim& a, const Dim& b);
Dim dim_div(const Dim& a, const Dim& b);
/// Product of all dimensions in [begin, end); unknown factors make it unknown, unless one alone is left beside ones.
Dim dim_product(const Shape& shape, size_t begin, size_t end);

/// NumPy broadcasting of two shapes with symbols. Throws Error{bad_file} (named after the node) if they cannot fit.
Shape broadcast_shapes(const Node& node, const Shape& a, const Shape& b);
/// The broadcast shape of all present inputs; nothing if the rank of one is unknown.
std::optional<Shape> broadcast_of_inputs(const InferContext& context);

/// Output 0 has the type and the shape of input 0.
void infer_same(InferContext& context);
/// Output 0 has the shape of input 0 and this type.
void infer_same_shape(InferContext& context, DType type);
/// Output 0 has the type of input 0 and the broadcast shape of all inputs.
void infer_broadcast(InferContext& context);
/// Output 0 is bool with the broadcast shape of all inputs (or the shape of the only one).
void infer_broadcast_bool(InferContext& context);

/// Shape after reducing `axes` (negative ones allowed; all if empty): 1 where kept, gone where not.
Shape reduced_shape(const Node& node, const Shape& shape, const std::vector<int64_t>& axes, bool keepdims);
/// A shape of this rank with nothing known.
inline Shape unknown_shape(int64_t rank) { return Shape(static_cast<size_t>(rank)); }

/// Axis in [0, rank) for a known rank; throws Error{bad_file} naming the node.
size_t infer_axis(const Node& node, int64_t axis, size_t rank);

}  // namespace lowbit
