// slicing.cpp: operators whose output is a part or a repetition of the input: Slice, Expand, Tile, Pad, CenterCropPad,
// Trilu.
#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "lowbit/base/checked.h"
#include "lowbit/ops/dispatch.h"
#include "lowbit/ops/families.h"
#include "lowbit/ops/infer_helpers.h"
#include "lowbit/ops/movement_helpers.h"

namespace lowbit {
namespace {

// --- Slice --------------------------------------------------------------------------------------------------------

/// What one axis keeps: `length` elements from `start` on, `step` apart.
struct AxisSlice {
  int64_t start = 0, step = 1, length = 0;
};

/// NumPy's rules for negative and too large bounds.
AxisSlice slice_axis(const Node& node, int64_t size, int64_t start, int64_t end, int64_t step) {
  if (step == 0) node_error(node, "the step of a slice is 0");
  const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
  const auto bound = [&](int64_t at) { return std::clamp(at < 0 ? at + size : at, low, high); };
  AxisSlice slice{bound(start), step, 0};
  const int64_t distance = step > 0 ? bound(end) - slice.start : slice.start - bound(end);
  const int64_t magnitude = step > 0                                      ? step
                            : step == std::numeric_limits<int64_t>::min() ? std::numeric_limits<int64_t>::max()
                                                                          : -step;
  if (distance > 0) slice.length = (distance - 1) / magnitude + 1;
  return slice;
}

struct SliceInputs {
  std::vector<int64_t> starts, ends, axes, steps;

