// indexing.cpp: operators that read at places given by data: Gather, GatherElements, GatherND, OneHot, Compress.
#include <algorithm>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "lowbit/base/checked.h"
#include "lowbit/ops/families.h"
#include "lowbit/ops/index_helpers.h"
#include "lowbit/ops/infer_helpers.h"
#include "lowbit/ops/movement_helpers.h"

namespace lowbit {
namespace {

/// Copies for each outer index the blocks of `block` elements at the given places of an axis of `size`.
void copy_blocks(const Tensor& x, Tensor& y, const std::vector<int64_t>& places, int64_t size, int64_t block) {
  const size_t bytes = static_cast<size_t>(block) * dtype_bytes(x.dtype());
  if (bytes == 0 || places.empty() || size == 0) return;
  const int64_t outer = x.count() / (size * block);
  const std::byte* from = x.raw().data();
  std::byte* to = y.mutable_raw();
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t place : places) {
      std::memcpy(to, from + static_cast<size_t>(o * size + place) * bytes, bytes);
      to += bytes;
    }
}

Tensor gather(const EvalContext& context, const Tensor& x) {
  const size_t axis = static_cast<size_t>(checked_axis(context.node(), context.node().attr_int("axis", 0), x.rank()));
  const Tensor& indices = context.input(1);
  const std::vector<int64_t> places = checked_indices(context.node(), indices, x.dims()[axis]);
  Dims dims = x.dims();
  dims.erase(dims.begin() + static_cast<int64_t>(axis));
  dims.insert(dims.begin() + static_cast<int64_t>(axis), indices.dims().begin(), indices.dims().end());
  Tensor y = make_output(context.node(), x.dtype(), std::move(dims));
  copy_blocks(x, y, places, x.dims()[axis], count_between(x.dims(), axis + 1, x.dims().size()));
  return y;
}

void gather_reference(EvalContext& context) {
  context.set_output(0, move_elements(context.input(0), [&](const Tensor& x) { return gather(context, x); }));
}

void infer_gather(InferContext& context) {
  const auto data = shape_of(context, 0), indices = shape_of(context, 1);
  const DType type = context.input_dtype(0);
  if (!data || !indices) return context.set_output(0, type, std::nullopt);
  const size_t axis = infer_axis(context.node(), context.node().attr_int("axis", 0), data->size());
  Shape result = *data;
  result.erase(result.begin() + static_cast<int64_t>(axis));
  result.insert(result.begin() + static_cast<int64_t>(axis), indices->begin(), indices->end());
  context.set_output(0, type, result);
  const auto elements = dims_of(context, 0);
  const auto places = ints_of(context, 1);
  if (!elements || !places || data->size() != 1 || indices->size() > 1) return;
  std::vector<Dim> picked;
  for (int64_t place : *places) picked.push_back((*elements)[infer_axis(context.node(), place, elements->size())]);
  context.set_output_dims(0, std::move(picked));
}

Tensor gather_elements(const EvalContext& context, const Tensor& x) {
  const size_t axis = static_cast<size_t>(checked_axis(context.node(), context.node().attr_int("axis", 0), x.rank()));
  const Tensor& indices = context.input(1);
  require_element_indices(context.node(), indices.dims(), x.dims(), axis);
  const std::vector<int64_t> places = checked_indices(context.node(), indices, x.dims()[axis]);
  const int64_t stride = row_major_strides(x.dims())[axis];
  Tensor y = make_output(context.node(), x.dtype(), indices.dims());
  dispatch_width(context.node(), x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* from = raw_elements<T>(x);
    T* to = raw_elements<T>(y);
    for_each_element_index(indices.dims(), x.dims(), axis, [&](int64_t i, int64_t offset) {
      to[i] = from[offset + places[static_cast<size_t>(i)] * stride];
    });
  });
  return y;
}

