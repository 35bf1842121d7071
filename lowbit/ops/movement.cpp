// movement.cpp: operators that keep every element: Reshape and its relatives, Transpose, Concat, Split, the space and
// depth exchanges, ReverseSequence.
#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "lowbit/base/checked.h"
#include "lowbit/ops/dispatch.h"
#include "lowbit/ops/families.h"
#include "lowbit/ops/infer_helpers.h"
#include "lowbit/ops/movement_helpers.h"

namespace lowbit {
namespace {

// --- Reshape, Flatten, Squeeze, Unsqueeze -------------------------------------------------------------------------

void reshape_reference(EvalContext& context) {
  const Tensor& x = context.input(0);
  Dims dims = int_values(context, 1);
  const bool allow_zero = context.node().attr_int("allowzero", 0) != 0;
  int64_t wildcard = -1;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 0 && !allow_zero) {
      if (static_cast<int64_t>(i) >= x.rank())
        node_error(context.node(), "the shape copies a dimension that the input does not have");
      dims[i] = x.dim(static_cast<int64_t>(i));
    }
    if (dims[i] >= 0) continue;
    if (dims[i] < -1 || wildcard >= 0)
      node_error(context.node(), fmt::format("[{}] is no shape; at most one -1 is allowed", fmt::join(dims, ", ")));
    wildcard = static_cast<int64_t>(i);
  }
  if (wildcard >= 0) {
    dims[static_cast<size_t>(wildcard)] = 1;
    const int64_t rest = element_count(dims);
    if (rest == 0 || x.count() % rest != 0)
      node_error(context.node(), fmt::format("{} elements do not divide by {}, so -1 has no value", x.count(), rest));
    dims[static_cast<size_t>(wildcard)] = x.count() / rest;
  }
  context.set_output(0, x.reshaped(std::move(dims)));
}

/// The value of the -1 in `wanted`: the quotient if both products are known, or the one symbol that cancels nowhere.
Dim infer_wildcard(const Shape& from, const Shape& wanted, size_t wildcard) {
  Dim numerator(1), denominator(1);
  std::vector<bool> used(from.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (i == wildcard) continue;
    if (!wanted[i].known()) {
      // A symbol that both sides have cancels; an unknown makes the quotient unknown.
      size_t match = 0;
      while (match < from.size() && (used[match] || !from[match].same_as(wanted[i]))) ++match;
      if (match == from.size()) return Dim();
      used[match] = true;
    } else {
      denominator = dim_mul(denominator, wanted[i]);
    }
  }
  Dim symbol;
  for (size_t i = 0; i < from.size(); ++i) {
    if (used[i]) continue;
    if (from[i].known()) {
      numerator = dim_mul(numerator, from[i]);
    } else {
      if (!symbol.symbol.empty() || from[i].symbol.empty()) return Dim();
      symbol = from[i];
    }
  }
  if (!symbol.symbol.empty()) return numerator.same_as(denominator) && *numerator.size != 0 ? symbol : Dim();
  if (*denominator.size == 0 || *numerator.size % *denominator.size != 0) return Dim();
  return Dim(*numerator.size / *denominator.size);
}

void infer_reshape(InferContext& context) {
  const auto from = shape_of(context, 0);
  auto wanted = dims_of(context, 1);
  const DType type = context.input_dtype(0);
  if (!wanted) {
    const auto length = length_of(context, 1);
    context.set_output(0, type, length ? std::optional<Shape>(unknown_shape(*length)) : std::nullopt);
    return;
  }
  const bool allow_zero = context.node().attr_int("allowzero", 0) != 0;
  std::optional<size_t> wildcard;
  for (size_t i = 0; i < wanted->size(); ++i) {
    Dim& dim = (*wanted)[i];
    if (dim.size == 0 && !allow_zero) dim = from && i < from->size() ? (*from)[i] : Dim();
    if (!dim.known() || *dim.size >= 0) continue;
    if (*dim.size < -1 || wildcard) node_error(context.node(), "the target shape has more than one -1");
    wildcard = i;
  }
  if (wildcard) (*wanted)[*wildcard] = from ? infer_wildcard(*from, *wanted, *wildcard) : Dim();
  const auto before = from ? concrete(*from) : std::nullopt;
  const auto after = concrete(*wanted);
  if (before && after && element_count(*before) != element_count(*after))
    node_error(context.node(), fmt::format("{} cannot be reshaped to {}", dims_text(*before), dims_text(*after)));
  context.set_output(0, type, *wanted);
  const auto elements = dims_of(context, 0);
  if (elements && wanted->size() <= 1) context.set_output_dims(0, *elements);
}

