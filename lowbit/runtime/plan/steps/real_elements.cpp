// Pow and Cast: float32 elements one by one.
#include <algorithm>
#include <cmath>

#include "lowbit/runtime/plan/steps/steps.h"

namespace lowbit::plan {
namespace {

struct PowParams {
  Ref x, y;
  int64_t n;
  float exponent;
};

constexpr int64_t kPowBlock = 4096;

void run_pow(const void* raw, const RunContext& context, int64_t first, int64_t last, std::byte*) noexcept {
  const auto& p = *static_cast<const PowParams*>(raw);
  const float* x = context.at<const float>(p.x);
  float* y = context.at<float>(p.y);
  for (int64_t i = first * kPowBlock; i < std::min(p.n, last * kPowBlock); ++i)
    y[i] = p.exponent == 2 ? x[i] * x[i] : std::pow(x[i], p.exponent);
}

struct CastParams {
  Ref x, y;
  int64_t n;
};

template <typename T>
void run_cast(const void* raw, const RunContext& context, int64_t, int64_t, std::byte*) noexcept {
  const auto& p = *static_cast<const CastParams*>(raw);
  const T* x = context.at<const T>(p.x);
  float* y = context.at<float>(p.y);
  for (int64_t i = 0; i < p.n; ++i) y[i] = static_cast<float>(x[i]);
}

/// A step over two dense views of the same elements.
template <typename Params>
void emit_dense(Builder& builder, int32_t n, TaskFn run, Params params, int64_t tasks, const View& x, const View& y) {
  params.x = x.ref();
  params.y = y.ref();
  params.n = x.count();
  Draft draft;
  draft.run = run;
  draft.tasks = tasks;
  draft.nanoseconds = static_cast<double>(x.count()) * 0.5;
  draft.reads = {x.buffer};
  draft.writes = {y.buffer};
  draft.details.bytes = 8 * x.count();
  draft.details.kernel = builder.node(n).op + " float32";
  draft.params = std::make_shared<const Params>(params);
  builder.emit(n, std::move(draft));
}

}  // namespace

bool make_pow(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  const auto exponent = scalar_constant(builder.graph(), node.input(1));
  if (!exponent) return why = "its exponent is not constant", false;
  if (!is_float32(builder, node.inputs[0]) || builder.known(node.inputs[0]))
    return why = "its input is constant or not float32", false;
  const View x = builder.real_operand(node.inputs[0], Order::row_major);
  const View y = builder.real_result(node.outputs[0], x.dims, Order::row_major);
  emit_dense(builder, n, run_pow, PowParams{{}, {}, 0, static_cast<float>(*exponent)},
             (x.count() + kPowBlock - 1) / kPowBlock, x, y);
  builder.finish_real(node.outputs[0]);
  return true;
}

bool make_cast(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  constexpr int64_t kFloat = 1;  // of ONNX
  if (node.attr_int("to", 0) != kFloat) return why = "it does not make float32", false;
  if (!builder.ready(node.input(0)) || builder.known(node.inputs[0]) ||
      builder.graph().value(node.inputs[0]).quantization)
    return why = "its input is constant or annotated", false;
  const DType type = builder.operand(node.inputs[0]).dtype;
  const TaskFn run = type == DType::int64     ? run_cast<int64_t>
                     : type == DType::int32   ? run_cast<int32_t>
                     : type == DType::bool_   ? run_cast<uint8_t>
                     : type == DType::float32 ? run_cast<float>
                                              : nullptr;
  if (!run) return why = "it converts a type that has no step", false;
  const View x = builder.operand(node.inputs[0], Order::row_major);
  const View y = builder.real_result(node.outputs[0], x.dims, Order::row_major);
  emit_dense(builder, n, run, CastParams{}, 1, x, y);
  builder.finish_real(node.outputs[0]);
  return true;
}

}  // namespace lowbit::plan
