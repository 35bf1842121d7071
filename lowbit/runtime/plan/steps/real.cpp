// Float operators: softmax, layer normalization, functions of one value, arithmetic of two.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "lowbit/kernels/float_layer.h"
#include "lowbit/runtime/plan/convert.h"
#include "lowbit/runtime/plan/nest.h"
#include "lowbit/runtime/plan/steps/steps.h"

namespace lowbit::plan {
namespace {

const kernels::FloatMathKernels& math() { return *kernels::float_row(kernels::active_isa()).math; }

/// Rows along the last axis.
struct RowParams {
  Ref x, y, scale, bias;
  bool has_bias;
  int64_t rows, n, x_stride, y_stride;
  float epsilon;
  const kernels::FloatMathKernels* math;
};

constexpr int64_t kRowElements = 4096;
int64_t rows_per_task(int64_t n) { return std::max<int64_t>(1, kRowElements / std::max<int64_t>(n, 1)); }

void run_softmax(const void* raw, const RunContext& context, int64_t first, int64_t last, std::byte*) noexcept {
  const auto& p = *static_cast<const RowParams*>(raw);
  const int64_t begin = first * rows_per_task(p.n), end = std::min(last * rows_per_task(p.n), p.rows);
  p.math->softmax(end - begin, p.n, context.at<const float>(p.x) + begin * p.x_stride, p.x_stride,
                  context.at<float>(p.y) + begin * p.y_stride, p.y_stride);
}

void run_layer_norm(const void* raw, const RunContext& context, int64_t first, int64_t last, std::byte*) noexcept {
  const auto& p = *static_cast<const RowParams*>(raw);
  const int64_t begin = first * rows_per_task(p.n), end = std::min(last * rows_per_task(p.n), p.rows);
  p.math->layer_norm(end - begin, p.n, context.at<const float>(p.x) + begin * p.x_stride, p.x_stride,
                     context.at<const float>(p.scale), p.has_bias ? context.at<const float>(p.bias) : nullptr,
                     p.epsilon, context.at<float>(p.y) + begin * p.y_stride, p.y_stride);
}

void emit_rows(Builder& builder, int32_t n, RowParams params, TaskFn run, const View& x, const View& y,
               std::string kernel) {
  params.x = x.ref();
  params.y = y.ref();
  params.n = x.dims.back();
  params.rows = x.count() / params.n;
  params.x_stride = *row_stride(x);
  params.y_stride = *row_stride(y);
  params.math = &math();
  Draft draft;
  draft.run = run;
  draft.tasks = (params.rows + rows_per_task(params.n) - 1) / rows_per_task(params.n);
  draft.nanoseconds = static_cast<double>(x.count()) * 1.0;
  draft.reads = {x.buffer};
  draft.writes = {y.buffer};
  if (x.strides == y.strides) draft.in_place.push_back({y.buffer, x.buffer});
  draft.details.bytes = 8 * x.count();
  draft.details.kernel = std::move(kernel);
  draft.params = std::make_shared<const RowParams>(params);
  builder.emit(n, std::move(draft));
}

struct UnaryParams {
  Nest nest;  // views: y, x
  Ref x, y;
  void (*function)(int64_t n, const float* x, float* y, float low, float high) noexcept;
  float low, high;
};

void run_unary(const void* raw, const RunContext& context, int64_t first, int64_t last, std::byte*) noexcept {
  const auto& p = *static_cast<const UnaryParams*>(raw);
  p.nest.run(first, last, [&](const auto& at, int64_t rows, int64_t n) {
    for (int64_t r = 0; r < rows; ++r)
      p.function(n, context.at<const float>(p.x) + at[1] + r * p.nest.rows.stride[1],
                 context.at<float>(p.y) + at[0] + r * p.nest.rows.stride[0], p.low, p.high);
  });
}

void clamp_row(int64_t n, const float* x, float* y, float low, float high) noexcept {
  for (int64_t i = 0; i < n; ++i) y[i] = std::min(std::max(x[i], low), high);
}
void exp_row(int64_t n, const float* x, float* y, float, float) noexcept { math().exp(n, x, y); }
void sigmoid_row(int64_t n, const float* x, float* y, float, float) noexcept { math().sigmoid(n, x, y); }
void tanh_row(int64_t n, const float* x, float* y, float, float) noexcept { math().tanh(n, x, y); }
void erf_row(int64_t n, const float* x, float* y, float, float) noexcept { math().erf(n, x, y); }
void gelu_row(int64_t n, const float* x, float* y, float, float) noexcept { math().gelu(n, x, y); }
void sqrt_row(int64_t n, const float* x, float* y, float, float) noexcept {
  for (int64_t i = 0; i < n; ++i) y[i] = std::sqrt(x[i]);
}
/// x * max(0, min(1, x / 6 + 1/2))
void hard_swish_row(int64_t n, const float* x, float* y, float, float) noexcept {
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] * std::max(0.0f, std::min(1.0f, x[i] / 6.0f + 0.5f));
}

struct UnaryRow {
  std::string_view op;
  void (*function)(int64_t n, const float* x, float* y, float low, float high) noexcept;
};
constexpr UnaryRow kUnary[] = {{"Relu", clamp_row},      {"Clip", clamp_row}, {"Exp", exp_row},
                               {"Sigmoid", sigmoid_row}, {"Tanh", tanh_row},  {"Erf", erf_row},
                               {"Gelu", gelu_row},       {"Sqrt", sqrt_row},  {"HardSwish", hard_swish_row}};

enum class Arithmetic : uint8_t { add, sub, mul, div };

struct RealBinaryParams {
  Nest nest;  // views: y, a, b
  Ref y, a, b;
  Arithmetic kind;
};

template <typename F>
void binary_rows(const RealBinaryParams& p, const RunContext& context, int64_t first, int64_t last, F f) {
  const Nest& nest = p.nest;
  nest.run(first, last, [&](const auto& at, int64_t rows, int64_t n) {
    for (int64_t r = 0; r < rows; ++r) {
      float* y = context.at<float>(p.y) + at[0] + r * nest.rows.stride[0];
      const float* a = context.at<const float>(p.a) + at[1] + r * nest.rows.stride[1];
      const float* b = context.at<const float>(p.b) + at[2] + r * nest.rows.stride[2];
      const int64_t sa = nest.n.stride[1], sb = nest.n.stride[2];
      if (sa == 1 && sb == 1)
        for (int64_t i = 0; i < n; ++i) y[i] = f(a[i], b[i]);
      else if (sa == 1 && sb == 0)
        for (int64_t i = 0; i < n; ++i) y[i] = f(a[i], b[0]);
      else if (sa == 0 && sb == 1)
        for (int64_t i = 0; i < n; ++i) y[i] = f(a[0], b[i]);
      else
        for (int64_t i = 0; i < n; ++i) y[i] = f(a[i * sa], b[i * sb]);
    }
  });
}

void run_arithmetic(const void* raw, const RunContext& context, int64_t first, int64_t last, std::byte*) noexcept {
  const auto& p = *static_cast<const RealBinaryParams*>(raw);
  switch (p.kind) {
    case Arithmetic::add:
      return binary_rows(p, context, first, last, [](float a, float b) { return a + b; });
    case Arithmetic::sub:
      return binary_rows(p, context, first, last, [](float a, float b) { return a - b; });
    case Arithmetic::mul:
      return binary_rows(p, context, first, last, [](float a, float b) { return a * b; });
    case Arithmetic::div:
      return binary_rows(p, context, first, last, [](float a, float b) { return a / b; });
  }
}

Order order_like(const View& view) {
  return view.rank() > 2 && pixel_stride(view) && !is_row_major(view) ? Order::channels_last : Order::row_major;
}

/// y = a op b, operands broadcast to the dims of y.
void emit_arithmetic(Builder& builder, int32_t n, Arithmetic kind, const View& y, const std::array<View, 2>& operands) {
  const View* views[] = {&y, &operands[0], &operands[1]};
  const auto nest = make_nest(views);
  if (!nest || nest->n.stride[0] != 1) {
    LOWBIT_CHECK(nest && nest->n.count == 1);
  }
  const RealBinaryParams params{*nest, y.ref(), operands[0].ref(), operands[1].ref(), kind};
  Draft draft;
  draft.run = run_arithmetic;
  draft.tasks = nest->tasks();
  draft.nanoseconds = static_cast<double>(y.count()) * 0.4;
  draft.writes = {y.buffer};
  for (const View& operand : operands) {
    draft.reads.push_back(operand.buffer);
    if (operand.strides == y.strides) draft.in_place.push_back({y.buffer, operand.buffer});
  }
  draft.details.bytes = 12 * y.count();
  draft.details.kernel = builder.node(n).op + " float32";
  draft.params = std::make_shared<const RealBinaryParams>(params);
  builder.emit(n, std::move(draft));
}

}  // namespace