  /// Fills in the defaults and checks that the lists belong together.
  void complete(const Node& node, int64_t rank, bool has_axes, bool has_steps) {
    if (!has_axes)
      for (size_t i = 0; i < starts.size(); ++i) axes.push_back(static_cast<int64_t>(i));
    if (!has_steps) steps.assign(starts.size(), 1);
    if (ends.size() != starts.size() || axes.size() != starts.size() || steps.size() != starts.size())
      node_error(node, fmt::format("{} starts, {} ends, {} axes and {} steps do not belong together", starts.size(),
                                   ends.size(), axes.size(), steps.size()));
    axes = checked_axes(node, axes, rank);
  }
};

void slice_reference(EvalContext& context) {
  const Tensor& x = context.input(0);
  SliceInputs in{int_values(context, 1), int_values(context, 2), {}, {}};
  if (context.has_input(3)) in.axes = int_values(context, 3);
  if (context.has_input(4)) in.steps = int_values(context, 4);
  in.complete(context.node(), x.rank(), context.has_input(3), context.has_input(4));
  Dims dims = x.dims(), strides = row_major_strides(x.dims());
  int64_t offset = 0;
  for (size_t i = 0; i < in.axes.size(); ++i) {
    const size_t axis = static_cast<size_t>(in.axes[i]);
    const AxisSlice slice = slice_axis(context.node(), dims[axis], in.starts[i], in.ends[i], in.steps[i]);
    dims[axis] = slice.length;
    if (slice.length == 0) continue;
    offset += slice.start * strides[axis];
    // A step beyond the dimension is never taken; its product with the stride could overflow.
    if (slice.length > 1) strides[axis] *= slice.step;
  }
  context.set_output(0, gather_strided(context.node(), x, std::move(dims), offset, std::move(strides)));
}

Dim infer_slice_dim(const Node& node, const Dim& dim, const Dim& start, const Dim& end, int64_t step) {
  if (start.known() && end.known() && dim.known())
    return Dim(slice_axis(node, *dim.size, *start.size, *end.size, step).length);
  constexpr int64_t kToTheEnd = std::numeric_limits<int32_t>::max();
  const bool whole = start.size == 0 && step == 1 && (end.same_as(dim) || (end.known() && *end.size >= kToTheEnd));
  return whole ? dim : Dim();
}

void infer_slice_elements(InferContext& context, const SliceInputs& in) {
  const auto elements = dims_of(context, 0);
  if (!elements || in.starts.size() > 1) return;
  std::vector<Dim> kept;
  const AxisSlice slice = in.starts.empty() ? AxisSlice{0, 1, static_cast<int64_t>(elements->size())}
                                            : slice_axis(context.node(), static_cast<int64_t>(elements->size()),
                                                         in.starts[0], in.ends[0], in.steps[0]);
  for (int64_t i = 0; i < slice.length; ++i)
    kept.push_back((*elements)[static_cast<size_t>(slice.start + i * slice.step)]);
  context.set_output_dims(0, std::move(kept));
}

void infer_slice(InferContext& context) {
  const Node& node = context.node();
  const auto shape = shape_of(context, 0);
  const DType type = context.input_dtype(0);
  if (!shape) return context.set_output(0, type, std::nullopt);
  const auto starts = dims_of(context, 1), ends = dims_of(context, 2);
  const auto axes = ints_of(context, 3), steps = ints_of(context, 4);
  const int64_t rank = static_cast<int64_t>(shape->size());
  if ((context.has_input(3) && !axes) || (context.has_input(4) && !steps))
    return context.set_output(0, type, unknown_shape(rank));
  const auto length = starts ? std::optional<int64_t>(starts->size()) : length_of(context, 1);
  if (!length || *length > rank) return context.set_output(0, type, unknown_shape(rank));
  std::vector<int64_t> zeros(static_cast<size_t>(*length));
  SliceInputs in{zeros, zeros, axes.value_or(Dims{}), steps.value_or(Dims{})};
  in.complete(node, rank, axes.has_value(), steps.has_value());
  Shape result = *shape;
  bool numbers = starts && ends && ends->size() == starts->size();
  for (size_t i = 0; i < in.axes.size(); ++i) {
    Dim& dim = result[static_cast<size_t>(in.axes[i])];
    const bool bounds = starts && ends && i < ends->size();
    dim = bounds ? infer_slice_dim(node, dim, (*starts)[i], (*ends)[i], in.steps[i]) : Dim();
    numbers = numbers && bounds && (*starts)[i].known() && (*ends)[i].known();
    if (!numbers) continue;
    in.starts[i] = *(*starts)[i].size;
    in.ends[i] = *(*ends)[i].size;
  }
  context.set_output(0, type, result);
  if (numbers && rank == 1) infer_slice_elements(context, in);
}

// --- Expand, Tile -------------------------------------------------------------------------------------------------

void expand_reference(EvalContext& context) {
  const Tensor& x = context.input(0);
  const Dims dims = broadcast_dims(x.dims(), int_values(context, 1));
  const Dims own = row_major_strides(x.dims());
  Dims strides(dims.size());
  const size_t added = dims.size() - own.size();
  for (size_t i = 0; i < own.size(); ++i) strides[added + i] = x.dims()[i] == 1 ? 0 : own[i];
  context.set_output(0, gather_strided(context.node(), x, dims, 0, strides));
}

void infer_expand(InferContext& context) {
  const auto shape = shape_of(context, 0);
  const auto wanted = dims_of(context, 1);
  const DType type = context.input_dtype(0);
  if (shape && wanted) return context.set_output(0, type, broadcast_shapes(context.node(), *shape, *wanted));
  const auto length = length_of(context, 1);
  const bool ranked = shape && length;
  context.set_output(
      0, type,
      ranked ? std::optional<Shape>(unknown_shape(std::max<int64_t>(*length, static_cast<int64_t>(shape->size()))))
             : std::nullopt);
}

/// A tile is a broadcast over a new dimension before each old one: [2, 3] twice and thrice is [2 x 2, 3 x 3].
void tile_reference(EvalContext& context) {
  const Tensor& x = context.input(0);
  const std::vector<int64_t> repeats = int_values(context, 1);
  if (static_cast<int64_t>(repeats.size()) != x.rank())
    node_error(context.node(), fmt::format("{} repeats do not fit the rank {}", repeats.size(), x.rank()));
  const Dims own = row_major_strides(x.dims());
  Dims dims, strides, merged;
  for (size_t i = 0; i < repeats.size(); ++i) {
    if (repeats[i] < 0) node_error(context.node(), "a repeat is negative");
    dims.insert(dims.end(), {repeats[i], x.dims()[i]});
    strides.insert(strides.end(), {0, own[i]});
    merged.push_back(checked_mul(repeats[i], x.dims()[i]));
  }
  context.set_output(0, gather_strided(context.node(), x, dims, 0, strides).reshaped(merged));
}

void infer_tile(InferContext& context) {
  const auto shape = shape_of(context, 0);
  const DType type = context.input_dtype(0);
  if (!shape) return context.set_output(0, type, std::nullopt);
  const auto repeats = dims_of(context, 1);
  Shape result = unknown_shape(static_cast<int64_t>(shape->size()));
  if (repeats) {
    if (repeats->size() != shape->size()) node_error(context.node(), "the repeats do not fit the rank");
    for (size_t i = 0; i < result.size(); ++i) result[i] = dim_mul((*shape)[i], (*repeats)[i]);
  }
  context.set_output(0, type, result);
}

// --- Pad ----------------------------------------------------------------------------------------------------------

struct Padding {
  std::vector<int64_t> before, after;  ///< for each axis; negative crops
};

Padding padding(const Node& node, const std::vector<int64_t>& pads, std::optional<std::vector<int64_t>> axes,
                int64_t rank) {
  if (!axes) {
    axes.emplace();
    for (int64_t i = 0; i < rank; ++i) axes->push_back(i);
  }
  if (pads.size() != 2 * axes->size())
    node_error(node, fmt::format("{} pads do not fit {} axes (two for each)", pads.size(), axes->size()));
  Padding result{std::vector<int64_t>(static_cast<size_t>(rank)), std::vector<int64_t>(static_cast<size_t>(rank))};
  const std::vector<int64_t> normal = checked_axes(node, *axes, rank);
  constexpr int64_t kMaxPad = int64_t{1} << 40;
  for (int64_t amount : pads)
    if (amount > kMaxPad || amount < -kMaxPad) node_error(node, fmt::format("a pad of {} is out of range", amount));
  for (size_t i = 0; i < normal.size(); ++i) {
    result.before[static_cast<size_t>(normal[i])] = pads[i];
    result.after[static_cast<size_t>(normal[i])] = pads[i + normal.size()];
  }
  return result;
}

Tensor pad_constant(const EvalContext& context, const Tensor& x, const Padding& pad, const Dims& dims) {
  Tensor y = make_output(context.node(), x.dtype(), dims);
  const Tensor* value = context.optional_input(2);
  if (value && value->count() != 1) node_error(context.node(), "the padding value must be one number");
  if (value) require_same_type(context.node(), x.dtype(), value->dtype());
  dispatch_width(context.node(), x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    std::fill_n(raw_elements<T>(y), y.count(), value ? *raw_elements<T>(*value) : T{0});
  });
  // The part of x that stays, and where it lands.
  const Dims from = row_major_strides(x.dims()), to = row_major_strides(dims);
  Dims kept(dims.size());
  int64_t source = 0, target = 0;
  for (size_t i = 0; i < dims.size(); ++i) {
    const int64_t skip = std::max<int64_t>(-pad.before[i], 0), lead = std::max<int64_t>(pad.before[i], 0);
    kept[i] = std::min(x.dims()[i] - skip, dims[i] - lead);
    if (kept[i] <= 0) return y;
    source += skip * from[i];
    target += lead * to[i];
  }
  const int64_t bytes = static_cast<int64_t>(dtype_bytes(x.dtype()));
  strided_copy(static_cast<size_t>(bytes), kept, {x.raw().data() + source * bytes, from},
               {y.mutable_raw() + target * bytes, to});
  return y;
}

enum class PadMode { constant, reflect, edge, wrap };

PadMode pad_mode(const Node& node) {
  const std::string mode = node.attr_string("mode", "constant");
  if (mode == "constant") return PadMode::constant;
  if (mode == "reflect") return PadMode::reflect;
  if (mode == "edge") return PadMode::edge;
  if (mode == "wrap") return PadMode::wrap;
  node_error(node, "attribute mode must be constant, reflect, edge or wrap");
}

/// The index inside [0, size) that padding repeats at `at`, which may be anywhere. size >= 1.
int64_t source_index(PadMode mode, int64_t at, int64_t size) {
  if (mode == PadMode::edge || size == 1) return std::clamp<int64_t>(at, 0, size - 1);
  const int64_t period = mode == PadMode::wrap ? size : 2 * (size - 1);
  const int64_t phase = ((at % period) + period) % period;
  return phase < size ? phase : period - phase;
}

Tensor pad_repeating(const EvalContext& context, const Tensor& x, const Padding& pad, const Dims& dims, PadMode mode) {
  Tensor y = make_output(context.node(), x.dtype(), dims);
  if (y.count() == 0) return y;
  if (x.count() == 0) node_error(context.node(), "an empty input has nothing to repeat");
  if (x.rank() == 0) return x;
  const Dims strides = row_major_strides(x.dims());
  std::vector<std::vector<int64_t>> offsets(dims.size());
  for (size_t axis = 0; axis < dims.size(); ++axis)
    for (int64_t i = 0; i < dims[axis]; ++i)
      offsets[axis].push_back(source_index(mode, i - pad.before[axis], x.dims()[axis]) * strides[axis]);
  dispatch_width(context.node(), x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* from = raw_elements<T>(x);
    T* to = raw_elements<T>(y);
    std::vector<size_t> index(dims.size() - 1);
    const std::vector<int64_t>& inner = offsets.back();
    for (T* end = to + y.count(); to != end; to += inner.size()) {
      int64_t row = 0;
      for (size_t axis = 0; axis < index.size(); ++axis) row += offsets[axis][index[axis]];
      for (size_t i = 0; i < inner.size(); ++i) to[i] = from[row + inner[i]];
      for (size_t axis = index.size(); axis-- > 0;) {
        if (++index[axis] < offsets[axis].size()) break;
        index[axis] = 0;
      }
    }
  });
  return y;
}

