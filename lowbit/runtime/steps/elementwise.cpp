// Add, Sub, Mul of codes, and functions of one value by table.
#include <algorithm>
#include <cmath>

#include "lowbit/core/weights.h"
#include "lowbit/runtime/lookup.h"
#include "lowbit/runtime/steps/steps.h"

#include <fmt/format.h>

namespace lowbit {
namespace {

constexpr int64_t kBlock = 4096;

/// An operand: a slot of codes, or a constant encoded once.
struct Operand {
  ValueId id;
  std::optional<Tensor> constant;
  int32_t zero_point;
  float scale;
  const Tensor& tensor(const Frame& frame) const { return constant ? *constant : frame.at(id); }
};

std::optional<Operand> make_operand(const LowerContext& context, ValueId id, std::string& why) {
  const Quantization* q = context.per_tensor(id);
  if (!q) return why = "an operand stays float", std::nullopt;
  Operand operand{id, std::nullopt, q->linear_at(0).zero_point, q->linear_at(0).scale};
  if (context.graph.constant(id)) operand.constant = weight_codes(context.graph.value(id));
  return operand;
}

/// The operand's codes minus its zero point, broadcast to `dims`.
std::vector<int32_t> spread(const Operand& operand, const Tensor& codes, const Dims& dims) {
  std::vector<int32_t> small(static_cast<size_t>(codes.count()));
  load_codes(codes, 0, codes.count(), small.data());
  for (int32_t& code : small) code -= operand.zero_point;
  if (codes.dims() == dims) return small;
  // Odometer over the output; operands that need it are small (per channel, gates).
  const int64_t rank = static_cast<int64_t>(dims.size()), offset = rank - codes.rank();
  const Dims own = row_major_strides(codes.dims());
  Dims strides(dims.size(), 0), at(dims.size(), 0);
  for (int64_t i = 0; i < codes.rank(); ++i)
    if (codes.dim(i) != 1) strides[static_cast<size_t>(i + offset)] = own[static_cast<size_t>(i)];
  std::vector<int32_t> result(static_cast<size_t>(element_count(dims)));
  int64_t from = 0;
  for (int32_t& y : result) {
    y = small[static_cast<size_t>(from)];
    for (int64_t d = rank - 1; d >= 0; --d) {
      const auto axis = static_cast<size_t>(d);
      from += strides[axis];
      if (++at[axis] < dims[axis]) break;
      from -= strides[axis] * dims[axis];
      at[axis] = 0;
    }
  }
  return result;
}

struct BinaryStep {
  enum class Kind { sum, product } kind;
  Operand a, b;
  /// Sum: y = rne(fl32(a * factor_a + fl32(b * factor_b + fixed))) on codes as they are. Product: (a - z_a) (b - z_b)
  /// factor_a, rounded once.
  double factor_a, factor_b, fixed;
  OutputCodes codes;
  CodeRange range;
  DType dtype;
  ValueId y;

  /// The result before rounding, from codes minus their zero points; sums include the result's zero point. Products of
  /// codes and float32 factors are exact in double, so each conversion to float is one fused multiply-add.
  double value(int32_t u, int32_t v) const {
    if (kind == Kind::product) return static_cast<double>(static_cast<int64_t>(u) * v) * factor_a;
    const float inner = static_cast<float>(static_cast<double>(v + b.zero_point) * factor_b + fixed);
    return static_cast<float>(static_cast<double>(u + a.zero_point) * factor_a + static_cast<double>(inner));
  }