bool make_softmax(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  const Dims dims = builder.dims(node.inputs[0]);
  const auto rank = static_cast<int64_t>(dims.size());
  const int64_t axis = node.attr_int("axis", -1);
  if (!is_float32(builder, node.inputs[0]) || builder.known(node.inputs[0]))
    return why = "its input is constant or not float32", false;
  if (rank == 0 || (axis != -1 && axis != rank - 1)) return why = "it does not run along the last axis", false;
  const View x = builder.real_operand(node.inputs[0], Order::row_major);
  const View y = builder.real_result(node.outputs[0], dims, Order::row_major);
  emit_rows(builder, n, {}, run_softmax, x, y, "softmax float32");
  builder.finish_real(node.outputs[0]);
  return true;
}

bool make_layer_norm(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  const Dims dims = builder.dims(node.inputs[0]);
  const auto rank = static_cast<int64_t>(dims.size());
  const int64_t axis = node.attr_int("axis", -1);
  if (rank == 0 || (axis != -1 && axis != rank - 1) || node.outputs.size() > 1)
    return why = "it is not over the last axis alone", false;
  if (!is_float32(builder, node.inputs[0]) || builder.known(node.inputs[0]))
    return why = "its input is constant or not float32", false;
  RowParams params{};
  params.epsilon = node.attr_float("epsilon", 1e-5f);
  for (size_t i = 1; i <= 2; ++i) {
    if (node.input(i) == kNone) continue;
    const Tensor* values = builder.graph().constant(node.inputs[i]);
    if (!values || values->count() != dims.back()) return why = "its scale or bias is no constant per element", false;
    (i == 1 ? params.scale : params.bias) = builder.constant_view(builder.real_constant(node.inputs[i])).ref();
    params.has_bias |= i == 2;
  }
  const View x = builder.real_operand(node.inputs[0], Order::row_major);
  const View y = builder.real_result(node.outputs[0], dims, Order::row_major);
  emit_rows(builder, n, params, run_layer_norm, x, y, "layer normalization float32");
  builder.finish_real(node.outputs[0]);
  return true;
}

