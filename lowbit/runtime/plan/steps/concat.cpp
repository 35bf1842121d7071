// Concat: inputs that were written into the result already, copies of the others, rescaled where parameters differ.
#include <algorithm>

#include "lowbit/core/weights.h"
#include "lowbit/kernels/qeltwise.h"
#include "lowbit/runtime/plan/convert.h"
#include "lowbit/runtime/plan/nest.h"
#include "lowbit/runtime/plan/steps/steps.h"

namespace lowbit::plan {
namespace {

struct RescaleParams {
  Nest nest;  // views: y, x
  Ref y, x, table;
  kernels::Code y_type, x_type;
  int32_t low, high;
  kernels::QRequantizeFactors factors;
  bool has_table;
  const kernels::QEltwiseKernels* kernels;
};

void run_rescale(const void* raw, const RunContext& context, int64_t first, int64_t last, std::byte*) noexcept {
  const auto& p = *static_cast<const RescaleParams*>(raw);
  const auto x_bytes = static_cast<int64_t>(kernels::code_bytes(p.x_type)),
             y_bytes = static_cast<int64_t>(kernels::code_bytes(p.y_type));
  p.nest.run(first, last, [&](const auto& at, int64_t rows, int64_t n) {
    std::byte *x = context.raw(p.x) + at[1] * x_bytes, *y = context.raw(p.y) + at[0] * y_bytes;
    if (p.has_table)
      p.kernels->table(rows, n, reinterpret_cast<const uint8_t*>(x), p.nest.rows.stride[1],
                       reinterpret_cast<uint8_t*>(y), p.nest.rows.stride[0], context.at<const uint8_t>(p.table));
    else
      p.kernels->requantize(rows, n, {x, p.nest.rows.stride[1], p.x_type},
                            {y, p.nest.rows.stride[0], p.y_type, p.low, p.high}, p.factors);
  });
}

/// to = the codes of `from`, at other parameters.
std::optional<Draft> rescale_draft(Builder& builder, const View& from, const View& to, const Quantization& x,
                                   const Quantization& y) {
  const View* views[] = {&to, &from};
  const auto nest = make_nest(views);
  if (!nest || (nest->n.count > 1 && (nest->n.stride[0] != 1 || nest->n.stride[1] != 1))) return std::nullopt;
  const LinearParams px = x.linear_at(0), py = y.linear_at(0);
  const CodeRange range = y.codes();
  RescaleParams params{*nest,
                       to.ref(),
                       from.ref(),
                       {},
                       *code_of(to.dtype),
                       *code_of(from.dtype),
                       range.min,
                       range.max,
                       {px.zero_point, py.zero_point, px.scale / py.scale},
                       false,
                       &kernels::qeltwise()};
  if (kernels::code_bytes(params.x_type) == 1 && kernels::code_bytes(params.y_type) == 1) {
    const auto table = allocate_aligned(256);
    kernels::fill_requantize_table(params.x_type, params.y_type, params.factors, range.min, range.max,
                                   reinterpret_cast<uint8_t*>(table.get()));
    params.table = builder.constant(table, table.get(), 256);
    params.has_table = true;
  }
  Draft draft;
  draft.run = run_rescale;
  draft.tasks = nest->tasks();
  draft.nanoseconds = static_cast<double>(to.count()) * 0.3;
  draft.reads = {from.buffer};
  draft.writes = {to.buffer};
  draft.details.integer = true;
  draft.details.kernel = "rescales codes";
  draft.params = std::make_shared<const RescaleParams>(params);
  return draft;
}

struct Input {
  ValueId id;
  bool constant = false, same = true;
};

std::optional<std::vector<Input>> concat_inputs(const Builder& builder, const Node& node, std::string& why) {
  const Quantization* y = builder.context().per_tensor(node.output());
  const bool coded = builder.graph().value(node.output()).quantization.has_value();
  std::vector<Input> inputs;
  for (const ValueId id : node.inputs) {
    if (id == kNone || !builder.ready(id)) return why = "an input is absent", std::nullopt;
    Input input{id, builder.known(id) != nullptr, kept_alike(builder, id, node.output())};
    if (!y && (coded || !input.same || input.constant)) return why = "its result stays float", std::nullopt;
    if (y && !input.constant && !builder.context().per_tensor(id)) return why = "an input stays float", std::nullopt;
    inputs.push_back(input);
  }
  return inputs;
}

/// What the executor encodes at the result's own parameters.
Tensor constant_values(const Builder& builder, ValueId id) {
  const Value& value = builder.graph().value(id);
  return value.constant ? unrounded_values(value).cast(DType::float32) : to_float32(*builder.known(id));
}

}  // namespace

std::optional<ConcatPart> concat_layout(const Builder& builder, const Node& concat, ValueId input, const Dims& dims) {
  const auto rank = static_cast<int64_t>(dims.size());
  int64_t axis = concat.attr_int("axis", 0);
  if (axis < -rank || axis >= rank) return std::nullopt;
  if (axis < 0) axis += rank;
  ConcatPart part{axis, -1, dims};
  int64_t total = 0;
  for (const ValueId id : concat.inputs) {
    if (id == kNone || !kept_alike(builder, id, concat.output())) return std::nullopt;
    if (id == input) {
      if (part.begin >= 0) return std::nullopt;  // given twice
      part.begin = total;
      total += dims[static_cast<size_t>(axis)];
      continue;
    }
    const auto& shape = builder.graph().value(id).shape;
    if (builder.ready(id))
      total += builder.dims(id).size() == dims.size() ? builder.dims(id)[static_cast<size_t>(axis)] : 0;
    else if (shape && shape->size() == dims.size() && (*shape)[static_cast<size_t>(axis)].known())
      total += *(*shape)[static_cast<size_t>(axis)].size;
    else
      return std::nullopt;
  }
  part.dims[static_cast<size_t>(axis)] = total;
  return part;
}

bool make_concat(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  const auto inputs = concat_inputs(builder, node, why);
  if (!inputs || inputs->empty()) return false;
  Dims dims = builder.dims(node.inputs[0]);
  const auto rank = static_cast<int64_t>(dims.size());
  int64_t axis = node.attr_int("axis", 0);
  if (axis < -rank || axis >= rank) return why = "its axis does not fit", false;
  if (axis < 0) axis += rank;
  int64_t total = 0;
  bool images = false;
  for (const Input& input : *inputs) {
    Dims other = builder.dims(input.id);
    if (other.size() != dims.size()) return why = "its inputs do not fit", false;
    total += other[static_cast<size_t>(axis)];
    other[static_cast<size_t>(axis)] = dims[static_cast<size_t>(axis)];
    if (other != dims) return why = "its inputs do not fit", false;
  }
  dims[static_cast<size_t>(axis)] = total;
  const Quantization* y = builder.context().per_tensor(node.output());
  if (y && (!code_of(code_dtype(*y)) || code_dtype(*y) == DType::int32)) return why = "its codes are too wide", false;
  std::vector<View> views;
  for (const Input& input : *inputs) {
    views.push_back(input.constant ? builder.constant_view(quantize_activation(*y, constant_values(builder, input.id)))
                                   : builder.operand(input.id));
    images |= rank > 2 && !input.constant && pixel_stride(views.back()) && !is_row_major(views.back());
  }
  const View* begun = builder.concat_buffer(node.output());
  if (begun && begun->dims != dims) return why = "its inputs have other sizes than the graph says", false;
  const Order order = images ? Order::channels_last : Order::row_major;
  const View whole = begun ? *begun : builder.result(node.outputs[0], views[0].dtype, dims, order);
  if (begun) builder.alias(node.outputs[0], whole);
  int64_t at = 0;
  for (size_t i = 0; i < views.size(); ++i) {
    View part = whole;
    part.dims[static_cast<size_t>(axis)] = views[i].dim(axis);
    part.offset += at * whole.stride(axis);
    at += views[i].dim(axis);
    const bool there = views[i].buffer == part.buffer && views[i].offset == part.offset;
    if (there) continue;
    if ((*inputs)[i].constant || (*inputs)[i].same) {
      builder.emit(n, copy_draft(views[i], part));
      continue;
    }
    const Quantization& x = *builder.context().per_tensor((*inputs)[i].id);
    auto draft = rescale_draft(builder, views[i], part, x, *y);
    if (!draft) draft = rescale_draft(builder, builder.operand((*inputs)[i].id, order), part, x, *y);
    if (!draft) {  // slices of more than one axis: dense first
      View dense = builder.temporary(views[i].dtype, views[i].dims);
      dense.strides = strides_in(dense.dims, memory_order(part));
      builder.emit(n, copy_draft(views[i], dense));
      draft = rescale_draft(builder, dense, part, x, *y);
    }
    LOWBIT_CHECK(draft.has_value());
    builder.emit(n, std::move(*draft));
  }
  return true;
}

}  // namespace lowbit::plan