void flatten_reference(EvalContext& context) {
  const Tensor& x = context.input(0);
  const int64_t given = context.node().attr_int("axis", 1);
  const int64_t axis = given == x.rank() ? given : checked_axis(context.node(), given, std::max<int64_t>(x.rank(), 1));
  const auto middle = x.dims().begin() + std::min(axis, x.rank());
  const Dims front(x.dims().begin(), middle), back(middle, x.dims().end());
  context.set_output(0, x.reshaped({element_count(front), element_count(back)}));
}

void infer_flatten(InferContext& context) {
  const auto shape = shape_of(context, 0);
  if (!shape) return context.set_output(0, context.input_dtype(0), unknown_shape(2));
  const int64_t given = context.node().attr_int("axis", 1);
  const size_t rank = shape->size();
  const size_t axis = given == static_cast<int64_t>(rank)
                          ? rank
                          : std::min(rank, infer_axis(context.node(), given, std::max<size_t>(rank, 1)));
  context.set_output(0, context.input_dtype(0), Shape{dim_product(*shape, 0, axis), dim_product(*shape, axis, rank)});
}

void squeeze_reference(EvalContext& context) {
  const Tensor& x = context.input(0);
  std::vector<bool> gone(static_cast<size_t>(x.rank()));
  if (context.has_input(1)) {
    for (int64_t axis : checked_axes(context.node(), int_values(context, 1), x.rank())) {
      if (x.dim(axis) != 1)
        node_error(context.node(),
                   fmt::format("dimension {} of {} is squeezed but is not 1", axis, dims_text(x.dims())));
      gone[static_cast<size_t>(axis)] = true;
    }
  } else {
    for (size_t i = 0; i < gone.size(); ++i) gone[i] = x.dims()[i] == 1;
  }
  Dims dims;
  for (size_t i = 0; i < gone.size(); ++i)
    if (!gone[i]) dims.push_back(x.dims()[i]);
  context.set_output(0, x.reshaped(std::move(dims)));
}

void infer_squeeze(InferContext& context) {
  const auto shape = shape_of(context, 0);
  const DType type = context.input_dtype(0);
  const auto axes = ints_of(context, 1);
  if (!shape || (context.has_input(1) && !axes)) return context.set_output(0, type, std::nullopt);
  Shape result;
  if (axes) {
    for (int64_t axis : *axes) {
      const Dim& dim = (*shape)[infer_axis(context.node(), axis, shape->size())];
      if (dim.known() && *dim.size != 1)
        node_error(context.node(), fmt::format("dimension {} is squeezed but has size {}", axis, *dim.size));
    }
    result = axes->empty() ? *shape : reduced_shape(context.node(), *shape, *axes, /*keepdims=*/false);
  } else {
    if (!concrete(*shape)) return context.set_output(0, type, std::nullopt);
    for (const Dim& dim : *shape)
      if (*dim.size != 1) result.push_back(dim);
  }
  context.set_output(0, type, result);
  if (auto dims = dims_of(context, 0)) context.set_output_dims(0, *dims);
}

void unsqueeze_reference(EvalContext& context) {
  const Tensor& x = context.input(0);
  const std::vector<int64_t> given = int_values(context, 1);
  const int64_t rank = x.rank() + static_cast<int64_t>(given.size());
  Dims dims(static_cast<size_t>(rank));
  for (int64_t axis : checked_axes(context.node(), given, rank)) dims[static_cast<size_t>(axis)] = 1;
  auto next = x.dims().begin();
  for (int64_t& dim : dims)
    if (dim == 0) dim = *next++;
  context.set_output(0, x.reshaped(std::move(dims)));
}

void infer_unsqueeze(InferContext& context) {
  const auto shape = shape_of(context, 0);
  const DType type = context.input_dtype(0);
  const auto axes = ints_of(context, 1);
  if (!shape || !axes) return context.set_output(0, type, std::nullopt);
  const size_t rank = shape->size() + axes->size();
  std::vector<bool> added(rank);
  for (int64_t axis : checked_axes(context.node(), *axes, static_cast<int64_t>(rank)))
    added[static_cast<size_t>(axis)] = true;
  Shape result;
  auto next = shape->begin();
  for (size_t i = 0; i < rank; ++i) result.push_back(added[i] ? Dim(1) : *next++);
  context.set_output(0, type, result);
  const auto dims = dims_of(context, 0);
  if (dims && rank <= 1) context.set_output_dims(0, *dims);
}

// --- Transpose ----------------------------------------------------------------------------------------------------