bool make_real_unary(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  if (!is_float32(builder, node.inputs[0]) || builder.known(node.inputs[0]))
    return why = "its input is constant or not float32", false;
  const auto row =
      std::find_if(std::begin(kUnary), std::end(kUnary), [&](const UnaryRow& r) { return r.op == node.op; });
  if (row == std::end(kUnary)) return why = "it has no float step", false;
  if (node.is("Gelu") && node.attr_string("approximate", "none") != "none") return why = "it is approximate", false;
  UnaryParams params{{}, {}, {}, row->function, node.is("Relu") ? 0.0f : -__builtin_inff(), __builtin_inff()};
  for (size_t side = 1; node.is("Clip") && side <= 2; ++side) {
    if (node.input(side) == kNone) continue;
    const auto limit = scalar_constant(builder.graph(), node.inputs[side]);
    if (!limit) return why = "its limits are not constant", false;
    (side == 1 ? params.low : params.high) = static_cast<float>(*limit);
  }
  const Order order = order_like(builder.real_operand(node.inputs[0]));
  const View x = builder.real_operand(node.inputs[0], order);
  const View y = builder.real_result(node.outputs[0], x.dims, order);
  const View* views[] = {&y, &x};
  params.nest = *make_nest(views);
  LOWBIT_CHECK(params.nest.n.count == 1 || params.nest.n.stride[1] == 1);
  params.x = x.ref();
  params.y = y.ref();
  Draft draft;
  draft.run = run_unary;
  draft.tasks = params.nest.tasks();
  draft.nanoseconds = static_cast<double>(x.count()) * 0.6;
  draft.reads = {x.buffer};
  draft.writes = {y.buffer};
  if (x.strides == y.strides) draft.in_place.push_back({y.buffer, x.buffer});
  draft.details.bytes = 8 * x.count();
  draft.details.kernel = node.op + " float32";
  draft.params = std::make_shared<const UnaryParams>(params);
  builder.emit(n, std::move(draft));
  builder.finish_real(node.outputs[0]);
  return true;
}