void pad_reference(EvalContext& context) {
  const Tensor& x = context.input(0);
  std::optional<std::vector<int64_t>> axes;
  if (context.has_input(3)) axes = int_values(context, 3);
  const Padding pad = padding(context.node(), int_values(context, 1), axes, x.rank());
  Dims dims;
  for (size_t i = 0; i < x.dims().size(); ++i)
    dims.push_back(checked_add(checked_add(x.dims()[i], pad.before[i]), pad.after[i]));
  if (std::any_of(dims.begin(), dims.end(), [](int64_t dim) { return dim < 0; }))
    node_error(context.node(), "the pads take away more than the input " + dims_text(x.dims()) + " has");
  const PadMode mode = pad_mode(context.node());
  context.set_output(
      0, mode == PadMode::constant ? pad_constant(context, x, pad, dims) : pad_repeating(context, x, pad, dims, mode));
}

void infer_pad(InferContext& context) {
  const auto shape = shape_of(context, 0);
  const DType type = context.input_dtype(0);
  if (!shape) return context.set_output(0, type, std::nullopt);
  const int64_t rank = static_cast<int64_t>(shape->size());
  const auto pads = ints_of(context, 1), axes = ints_of(context, 3);
  if (!pads || (context.has_input(3) && !axes)) return context.set_output(0, type, unknown_shape(rank));
  const Padding pad = padding(context.node(), *pads, axes, rank);
  Shape result = *shape;
  for (size_t i = 0; i < result.size(); ++i)
    result[i] = dim_add(dim_add(result[i], Dim(pad.before[i])), Dim(pad.after[i]));
  context.set_output(0, type, result);
}