void gather_elements_reference(EvalContext& context) {
  context.set_output(0, move_elements(context.input(0), [&](const Tensor& x) { return gather_elements(context, x); }));
}

void infer_gather_elements(InferContext& context) {
  context.set_output(0, context.input_dtype(0), shape_of(context, 1));
}

Tensor gather_nd(const EvalContext& context, const Tensor& x) {
  const Node& node = context.node();
  const Tensor& indices = context.input(1);
  const int64_t batch = node.attr_int("batch_dims", 0);
  if (batch < 0 || batch >= x.rank() || batch >= indices.rank() ||
      !std::equal(x.dims().begin(), x.dims().begin() + batch, indices.dims().begin()))
    node_error(node, fmt::format("batch_dims {} does not fit the data {} and the indices {}", batch,
                                 dims_text(x.dims()), dims_text(indices.dims())));
  const size_t first = static_cast<size_t>(batch);
  const std::vector<int64_t> offsets = tuple_offsets(node, indices, x.dims(), first);
  const size_t used = first + static_cast<size_t>(indices.dims().back());
  Dims dims(indices.dims().begin(), indices.dims().end() - 1);
  dims.insert(dims.end(), x.dims().begin() + static_cast<int64_t>(used), x.dims().end());
  Tensor y = make_output(node, x.dtype(), dims);
  const size_t bytes = static_cast<size_t>(count_between(x.dims(), used, x.dims().size())) * dtype_bytes(x.dtype());
  const size_t per_batch = static_cast<size_t>(count_between(indices.dims(), first, indices.dims().size() - 1));
  const int64_t batch_blocks = count_between(x.dims(), first, used);
  if (bytes == 0) return y;
  for (size_t i = 0; i < offsets.size(); ++i) {
    const int64_t block = static_cast<int64_t>(i / per_batch) * batch_blocks + offsets[i];
    std::memcpy(y.mutable_raw() + i * bytes, x.raw().data() + static_cast<size_t>(block) * bytes, bytes);
  }
  return y;
}

void gather_nd_reference(EvalContext& context) {
  context.set_output(0, move_elements(context.input(0), [&](const Tensor& x) { return gather_nd(context, x); }));
}

void infer_gather_nd(InferContext& context) {
  const auto data = shape_of(context, 0), indices = shape_of(context, 1);
  const DType type = context.input_dtype(0);
  if (!data || !indices || indices->empty() || !indices->back().known())
    return context.set_output(0, type, std::nullopt);
  const int64_t used = checked_add(context.node().attr_int("batch_dims", 0), *indices->back().size);
  if (used < 0 || used > static_cast<int64_t>(data->size()))
    node_error(context.node(), "the index tuples are longer than the data has dimensions");
  Shape result(indices->begin(), indices->end() - 1);
  result.insert(result.end(), data->begin() + used, data->end());
  context.set_output(0, type, result);
}

// --- OneHot, Compress ---------------------------------------------------------------------------------------------

/// The depth input: a number of any type, a scalar or one element.
int64_t one_hot_depth(const EvalContext& context) {
  const double depth = number_scalar(context, 1);
  if (!(depth >= 0 && depth < 0x1p40)) node_error(context.node(), fmt::format("depth {} is out of range", depth));
  return static_cast<int64_t>(depth);
}

/// Indices outside [-depth, depth) give a row of off-values, as the operator's page says.
void one_hot_reference(EvalContext& context) {
  const Node& node = context.node();
  const Tensor indices = context.input(0).cast(DType::int64);
  const Tensor& values = context.input(2);
  const int64_t depth = one_hot_depth(context);
  if (values.count() != 2) node_error(node, "the values must be two: off and on");
  const int64_t rank = indices.rank() + 1;
  const size_t axis = static_cast<size_t>(checked_axis(node, node.attr_int("axis", -1), rank));
  Dims dims = indices.dims();
  dims.insert(dims.begin() + static_cast<int64_t>(axis), depth);
  Tensor y = make_output(node, values.dtype(), dims);
  const int64_t inner = count_between(indices.dims(), axis, indices.dims().size());
  dispatch_width(node, values.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* to = raw_elements<T>(y);
    const T off = raw_elements<T>(values)[0], on = raw_elements<T>(values)[1];
    std::fill_n(to, y.count(), off);
    const int64_t* index = indices.data<int64_t>();
    for (int64_t i = 0; i < indices.count(); ++i) {
      if (index[i] < -depth || index[i] >= depth) continue;
      const int64_t place = index[i] < 0 ? index[i] + depth : index[i];
      to[(i / inner * depth + place) * inner + i % inner] = on;
    }
  });
  context.set_output(0, std::move(y));
}