std::vector<int64_t> permutation(const Node& node, int64_t rank) {
  std::vector<int64_t> perm = node.attr_ints("perm");
  if (perm.empty()) {
    for (int64_t i = rank; i-- > 0;) perm.push_back(i);
    return perm;
  }
  if (static_cast<int64_t>(perm.size()) != rank)
    node_error(node, fmt::format("perm [{}] does not fit the rank {}", fmt::join(perm, ", "), rank));
  return checked_axes(node, perm, rank);
}

void transpose_reference(EvalContext& context) {
  const Tensor& x = context.input(0);
  context.set_output(0, transposed(context.node(), x, permutation(context.node(), x.rank())));
}

void infer_transpose(InferContext& context) {
  const auto shape = shape_of(context, 0);
  if (!shape) return context.set_output(0, context.input_dtype(0), std::nullopt);
  Shape result;
  for (int64_t axis : permutation(context.node(), static_cast<int64_t>(shape->size())))
    result.push_back((*shape)[static_cast<size_t>(axis)]);
  context.set_output(0, context.input_dtype(0), result);
}

// --- Concat, Split ------------------------------------------------------------------------------------------------

void concat_strings(EvalContext& context, const Dims& dims, int64_t axis) {
  const Dims front(dims.begin(), dims.begin() + axis);
  std::vector<std::string> values;
  for (int64_t outer = 0; outer < element_count(front); ++outer)
    for (size_t i = 0; i < context.input_count(); ++i) {
      const Tensor& x = context.input(i);
      const int64_t run = element_count(Dims(x.dims().begin() + axis, x.dims().end()));
      const auto begin = x.string_values().begin() + outer * run;
      values.insert(values.end(), begin, begin + run);
    }
  context.set_output(0, Tensor::strings(dims, std::move(values)));
}

void concat_reference(EvalContext& context) {
  const Tensor& first = context.input(0);
  const int64_t axis = checked_axis(context.node(), context.node().attr_int("axis", 0), first.rank());
  Dims dims = first.dims();
  int64_t& along = dims[static_cast<size_t>(axis)];
  for (size_t i = 1; i < context.input_count(); ++i) {
    const Tensor& x = context.input(i);
    require_same_type(context.node(), first.dtype(), x.dtype());
    Dims expected = first.dims(), own = x.dims();
    if (own.size() == expected.size()) expected[static_cast<size_t>(axis)] = own[static_cast<size_t>(axis)];
    if (own != expected)
      node_error(context.node(), fmt::format("{} and {} cannot be joined along axis {}", dims_text(first.dims()),
                                             dims_text(own), axis));
    along = checked_add(along, x.dim(axis));
  }
  if (first.dtype() == DType::string) return concat_strings(context, dims, axis);
  Tensor y = make_output(context.node(), first.dtype(), dims);
  const Dims strides = row_major_strides(dims);
  int64_t offset = 0;
  for (size_t i = 0; i < context.input_count(); ++i) {
    place_strided(context.input(i), y, offset, strides);
    offset += context.input(i).dim(axis) * strides[static_cast<size_t>(axis)];
  }
  context.set_output(0, std::move(y));
}

/// Joins the followed elements of 1-D shape tensors; one that is not followed adds unknowns if its length is known.
void infer_concat_dims(InferContext& context) {
  std::vector<Dim> joined;
  bool useful = false;
  for (size_t i = 0; i < context.node().inputs.size(); ++i) {
    if (const auto dims = dims_of(context, i)) {
      joined.insert(joined.end(), dims->begin(), dims->end());
      useful = true;
    } else {
      const auto length = length_of(context, i);
      if (!length || *length > 64) return;
      joined.resize(joined.size() + static_cast<size_t>(*length));
    }
  }
  if (useful) context.set_output_dims(0, std::move(joined));
}

void infer_concat(InferContext& context) {
  const auto first = shape_of(context, 0);
  const DType type = context.input_dtype(0);
  if (!first) return context.set_output(0, type, std::nullopt);
  Shape result = *first;
  const size_t axis = infer_axis(context.node(), context.node().attr_int("axis", 0), result.size());
  for (size_t i = 1; i < context.node().inputs.size(); ++i) {
    const auto other = shape_of(context, i);
    if (!other) {
      result[axis] = Dim();
      continue;
    }
    if (other->size() != result.size()) node_error(context.node(), "the inputs have different ranks");
    for (size_t k = 0; k < result.size(); ++k) {
      if (k == axis)
        result[k] = dim_add(result[k], (*other)[k]);
      else if (!result[k].known())
        result[k] = (*other)[k].known() || result[k].symbol.empty() ? (*other)[k] : result[k];
      else if ((*other)[k].known() && *(*other)[k].size != *result[k].size)
        node_error(context.node(), fmt::format("{} and {} cannot be joined along axis {}", shape_text(*first),
                                               shape_text(*other), axis));
    }
  }
  context.set_output(0, type, result);
  const DType ints = type == DType::undefined ? DType::int64 : type;
  if (result.size() == 1 && is_integer(ints)) infer_concat_dims(context);
}