// --- CenterCropPad, Trilu -----------------------------------------------------------------------------------------

std::vector<int64_t> crop_axes(const Node& node, int64_t rank, size_t wanted) {
  std::vector<int64_t> axes = node.attr_ints("axes");
  if (!node.has_attr("axes"))
    for (int64_t i = 0; i < rank; ++i) axes.push_back(i);
  if (axes.size() != wanted) node_error(node, fmt::format("{} sizes for {} axes", wanted, axes.size()));
  return checked_axes(node, axes, rank);
}

/// Crops or pads with zeros around the centre; an odd rest goes after.
void center_crop_pad_reference(EvalContext& context) {
  const Tensor& x = context.input(0);
  const std::vector<int64_t> sizes = int_values(context, 1);
  const std::vector<int64_t> axes = crop_axes(context.node(), x.rank(), sizes.size());
  Padding pad{std::vector<int64_t>(x.dims().size()), {}};
  Dims dims = x.dims();
  for (size_t i = 0; i < axes.size(); ++i) {
    const size_t axis = static_cast<size_t>(axes[i]);
    if (sizes[i] < 0) node_error(context.node(), "a size is negative");
    pad.before[axis] = sizes[i] >= dims[axis] ? (sizes[i] - dims[axis]) / 2 : -((dims[axis] - sizes[i]) / 2);
    dims[axis] = sizes[i];
  }
  context.set_output(0, pad_constant(context, x, pad, dims));
}