void infer_one_hot(InferContext& context) {
  const auto shape = shape_of(context, 0);
  const DType type = context.input_dtype(2);
  if (!shape) return context.set_output(0, type, std::nullopt);
  const size_t axis = infer_axis(context.node(), context.node().attr_int("axis", -1), shape->size() + 1);
  auto depth = dims_of(context, 1);
  const Tensor* constant = context.input_constant(1);
  if (constant && constant->count() == 1) depth = {Dim(constant->cast(DType::int64).data<int64_t>()[0])};
  Shape result = *shape;
  result.insert(result.begin() + static_cast<int64_t>(axis), depth && depth->size() == 1 ? (*depth)[0] : Dim());
  context.set_output(0, type, result);
}

Tensor compress(const EvalContext& context, const Tensor& given) {
  const Node& node = context.node();
  const bool flat = !node.has_attr("axis");
  const Tensor x = flat ? given.reshaped({given.count()}) : given;
  const size_t axis = flat ? 0 : static_cast<size_t>(checked_axis(node, node.attr_int("axis", 0), x.rank()));
  const Tensor& condition = context.input(1);
  require_same_type(node, DType::bool_, condition.dtype());
  if (condition.rank() != 1 || condition.count() > x.dims()[axis])
    node_error(node, fmt::format("the condition {} does not fit the dimension {}", dims_text(condition.dims()),
                                 x.dims()[axis]));
  std::vector<int64_t> places;
  for (int64_t i = 0; i < condition.count(); ++i)
    if (condition.data<bool>()[i]) places.push_back(i);
  Dims dims = x.dims();
  dims[axis] = static_cast<int64_t>(places.size());
  Tensor y = make_output(node, x.dtype(), dims);
  copy_blocks(x, y, places, x.dims()[axis], count_between(x.dims(), axis + 1, x.dims().size()));
  return y;
}

void compress_reference(EvalContext& context) {
  context.set_output(0, move_elements(context.input(0), [&](const Tensor& x) { return compress(context, x); }));
}

void infer_compress(InferContext& context) {
  const DType type = context.input_dtype(0);
  if (!context.node().has_attr("axis")) return context.set_output(0, type, unknown_shape(1));
  auto shape = shape_of(context, 0);
  if (shape) (*shape)[infer_axis(context.node(), context.node().attr_int("axis", 0), shape->size())] = Dim();
  context.set_output(0, type, shape);
}

constexpr OpDef kIndexingRows[] = {
    {"", "Compress", OpKind::movement, 2, 2, 1, 1, "axis", infer_compress, compress_reference},
    {"", "Gather", OpKind::movement, 2, 2, 1, 1, "axis", infer_gather, gather_reference},
    {"", "GatherElements", OpKind::movement, 2, 2, 1, 1, "axis", infer_gather_elements, gather_elements_reference},
    {"", "GatherND", OpKind::movement, 2, 2, 1, 1, "batch_dims", infer_gather_nd, gather_nd_reference},
    {"", "OneHot", OpKind::other, 3, 3, 1, 1, "axis", infer_one_hot, one_hot_reference},
};

}  // namespace

std::span<const OpDef> indexing_ops() { return kIndexingRows; }

}  // namespace lowbit
