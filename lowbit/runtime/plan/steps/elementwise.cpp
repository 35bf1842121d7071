// Add, Sub, Mul of codes and functions of one value by table.
#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/format.h>

#include "lowbit/core/weights.h"
#include "lowbit/runtime/plan/convert.h"
#include "lowbit/runtime/plan/nest.h"
#include "lowbit/runtime/plan/residual.h"
#include "lowbit/runtime/plan/steps/steps.h"

namespace lowbit::plan {
namespace {

using kernels::Code;

struct BinaryParams {
  Nest nest;  // views: y, a, b
  Ref y, a, b;
  Code y_type, a_type, b_type;
  int32_t low, high;
  bool product;
  kernels::QAddFactors sum;
  kernels::QMulFactors mul;
  const kernels::QEltwiseKernels* kernels;
};

void run_binary(const void* raw, const RunContext& context, int64_t first, int64_t last, std::byte*) noexcept {
  const auto& p = *static_cast<const BinaryParams*>(raw);
  const auto at_element = [&](Ref ref, Code type, int64_t at) {
    return context.raw(ref) + at * static_cast<int64_t>(kernels::code_bytes(type));
  };
  p.nest.run(first, last, [&](const auto& at, int64_t rows, int64_t n) {
    const kernels::QOperand a{at_element(p.a, p.a_type, at[1]), p.nest.rows.stride[1], p.a_type};
    const kernels::QOperand b{at_element(p.b, p.b_type, at[2]), p.nest.rows.stride[2], p.b_type};
    const kernels::QResult y{at_element(p.y, p.y_type, at[0]), p.nest.rows.stride[0], p.y_type, p.low, p.high};
    if (p.product)
      p.kernels->mul(rows, n, a, b, y, p.mul);
    else
      p.kernels->add(rows, n, a, b, y, p.sum);
  });
}

/// The views of the operands, broadcast to the dims of the result, so that the fastest axis is contiguous in all.
struct Operands {
  View a, b, y;
  Nest nest;
};

/// The same elements spread out densely in the order of `like`: for operands whose fastest axis is repeated.
View spread(Builder& builder, int32_t node, const View& view, const View& like) {
  View dense = builder.temporary(view.dtype, like.dims);
  dense.strides = strides_in(like.dims, memory_order(like));
  builder.emit(node, copy_draft(view, dense));
  return dense;
}

/// A constant of one element, as many times as a task has elements.
View repeated(Builder& builder, const Tensor& codes) {
  Tensor row = Tensor::uninitialized(codes.dtype(), {Nest::kTaskElements});
  const size_t width = dtype_bytes(codes.dtype());
  for (int64_t i = 0; i < row.count(); ++i)
    std::memcpy(row.mutable_raw() + static_cast<size_t>(i) * width, codes.raw().data(), width);
  return builder.constant_view(row);
}

std::optional<Operands> make_operands(Builder& builder, int32_t n, ValueId result, DType y_type, std::string& why) {
  const Node& node = builder.node(n);
  const Dims dims = broadcast_dims(builder.dims(node.inputs[0]), builder.dims(node.inputs[1]));
  const auto whole = [&](size_t i) { return builder.dims(node.inputs[i]) == dims; };
  if (!whole(0) && !whole(1)) return why = "both operands are broadcast", std::nullopt;
  // The first operand that is not broadcast decides the order of axes in memory.
  const View leading = builder.operand(node.inputs[whole(0) && (!whole(1) || !builder.known(node.inputs[0])) ? 0 : 1]);
  const bool images = dims.size() > 2 && pixel_stride(leading) && !is_row_major(leading);
  Operands o;
  o.y = builder.result(result, y_type, dims, images ? Order::channels_last : Order::row_major);
  std::array<bool, 2> single{};
  for (size_t i = 0; i < 2; ++i) {
    View& operand = i == 0 ? o.a : o.b;
    const ValueId id = node.inputs[i];
    single[i] = builder.known(id) && builder.known(id)->count() == 1;
    if (single[i]) {
      operand = repeated(builder, weight_codes(builder.graph().value(id)));
      operand.dims = dims;
      operand.strides.assign(dims.size(), 0);
      continue;
    }
    const Order order = !whole(i) ? Order::any : images ? Order::channels_last : Order::row_major;
    operand = *broadcast(builder.operand(id, order), dims);
  }
  const View* views[] = {&o.y, &o.a, &o.b};
  for (int attempt = 0; attempt < 3; ++attempt) {
    const auto nest = make_nest(views);
    if (!nest) break;
    const auto walks = [&](size_t i) { return single[i] || nest->n.count == 1 || nest->n.stride[i + 1] == 1; };
    if (nest->n.stride[0] == 1 && walks(0) && walks(1)) {
      o.nest = *nest;
      return o;
    }
    for (size_t i = 0; i < 2; ++i)
      if (!walks(i)) (i == 0 ? o.a : o.b) = spread(builder, n, i == 0 ? o.a : o.b, o.y);
  }
  return why = "its operands have no common order", std::nullopt;
}

bool make_binary(Builder& builder, int32_t n, bool product, std::string& why) {
  const Node& node = builder.node(n);
  const LowerContext& context = builder.context();
  const FusedActivation activation = fused_activation(context, node.outputs[0]);
  const Quantization *a = context.per_tensor(node.input(0)), *b = context.per_tensor(node.input(1)),
                     *y = context.per_tensor(activation.output);
  if (!y) return why = "its result stays float", false;
  if (!a || !b) return why = "an operand stays float", false;
  const auto ta = code_of(code_dtype(*a)), tb = code_of(code_dtype(*b)), ty = code_of(code_dtype(*y));
  for (const auto& type : {ta, tb, ty})
    if (!type || *type == Code::s32) return why = "its codes are wider than 16 bits", false;
  const auto o = make_operands(builder, n, activation.output, code_dtype(*y), why);
  if (!o) return false;
  const OutputCodes codes = output_codes(*y, activation);
  const LinearParams la = a->linear_at(0), lb = b->linear_at(0), ly = y->linear_at(0);
  BinaryParams params{o->nest, o->y.ref(), o->a.ref(), o->b.ref(),          *ty, *ta, *tb, codes.low, codes.high,
                      product, {},         {},         &kernels::qeltwise()};
  if (product)
    params.mul = {la.zero_point, lb.zero_point, codes.zero_point, la.scale * lb.scale / ly.scale};
  else
    params.sum = sum_factors(la, lb, ly, node.is("Sub"));
  Draft draft;
  draft.run = run_binary;
  draft.tasks = o->nest.tasks();
  draft.nanoseconds = static_cast<double>(o->y.count()) * 0.25;
  draft.reads = {o->a.buffer, o->b.buffer};
  draft.writes = {o->y.buffer};
  draft.details.integer = true;
  draft.details.bytes = o->y.count() * 3;
  draft.details.kernel = fmt::format("{} of codes -> {}", product ? "product" : "sum", to_string(y->format));
  draft.details.nodes = {n};
  if (activation.node >= 0) {
    draft.details.nodes.push_back(activation.node);
    builder.cover(activation.node);
  }
  for (const View* operand : {&o->a, &o->b})
    if (operand->strides == o->y.strides && operand->dtype == o->y.dtype && operand->buffer != o->y.buffer)
      draft.in_place.push_back({o->y.buffer, operand->buffer});
  draft.params = std::make_shared<const BinaryParams>(params);
  builder.emit(n, std::move(draft));
  return true;
}

struct TableParams {
  Nest nest;  // views: y, x
  Ref y, x, table;
  Code x_type, y_type;
  const kernels::QEltwiseKernels* kernels;
};

void run_table(const void* raw, const RunContext& context, int64_t first, int64_t last, std::byte*) noexcept {
  const auto& p = *static_cast<const TableParams*>(raw);
  p.nest.run(first, last, [&](const auto& at, int64_t rows, int64_t n) {
    p.kernels->table(rows, n, context.at<const uint8_t>(p.x) + at[1], p.nest.rows.stride[1],
                     context.at<uint8_t>(p.y) + at[0], p.nest.rows.stride[0], context.at<const uint8_t>(p.table));
  });
}

/// The table of a node by the byte of the input code: from the store, which a container may have filled, or made now.
std::optional<Blob> byte_table(Builder& builder, int32_t n, const Quantization& x, const Quantization& y,
                               std::string& why) {
  const Node& node = builder.node(n);
  const std::string key = node.name + "/table";
  if (const auto found = builder.weights().find(key); found && found->size == 256) return found;
  if (!builder.options().table) return why = "its table is not in the container (write it anew)", std::nullopt;
  const auto values = builder.options().table(builder.graph(), node, x, y, why);
  if (!values) return std::nullopt;
  const int32_t low = x.codes().min;
  const auto table = allocate_aligned(256);
  for (size_t i = 0; i < values->size(); ++i)
    table.get()[static_cast<uint8_t>(low + static_cast<int32_t>(i))] = static_cast<std::byte>((*values)[i]);
  const Blob blob{table, 256};
  builder.weights().put(key, blob);
  return blob;
}

}  // namespace

bool make_sum(Builder& builder, int32_t node, std::string& why) { return make_binary(builder, node, false, why); }
bool make_mul(Builder& builder, int32_t node, std::string& why) { return make_binary(builder, node, true, why); }

bool make_lookup(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  const LowerContext& context = builder.context();
  const Quantization *x = context.per_tensor(node.input(0)), *y = context.per_tensor(node.output());
  if (!x || builder.known(node.inputs[0])) return why = "its input stays float", false;
  if (!y) return why = "its result stays float", false;
  const auto tx = code_of(code_dtype(*x)), ty = code_of(code_dtype(*y));
  if (!tx || !ty || kernels::code_bytes(*tx) != 1 || kernels::code_bytes(*ty) != 1)
    return why = "its codes are wider than 8 bits", false;
  const auto table = byte_table(builder, n, *x, *y, why);
  if (!table) return false;
  const View from = builder.operand(node.inputs[0]);
  View to = from;
  const bool images = from.rank() > 2 && pixel_stride(from) && !is_row_major(from);
  to = builder.result(node.outputs[0], DType::float32, from.dims, images ? Order::channels_last : Order::row_major);
  const View* views[] = {&to, &from};
  auto nest = make_nest(views);
  const View dense =
      nest && (nest->n.count == 1 || nest->n.stride[1] == 1) ? from : builder.operand(node.inputs[0], Order::row_major);
  const View* dense_views[] = {&to, &dense};
  nest = make_nest(dense_views);
  if (!nest || (nest->n.count > 1 && nest->n.stride[1] != 1)) return why = "its axes have no common order", false;
  TableParams params{*nest, to.ref(), dense.ref(),         builder.constant(table->bytes, table->bytes.get(), 256),
                     *tx,   *ty,      &kernels::qeltwise()};
  Draft draft;
  draft.run = run_table;
  draft.tasks = nest->tasks();
  draft.nanoseconds = static_cast<double>(to.count()) * 0.3;
  draft.reads = {dense.buffer, params.table.buffer};
  draft.writes = {to.buffer};
  if (dense.strides == to.strides) draft.in_place.push_back({to.buffer, dense.buffer});
  draft.details.integer = true;
  draft.details.bytes = 2 * to.count();
  draft.details.kernel = fmt::format("table {} -> {}", to_string(x->format), to_string(y->format));
  draft.params = std::make_shared<const TableParams>(params);
  builder.emit(n, std::move(draft));
  return true;
}

}  // namespace lowbit::plan
