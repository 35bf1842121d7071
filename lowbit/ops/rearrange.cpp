// rearrange.cpp: operators that exchange dimensions in blocks or reverse them: DepthToSpace, SpaceToDepth,
// ReverseSequence.
#include <fmt/format.h>

#include "lowbit/ops/dispatch.h"
#include "lowbit/ops/families.h"
#include "lowbit/ops/infer_helpers.h"
#include "lowbit/ops/movement_helpers.h"

namespace lowbit {
namespace {

/// The attribute blocksize, small enough for its square to be a number.
int64_t block_size(const Node& node) {
  const int64_t block = node.attr_int("blocksize", 0);
  if (block < 1 || block > (int64_t{1} << 30)) node_error(node, fmt::format("blocksize {} is not positive", block));
  return block;
}

void require_image(const Node& node, const Tensor& x) {
  if (x.rank() != 4) node_error(node, "the input must be N x C x H x W, it is " + dims_text(x.dims()));
}

/// Attribute mode: DCR (true) keeps the place inside a block outermost among the channels, CRD innermost.
bool depth_column_row(const Node& node) {
  const std::string mode = node.attr_string("mode", "DCR");
  if (mode != "DCR" && mode != "CRD") node_error(node, "attribute mode must be DCR or CRD");
  return mode == "DCR";
}

void depth_to_space_reference(EvalContext& context) {
  const Tensor& x = context.input(0);
  const Node& node = context.node();
  require_image(node, x);
  const int64_t b = block_size(node), n = x.dim(0), c = x.dim(1), h = x.dim(2), w = x.dim(3);
  if (c % (b * b) != 0) node_error(node, fmt::format("{} channels are no multiple of {} squared", c, b));
  const int64_t depth = c / (b * b);
  const bool depth_first = depth_column_row(node);
  const Tensor blocks = x.reshaped(depth_first ? Dims{n, b, b, depth, h, w} : Dims{n, depth, b, b, h, w});
  const std::vector<int64_t> perm =
      depth_first ? std::vector<int64_t>{0, 3, 4, 1, 5, 2} : std::vector<int64_t>{0, 1, 4, 2, 5, 3};
  context.set_output(0, transposed(node, blocks, perm).reshaped({n, depth, h * b, w * b}));
}

void space_to_depth_reference(EvalContext& context) {
  const Tensor& x = context.input(0);
  const Node& node = context.node();
  require_image(node, x);
  const int64_t b = block_size(node), n = x.dim(0), c = x.dim(1), h = x.dim(2), w = x.dim(3);
  if (h % b != 0 || w % b != 0) node_error(node, fmt::format("{} x {} does not divide into blocks of {}", h, w, b));
  const Tensor blocks = x.reshaped({n, c, h / b, b, w / b, b});
  const std::vector<int64_t> perm =
      depth_column_row(node) ? std::vector<int64_t>{0, 3, 5, 1, 2, 4} : std::vector<int64_t>{0, 1, 3, 5, 2, 4};
  context.set_output(0, transposed(node, blocks, perm).reshaped({n, c * b * b, h / b, w / b}));
}

template <Dim (*Channels)(const Dim&, const Dim&), Dim (*Space)(const Dim&, const Dim&)>
void infer_blocks(InferContext& context) {
  const auto shape = shape_of(context, 0);
  const DType type = context.input_dtype(0);
  if (!shape) return context.set_output(0, type, unknown_shape(4));
  if (shape->size() != 4) node_error(context.node(), "the input must be N x C x H x W, it is " + shape_text(*shape));
  const int64_t b = block_size(context.node());
  context.set_output(
      0, type,
      Shape{(*shape)[0], Channels((*shape)[1], Dim(b * b)), Space((*shape)[2], Dim(b)), Space((*shape)[3], Dim(b))});
}

/// Reverses the first lengths[i] steps of batch entry i along the time axis.
void reverse_sequence_reference(EvalContext& context) {
  const Tensor& x = context.input(0);
  const Node& node = context.node();
  if (x.rank() < 2) node_error(node, "the input needs a batch and a time dimension");
  const size_t batch = static_cast<size_t>(checked_axis(node, node.attr_int("batch_axis", 1), x.rank()));
  const size_t time = static_cast<size_t>(checked_axis(node, node.attr_int("time_axis", 0), x.rank()));
  if (batch == time) node_error(node, "batch_axis and time_axis are the same");
  const std::vector<int64_t> lengths = int_values(context, 1);
  if (static_cast<int64_t>(lengths.size()) != x.dims()[batch])
    node_error(node, fmt::format("{} lengths for a batch of {}", lengths.size(), x.dims()[batch]));
  Tensor y = make_output(node, x.dtype(), x.dims());
  const int64_t bytes = static_cast<int64_t>(dtype_bytes(x.dtype())), steps = x.dims()[time];
  if (bytes == 0) type_error(node, x.dtype());
  const Dims strides = row_major_strides(x.dims());
  Dims part = x.dims(), backwards = strides;
  part[batch] = 1;
  backwards[time] = -strides[time];
  for (size_t i = 0; i < lengths.size(); ++i) {
    if (lengths[i] < 0 || lengths[i] > steps) node_error(node, fmt::format("length {} of {} steps", lengths[i], steps));
    const int64_t first = static_cast<int64_t>(i) * strides[batch];
    const std::byte* from = x.raw().data();
    std::byte* to = y.mutable_raw();
    part[time] = lengths[i];
    strided_copy(static_cast<size_t>(bytes), part,
                 {from + (first + std::max<int64_t>(lengths[i] - 1, 0) * strides[time]) * bytes, backwards},
                 {to + first * bytes, strides});
    part[time] = steps - lengths[i];
    const int64_t rest = (first + lengths[i] * strides[time]) * bytes;
    strided_copy(static_cast<size_t>(bytes), part, {from + rest, strides}, {to + rest, strides});
  }
  context.set_output(0, std::move(y));
}

constexpr OpDef kRearrangeRows[] = {
    {"", "DepthToSpace", OpKind::movement, 1, 1, 1, 1, "blocksize mode", infer_blocks<dim_div, dim_mul>,
     depth_to_space_reference},
    {"", "ReverseSequence", OpKind::movement, 2, 2, 1, 1, "batch_axis time_axis", infer_same,
     reverse_sequence_reference},
    {"", "SpaceToDepth", OpKind::movement, 1, 1, 1, 1, "blocksize mode", infer_blocks<dim_mul, dim_div>,
     space_to_depth_reference},
};

}  // namespace

std::span<const OpDef> rearrange_ops() { return kRearrangeRows; }

}  // namespace lowbit