  void run(Frame& frame) const {
    const Tensor &ta = a.tensor(frame), &tb = b.tensor(frame);
    const Dims dims = broadcast_dims(ta.dims(), tb.dims());
    const std::vector<int32_t> u = spread(a, ta, dims), v = spread(b, tb, dims);
    Tensor out = Tensor::uninitialized(dtype, dims);
    const OutputCodes limits{kind == Kind::sum ? 0 : codes.zero_point, codes.low, codes.high};
    const double low = range.min - limits.zero_point - 0.5, high = range.max - limits.zero_point + 0.5;
    const int64_t n = out.count();
    std::vector<int32_t> result(static_cast<size_t>(n));
    std::vector<int64_t> clipped(static_cast<size_t>(n / kBlock + 1), 0);
    frame.threads.parallel_blocks(n, kBlock, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        result[static_cast<size_t>(i)] = to_code(value(u[static_cast<size_t>(i)], v[static_cast<size_t>(i)]), limits);
      if (frame.clipped)
        for (int64_t i = begin; i < end; ++i) {
          const double x = value(u[static_cast<size_t>(i)], v[static_cast<size_t>(i)]);
          clipped[static_cast<size_t>(begin / kBlock)] += x < low || x > high;
        }
    });
    store_codes(result.data(), 0, n, out);
    if (int64_t* total = frame.clipped_at(y))
      for (int64_t count : clipped) *total += count;
    frame.set(y, std::move(out));
  }
};

std::optional<Step> make_binary(const LowerContext& context, int32_t n, BinaryStep::Kind kind, std::string& why) {
  const Node& node = context.graph.nodes[static_cast<size_t>(n)];
  const FusedActivation activation = fused_activation(context, node.outputs[0]);
  const Quantization* y = context.per_tensor(activation.output);
  if (!y) return why = "its result stays float", std::nullopt;
  const auto a = make_operand(context, node.input(0), why), b = make_operand(context, node.input(1), why);
  if (!a || !b) return std::nullopt;
  BinaryStep made{kind, *a, *b, 0, 0, 0, output_codes(*y, activation), y->codes(), code_dtype(*y), activation.output};
  const float scale = y->linear_at(0).scale;
  if (kind == BinaryStep::Kind::sum) {
    const float ratio_a = a->scale / scale, ratio_b = b->scale / scale * (node.is("Sub") ? -1.0f : 1.0f);
    const auto offset_b = static_cast<double>(ratio_b * static_cast<float>(b->zero_point));
    const auto offsets = static_cast<float>(static_cast<double>(ratio_a) * a->zero_point + offset_b);
    made.factor_a = ratio_a;
    made.factor_b = ratio_b;
    made.fixed = static_cast<float>(made.codes.zero_point) - offsets;
  } else {
    made.factor_a = a->scale * b->scale / scale;
  }
  if (activation.low >= 0) made.range.min = -(1 << 30);
  Step step;
  for (const Operand& operand : {*a, *b})
    if (!operand.constant) step.inputs.push_back(operand.id);
  step.outputs = {activation.output};
  step.nodes = {n};
  if (activation.node >= 0) step.nodes.push_back(activation.node);
  step.info.integer = true;
  step.info.kernel =
      fmt::format("{} of codes -> {}", kind == BinaryStep::Kind::sum ? "sum" : "product", to_string(y->format));
  step.run = [shared = std::make_shared<const BinaryStep>(std::move(made))](Frame& frame) { shared->run(frame); };
  return step;
}

}  // namespace

std::optional<Step> make_sum_step(const LowerContext& context, int32_t node, std::string& why) {
  return make_binary(context, node, BinaryStep::Kind::sum, why);
}

std::optional<Step> make_mul_step(const LowerContext& context, int32_t node, std::string& why) {
  return make_binary(context, node, BinaryStep::Kind::product, why);
}

std::optional<Step> make_lookup_step(const LowerContext& context, int32_t n, std::string& why) {
  const Node& node = context.graph.nodes[static_cast<size_t>(n)];
  const Quantization *x = context.per_tensor(node.input(0)), *y = context.per_tensor(node.output());
  if (!x || context.graph.constant(node.inputs[0])) return why = "its input stays float", std::nullopt;
  if (!y) return why = "its result stays float", std::nullopt;
  auto values = lookup_table(context.graph, node, *x, *y, why);
  if (!values) return std::nullopt;
  const auto table = std::make_shared<const std::vector<int32_t>>(std::move(*values));
  const CodeRange range = x->codes();

  Step step;
  step.inputs = {node.inputs[0]};
  step.outputs = {node.outputs[0]};
  step.nodes = {n};
  step.info.integer = true;
  step.info.kernel = fmt::format("table {} -> {}", to_string(x->format), to_string(y->format));
  step.run = [table, from = node.inputs[0], to = node.outputs[0], first = range.min,
              type = code_dtype(*y)](Frame& frame) {
    const Tensor& codes = frame.at(from);
    Tensor out = Tensor::uninitialized(type, codes.dims());
    std::vector<int32_t> chunk(kBlock);
    for (int64_t begin = 0; begin < codes.count(); begin += kBlock) {
      const int64_t count = std::min(kBlock, codes.count() - begin);
      load_codes(codes, begin, count, chunk.data());
      for (int64_t i = 0; i < count; ++i)
        chunk[static_cast<size_t>(i)] = (*table)[static_cast<size_t>(chunk[static_cast<size_t>(i)] - first)];
      store_codes(chunk.data(), begin, count, out);
    }
    frame.set(to, std::move(out));
  };
  return step;
}

}  // namespace lowbit