/// Lengths of the parts: the split input, or equal parts of which the last may be smaller.
std::vector<int64_t> split_lengths(const Node& node, int64_t size, std::optional<std::vector<int64_t>> given) {
  const int64_t parts = static_cast<int64_t>(node.outputs.size());
  if (!given) {
    const int64_t wanted = node.attr_int("num_outputs", parts);
    if (wanted != parts) node_error(node, fmt::format("num_outputs is {}, the node has {} outputs", wanted, parts));
    const int64_t part = (size + parts - 1) / parts;
    given.emplace();
    for (int64_t i = 0; i < parts; ++i) given->push_back(std::clamp<int64_t>(size - i * part, 0, part));
  }
  int64_t sum = 0;
  for (int64_t length : *given) {
    if (length < 0) node_error(node, "a part has a negative length");
    sum = checked_add(sum, length);
  }
  if (sum != size || static_cast<int64_t>(given->size()) != parts)
    node_error(node, fmt::format("{} parts [{}] do not make up the dimension {} in {} outputs", given->size(),
                                 fmt::join(*given, ", "), size, parts));
  return *given;
}

void split_reference(EvalContext& context) {
  const Tensor& x = context.input(0);
  const int64_t axis = checked_axis(context.node(), context.node().attr_int("axis", 0), x.rank());
  std::optional<std::vector<int64_t>> given;
  if (context.has_input(1)) given = int_values(context, 1);
  const Dims strides = row_major_strides(x.dims());
  int64_t offset = 0;
  const std::vector<int64_t> lengths = split_lengths(context.node(), x.dim(axis), given);
  for (size_t i = 0; i < lengths.size(); ++i) {
    Dims dims = x.dims();
    dims[static_cast<size_t>(axis)] = lengths[i];
    if (context.wants_output(i)) context.set_output(i, gather_strided(context.node(), x, dims, offset, strides));
    offset += lengths[i] * strides[static_cast<size_t>(axis)];
  }
}

void infer_split(InferContext& context) {
  const auto shape = shape_of(context, 0);
  const Node& node = context.node();
  const auto given = ints_of(context, 1);
  std::optional<std::vector<int64_t>> lengths;
  size_t axis = 0;
  if (shape) {
    axis = infer_axis(node, node.attr_int("axis", 0), shape->size());
    const Dim& along = (*shape)[axis];
    if (along.known() && (given || !context.has_input(1)))
      lengths = split_lengths(node, *along.size, given);
    else if (given && given->size() == node.outputs.size())
      lengths = given;
  }
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i] == kNone) continue;
    std::optional<Shape> part = shape;
    if (part) (*part)[axis] = lengths ? Dim((*lengths)[i]) : Dim();
    context.set_output(i, context.input_dtype(0), part);
  }
  const auto elements = dims_of(context, 0);
  if (!elements || !lengths || !shape || shape->size() != 1) return;
  auto next = elements->begin();
  for (size_t i = 0; i < lengths->size(); ++i) {
    const auto end = next + (*lengths)[i];
    if (node.outputs[i] != kNone) context.set_output_dims(i, std::vector<Dim>(next, end));
    next = end;
  }
}

constexpr OpDef kMovementRows[] = {
    {"", "Concat", OpKind::movement, 1, -1, 1, 1, "axis", infer_concat, concat_reference},
    {"", "Flatten", OpKind::movement, 1, 1, 1, 1, "axis", infer_flatten, flatten_reference},
    {"", "Reshape", OpKind::movement, 2, 2, 1, 1, "allowzero", infer_reshape, reshape_reference},
    {"", "Split", OpKind::movement, 1, 2, 1, -1, "axis num_outputs", infer_split, split_reference},
    {"", "Squeeze", OpKind::movement, 1, 2, 1, 1, "", infer_squeeze, squeeze_reference},
    {"", "Transpose", OpKind::movement, 1, 1, 1, 1, "perm", infer_transpose, transpose_reference},
    {"", "Unsqueeze", OpKind::movement, 2, 2, 1, 1, "", infer_unsqueeze, unsqueeze_reference},
};

}  // namespace

std::span<const OpDef> movement_ops() { return kMovementRows; }

}  // namespace lowbit