bool make_real_binary(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  for (size_t i = 0; i < 2; ++i)
    if (!is_float32(builder, node.inputs[i])) return why = "an operand is not float32", false;
  if (builder.known(node.inputs[0]) && builder.known(node.inputs[1])) return why = "its operands are constant", false;
  const Dims dims = broadcast_dims(builder.dims(node.inputs[0]), builder.dims(node.inputs[1]));
  const auto whole = [&](size_t i) { return builder.dims(node.inputs[i]) == dims; };
  const size_t lead = whole(0) && !(whole(1) && builder.known(node.inputs[0])) ? 0 : 1;
  const Order order = whole(lead) ? order_like(builder.real_operand(node.inputs[lead])) : Order::row_major;
  std::array<View, 2> operands;
  for (size_t i = 0; i < 2; ++i)
    operands[i] = *broadcast(builder.real_operand(node.inputs[i], whole(i) ? order : Order::any), dims);
  const View y = builder.real_result(node.outputs[0], dims, order);
  emit_arithmetic(builder, n,
                  node.is("Add")   ? Arithmetic::add
                  : node.is("Sub") ? Arithmetic::sub
                  : node.is("Mul") ? Arithmetic::mul
                                   : Arithmetic::div,
                  y, operands);
  builder.finish_real(node.outputs[0]);
  return true;
}

bool make_batch_norm(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  const Dims dims = builder.dims(node.inputs[0]);
  if (!is_float32(builder, node.inputs[0]) || builder.known(node.inputs[0]) || dims.size() < 2 ||
      node.outputs.size() > 1)
    return why = "its input is constant or not float32", false;
  const int64_t channels = dims[1];
  std::array<Tensor, 4> of;  // scale, bias, mean, variance
  for (size_t i = 0; i < 4; ++i) {
    const Tensor* constant = builder.graph().constant(node.input(i + 1));
    if (!constant || constant->count() != channels) return why = "its parameters are not constant", false;
    of[i] = builder.real_constant(node.inputs[i + 1]);
  }
  const float epsilon = node.attr_float("epsilon", 1e-5f);
  std::array<Tensor, 2> by_channel = {Tensor::uninitialized(DType::float32, {channels}),
                                      Tensor::uninitialized(DType::float32, {channels})};
  for (int64_t c = 0; c < channels; ++c) {
    const float factor = of[0].data<float>()[c] / std::sqrt(of[3].data<float>()[c] + epsilon);
    by_channel[0].mutable_data<float>()[c] = factor;
    by_channel[1].mutable_data<float>()[c] = of[1].data<float>()[c] - of[2].data<float>()[c] * factor;
  }
  const Order order = order_like(builder.real_operand(node.inputs[0]));
  View from = builder.real_operand(node.inputs[0], order);
  const View y = builder.real_result(node.outputs[0], dims, order);
  for (size_t i = 0; i < 2; ++i) {
    View parameters = builder.constant_view(by_channel[i]);
    parameters.dims = dims;
    parameters.strides.assign(dims.size(), 0);
    parameters.strides[1] = 1;
    const View to = i == 0 ? builder.temporary(DType::float32, dims) : y;
    View made = to;
    if (i == 0) made.strides = strides_in(dims, axis_order(order, made.rank()));
    emit_arithmetic(builder, n, i == 0 ? Arithmetic::mul : Arithmetic::add, made, {from, parameters});
    from = made;
  }
  builder.finish_real(node.outputs[0]);
  return true;
}

}  // namespace lowbit::plan