void infer_center_crop_pad(InferContext& context) {
  const auto shape = shape_of(context, 0);
  const DType type = context.input_dtype(0);
  const auto sizes = dims_of(context, 1);
  if (!shape || !sizes)
    return context.set_output(
        0, type, shape ? std::optional<Shape>(unknown_shape(static_cast<int64_t>(shape->size()))) : std::nullopt);
  Shape result = *shape;
  const std::vector<int64_t> axes = crop_axes(context.node(), static_cast<int64_t>(result.size()), sizes->size());
  for (size_t i = 0; i < axes.size(); ++i) result[static_cast<size_t>(axes[i])] = (*sizes)[i];
  context.set_output(0, type, result);
}

void trilu_reference(EvalContext& context) {
  const Tensor& x = context.input(0);
  if (x.rank() < 2) node_error(context.node(), "the input needs at least two dimensions");
  const bool upper = context.node().attr_int("upper", 1) != 0;
  const int64_t rows = x.dim(x.rank() - 2), columns = x.dim(x.rank() - 1);
  // Beyond the matrix all diagonals are alike; the clamp keeps row + k from overflowing.
  const int64_t k = context.has_input(1) ? std::clamp(int_scalar(context, 1), -rows - 1, columns + 1) : 0;
  Tensor y = x;
  dispatch_width(context.node(), x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* row = raw_elements<T>(y);
    const int64_t total = columns == 0 ? 0 : y.count() / columns;
    for (int64_t r = 0; r < total; ++r, row += columns) {
      const int64_t diagonal = std::clamp<int64_t>(r % rows + k + (upper ? 0 : 1), 0, columns);
      if (upper)
        std::fill(row, row + diagonal, T{0});
      else
        std::fill(row + diagonal, row + columns, T{0});
    }
  });
  context.set_output(0, std::move(y));
}

constexpr OpDef kSlicingRows[] = {
    {"", "CenterCropPad", OpKind::movement, 2, 2, 1, 1, "axes", infer_center_crop_pad, center_crop_pad_reference},
    {"", "Expand", OpKind::movement, 2, 2, 1, 1, "", infer_expand, expand_reference},
    {"", "Pad", OpKind::movement, 2, 4, 1, 1, "mode", infer_pad, pad_reference},
    {"", "Slice", OpKind::movement, 3, 5, 1, 1, "", infer_slice, slice_reference},
    {"", "Tile", OpKind::movement, 2, 2, 1, 1, "", infer_tile, tile_reference},
    {"", "Trilu", OpKind::movement, 1, 2, 1, 1, "upper", infer_same, trilu_reference},
};

}  // namespace

std::span<const OpDef> slicing_ops() { return kSlicingRows; }

}  // namespace lowbit
