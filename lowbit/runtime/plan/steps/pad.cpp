// Pad by a constant: left to the convolution behind it where that can do it, else a fill and a copy.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "lowbit/runtime/plan/convert.h"
#include "lowbit/runtime/plan/steps/steps.h"

namespace lowbit::plan {
namespace {

struct FillParams {
  Ref to;
  int64_t count;
  int32_t width;
  uint32_t pattern;
};

constexpr int64_t kFillBlock = 1 << 14;

template <typename T>
void fill_elements(std::byte* to, int64_t begin, int64_t end, uint32_t pattern) {
  T value;
  std::memcpy(&value, &pattern, sizeof value);
  std::fill(reinterpret_cast<T*>(to) + begin, reinterpret_cast<T*>(to) + end, value);
}

void run_fill(const void* raw, const RunContext& context, int64_t first, int64_t last, std::byte*) noexcept {
  const auto& p = *static_cast<const FillParams*>(raw);
  const int64_t begin = first * kFillBlock, end = std::min(last * kFillBlock, p.count);
  std::byte* to = context.raw(p.to);
  if (p.width == 1)
    std::memset(to + begin, static_cast<int>(p.pattern), static_cast<size_t>(end - begin));
  else if (p.width == 2)
    fill_elements<uint16_t>(to, begin, end, p.pattern);
  else
    fill_elements<uint32_t>(to, begin, end, p.pattern);
}

/// The padding value as bits of the kept type, or nothing.
std::optional<uint32_t> pad_pattern(const Builder& builder, const Node& node) {
  float value = 0;
  if (node.input(2) != kNone) {
    const Tensor* given = builder.known(node.inputs[2]);
    if (!given || given->count() != 1) return std::nullopt;
    value = to_float32(*given).data<float>()[0];
  }
  if (const Quantization* q = builder.context().per_tensor(node.input(0)))
    return static_cast<uint32_t>(linear_encode(value, q->linear_at(0), q->codes()));
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

/// Whether the only reader is a Conv that can pad by itself: spatial zeros around an image.
bool conv_pads(const Builder& builder, const Node& node, const PendingPad& pad) {
  const int32_t reader = builder.only_reader(node.outputs[0]);
  if (reader < 0) return false;
  const Node& conv = builder.node(reader);
  const Quantization* q = builder.context().per_tensor(node.input(0));
  const auto pattern = pad_pattern(builder, node);
  if (!q || !pattern || !conv.is("Conv") || conv.input(0) != node.outputs[0]) return false;
  if (static_cast<int32_t>(*pattern) != q->linear_at(0).zero_point) return false;
  const std::string automatic = conv.attr_string("auto_pad", "NOTSET");
  if (automatic != "NOTSET" && automatic != "VALID") return false;
  const auto valid = [](int64_t n) { return n >= 0; };
  return pad.begin[0] == 0 && pad.end[0] == 0 && pad.begin[1] == 0 && pad.end[1] == 0 &&
         std::all_of(pad.begin.begin(), pad.begin.end(), valid) && std::all_of(pad.end.begin(), pad.end.end(), valid);
}

}  // namespace

void emit_pad(Builder& builder, ValueId id, const PendingPad& pad, Order order) {
  const Node& node = builder.node(pad.node);
  const Dims dims = builder.dims(id);
  const bool images = order == Order::channels_last;
  const View from = builder.operand(pad.source, images ? Order::channels_last : Order::any);
  View to = builder.temporary(from.dtype, dims);
  if (images || (from.rank() > 2 && pixel_stride(from)))
    to.strides = strides_in(dims, axis_order(Order::channels_last, to.rank()));
  FillParams params{to.ref(), to.count(), static_cast<int32_t>(dtype_bytes(to.dtype)), *pad_pattern(builder, node)};
  Draft fill;
  fill.run = run_fill;
  fill.tasks = (params.count + kFillBlock - 1) / kFillBlock;
  fill.nanoseconds = static_cast<double>(params.count * params.width) * 0.05;
  fill.params = std::make_shared<const FillParams>(params);
  fill.writes = {to.buffer};
  fill.details.kernel = "fill";
  fill.details.integer = !is_float(to.dtype);
  builder.emit(pad.node, std::move(fill));
  View inside = to;
  for (size_t i = 0; i < dims.size(); ++i) {
    inside.dims[i] = from.dims[i];
    inside.offset += pad.begin[i] * to.strides[i];
  }
  builder.emit(pad.node, copy_draft(from, inside));
  builder.alias(id, to);
}

bool make_pad(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  if (node.attr_string("mode", "constant") != "constant") return why = "it repeats elements", false;
  if (builder.known(node.input(0)) || !kept_alike(builder, node.inputs[0], node.outputs[0]))
    return why = "its result has other parameters than its input", false;
  const Value& value = builder.graph().value(node.inputs[0]);
  const bool coded = builder.context().per_tensor(node.inputs[0]) != nullptr;
  if (!coded && (value.quantization || value.dtype != DType::float32))
    return why = "its elements are no codes and no float32", false;
  const Tensor* pads = builder.known(node.input(1));
  const Tensor* given_axes = builder.known(node.input(3));
  if (!pads || (node.input(3) != kNone && !given_axes) || !pad_pattern(builder, node))
    return why = "its sizes are not known while planning", false;
  const Dims& dims = builder.dims(node.inputs[0]);
  const auto rank = static_cast<int64_t>(dims.size());
  std::vector<int64_t> axes;
  if (given_axes)
    axes = to_int64(*given_axes);
  else
    for (int64_t axis = 0; axis < rank; ++axis) axes.push_back(axis);
  const std::vector<int64_t> sizes = to_int64(*pads);
  if (sizes.size() != 2 * axes.size()) return why = "its sizes do not fit", false;
  PendingPad pad{n, node.inputs[0], std::vector<int64_t>(dims.size(), 0), std::vector<int64_t>(dims.size(), 0)};
  Dims padded = dims;
  for (size_t i = 0; i < axes.size(); ++i) {
    int64_t axis = axes[i];
    if (axis < -rank || axis >= rank) return why = "its axes do not fit", false;
    if (axis < 0) axis += rank;
    const int64_t begin = sizes[i], end = sizes[i + axes.size()];
    if (begin < 0 || end < 0 || begin > INT32_MAX || end > INT32_MAX) return why = "it cuts", false;
    pad.begin[static_cast<size_t>(axis)] = begin;
    pad.end[static_cast<size_t>(axis)] = end;
    padded[static_cast<size_t>(axis)] += begin + end;
  }
  element_count(padded);  // throws on overflow
  const bool later = rank > 2 && conv_pads(builder, node, pad);
  builder.postpone(node.outputs[0], pad, padded);
  if (!later) builder.operand(node.outputs[0]);
  return true;
}

}  // namespace lowbit::plan
