// contrib.cpp: the com.microsoft operators that quantizers and graph optimizers write. Each is defined by the standard
// operators it stands for; integer ones dequantize, compute in float and quantize the result.
#include <array>

#include "lowbit/base/checked.h"
#include "lowbit/ops/evaluate.h"
#include "lowbit/ops/families.h"
#include "lowbit/ops/infer_helpers.h"
#include "lowbit/ops/matmul.h"
#include "lowbit/ops/op_helpers.h"
#include "lowbit/ops/quantize.h"
#include "lowbit/ops/window.h"

namespace lowbit {
namespace {

using Inputs = std::vector<const Tensor*>;

/// Output 0 (or `outputs` of them) of a standard operator.
std::vector<Tensor> run_standard(EvalContext& context, std::string op, const Inputs& inputs, Attributes attributes = {},
                                 size_t outputs = 1) {
  Node node;
  node.name = context.node().name;
  node.op = std::move(op);
  node.attributes = std::move(attributes);
  for (size_t i = 0; i < inputs.size(); ++i) node.inputs.push_back(inputs[i] ? static_cast<ValueId>(i) : kNone);
  for (size_t i = 0; i < outputs; ++i) node.outputs.push_back(static_cast<ValueId>(inputs.size() + i));
  return evaluate_node(node, inputs, context.threads());
}

Tensor run_one(EvalContext& context, std::string op, const Inputs& inputs, Attributes attributes = {}) {
  return std::move(run_standard(context, std::move(op), inputs, std::move(attributes))[0]);
}

/// The attributes of the node that a standard operator knows too.
Attributes some_attributes(const Node& node, std::initializer_list<std::string_view> keys) {
  Attributes result;
  for (std::string_view key : keys)
    if (const auto found = node.attributes.find(key); found != node.attributes.end()) result.insert(*found);
  return result;
}

/// float32 values of codes, scale and zero point at inputs i, i + 1, i + 2.
Tensor real_input(EvalContext& context, size_t i, int64_t axis = 1) {
  return dequantize_linear(context, context.input(i), context.input(i + 1), context.optional_input(i + 2), {axis, 0},
                           DType::float32);
}

/// Sets output 0 to the codes of `real`, with the scale at input `scale` and the zero point behind it.
void set_codes(EvalContext& context, const Tensor& real, size_t scale, DType fallback) {
  const Tensor* zero = context.optional_input(scale + 1);
  const DType type = zero ? zero->dtype() : fallback;
  context.set_output(0, quantize_linear(context, real, context.input(scale), zero, {}, type));
}

void run_qlinear_binary(EvalContext& context, const char* op) {
  const Tensor a = real_input(context, 0), b = real_input(context, 3);
  set_codes(context, run_one(context, op, {&a, &b}), 6, context.input(0).dtype());
}
void run_qlinear_add(EvalContext& context) { run_qlinear_binary(context, "Add"); }
void run_qlinear_mul(EvalContext& context) { run_qlinear_binary(context, "Mul"); }

void run_qlinear_unary(EvalContext& context, const char* op, Attributes attributes = {}) {
  const Tensor x = real_input(context, 0);
  set_codes(context, run_one(context, op, {&x}, std::move(attributes)), 3, context.input(0).dtype());
}
void run_qlinear_sigmoid(EvalContext& context) { run_qlinear_unary(context, "Sigmoid"); }
void run_qlinear_leaky_relu(EvalContext& context) {
  run_qlinear_unary(context, "LeakyRelu", some_attributes(context.node(), {"alpha"}));
}
void run_qlinear_softmax(EvalContext& context) {
  constexpr int64_t kSingleAxisOpset = 13;
  if (context.node().attr_int("opset", kSingleAxisOpset) >= kSingleAxisOpset)
    return run_qlinear_unary(context, "Softmax", some_attributes(context.node(), {"axis"}));
  // Before opset 13 softmax ran over everything from the axis on.
  const Tensor x = real_input(context, 0);
  const int64_t axis = normalize_axis(context.node().attr_int("axis", 1), x.rank());
  const int64_t outer = count_between(x.dims(), 0, static_cast<size_t>(axis));
  const Tensor flat = x.reshaped({outer, x.count() / std::max<int64_t>(1, outer)});
  set_codes(context, run_one(context, "Softmax", {&flat}).reshaped(x.dims()), 3, context.input(0).dtype());
}

void refuse_channels_last(const Node& node) {
  if (node.attr_int("channels_last", 0) != 0) unsupported("channels_last = 1 (export the model in NCHW order)");
}
void run_qlinear_global_pool(EvalContext& context) {
  refuse_channels_last(context.node());
  run_qlinear_unary(context, "GlobalAveragePool");
}
void run_qlinear_pool(EvalContext& context) {
  refuse_channels_last(context.node());
  run_qlinear_unary(context, "AveragePool",
                    some_attributes(context.node(),
                                    {"auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides"}));
}

void run_qlinear_concat(EvalContext& context) {
  require(context.input_count() % 3 == 2, "{} inputs; scale, zero point and then triples are needed",
          context.input_count());
  std::vector<Tensor> parts;
  for (size_t i = 2; i < context.input_count(); i += 3) parts.push_back(real_input(context, i));
  Inputs inputs;
  for (const Tensor& part : parts) inputs.push_back(&part);
  set_codes(context, run_one(context, "Concat", inputs, some_attributes(context.node(), {"axis"})), 0,
            context.input(2).dtype());
}

void run_qgemm(EvalContext& context) {
  const Node& node = context.node();
  const int64_t columns = node.attr_int("transB", 0) != 0 ? 0 : 1;
  const Tensor a = real_input(context, 0), b = real_input(context, 3, columns);
  Inputs inputs{&a, &b};
  Tensor c;
  if (context.has_input(6)) {
    // The bias has the scale of the products.
    const Tensor scale = run_one(context, "Mul", {&context.input(1), &context.input(4)});
    const Tensor& codes = context.input(6);
    c = dequantize_linear(context, codes, scale, nullptr, {codes.rank() - 1, 0}, DType::float32);
    inputs.push_back(&c);
  }
  Tensor y = run_one(context, "Gemm", inputs, some_attributes(node, {"alpha", "transA", "transB"}));
  if (!context.has_input(7)) return context.set_output(0, std::move(y));
  set_codes(context, y, 7, context.input(0).dtype());
}

/// The activation that FusedConv applies, with its parameters.
Tensor run_activation(EvalContext& context, const Tensor& x) {
  const Node& node = context.node();
  const std::string name = node.attr_string("activation", "");
  const std::vector<float> params = node.attr_floats("activation_params");
  const auto at_least = [&](size_t n) { require(params.size() >= n, "{} needs {} activation_params", name, n); };
  if (name.empty()) return x;
  if (name == "Relu" || name == "Tanh" || name == "Sigmoid") return run_one(context, name, {&x});
  if (name == "LeakyRelu") {
    at_least(1);
    return run_one(context, name, {&x}, {{"alpha", params[0]}});
  }
  if (name == "HardSigmoid") {
    at_least(2);
    return run_one(context, name, {&x}, {{"alpha", params[0]}, {"beta", params[1]}});
  }
  if (name == "Clip") {
    at_least(2);
    const Tensor low = Tensor::scalar<float>(params[0]).cast(x.dtype());
    const Tensor high = Tensor::scalar<float>(params[1]).cast(x.dtype());
    return run_one(context, name, {&x, &low, &high});
  }
  unsupported("the activation '{}'", name);
}

void run_fused_conv(EvalContext& context) {
  Tensor y =
      run_one(context, "Conv", {&context.input(0), &context.input(1), context.optional_input(2)},
              some_attributes(context.node(), {"auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"}));
  if (context.has_input(3)) y = run_one(context, "Add", {&y, &context.input(3)});
  context.set_output(0, run_activation(context, y));
}

/// Exchanges the last two axes where the attribute asks for it.
Tensor transposed_if(EvalContext& context, size_t input, std::string_view key) {
  const Tensor& x = context.input(input);
  if (context.node().attr_int(key, 0) == 0 || x.rank() < 2) return x;
  std::vector<int64_t> order;
  for (int64_t i = 0; i < x.rank(); ++i) order.push_back(i);
  std::swap(order[order.size() - 1], order[order.size() - 2]);
  return run_one(context, "Transpose", {&x}, {{"perm", order}});
}

void run_fused_matmul(EvalContext& context) {
  const Node& node = context.node();
  if (node.attr_int("transBatchA", 0) != 0 || node.attr_int("transBatchB", 0) != 0)
    unsupported("transBatchA and transBatchB");
  const Tensor a = transposed_if(context, 0, "transA"), b = transposed_if(context, 1, "transB");
  const Tensor product = run_one(context, "MatMul", {&a, &b});
  const Tensor alpha = Tensor::scalar<float>(node.attr_float("alpha", 1)).cast(product.dtype());
  context.set_output(0, run_one(context, "Mul", {&product, &alpha}));
}

void run_gelu_of(EvalContext& context, const char* approximate) {
  const Tensor& x = context.input(0);
  const Tensor sum = context.has_input(1) ? run_one(context, "Add", {&x, &context.input(1)}) : x;
  context.set_output(0, run_one(context, "Gelu", {&sum}, {{"approximate", std::string(approximate)}}));
}
void run_gelu(EvalContext& context) { run_gelu_of(context, "none"); }
void run_fast_gelu(EvalContext& context) { run_gelu_of(context, "tanh"); }

void run_skip_layer_norm(EvalContext& context) {
  Tensor sum = run_one(context, "Add", {&context.input(0), &context.input(1)});
  if (context.has_input(4)) sum = run_one(context, "Add", {&sum, &context.input(4)});
  std::vector<Tensor> y =
      run_standard(context, "LayerNormalization", {&sum, &context.input(2), context.optional_input(3)},
                   some_attributes(context.node(), {"epsilon"}), 3);
  for (size_t i = 0; i < 3; ++i) context.set_output(i, std::move(y[i]));
  context.set_output(3, std::move(sum));
}

/// Product of dequantized matrices plus a bias.
void set_product(EvalContext& context, const Tensor& a, const Tensor& b, size_t bias) {
  Tensor y = run_one(context, "MatMul", {&a, &b});
  if (context.has_input(bias)) y = run_one(context, "Add", {&y, &context.input(bias)});
  context.set_output(0, std::move(y));
}

/// Inputs A, B, b_scale, b_zero_point, bias.
void run_dynamic_matmul(EvalContext& context) {
  const std::vector<Tensor> codes = run_standard(context, "DynamicQuantizeLinear", {&context.input(0)}, {}, 3);
  const Tensor a = dequantize_linear(context, codes[0], codes[1], &codes[2], {}, DType::float32);
  const Tensor b = dequantize_linear(context, context.input(1), context.input(2), context.optional_input(3), {-1, 0},
                                     DType::float32);
  set_product(context, a, b, 4);
}

/// Inputs A, B, a_scale, b_scale, a_zero_point, b_zero_point, bias.
void run_matmul_to_float(EvalContext& context) {
  const auto real = [&](size_t i, int64_t axis) {
    return dequantize_linear(context, context.input(i), context.input(i + 2), context.optional_input(i + 4), {axis, 0},
                             DType::float32);
  };
  const Tensor a = real(0, -2), b = real(1, -1);
  set_product(context, a, b, 6);
}

/// Attributes of MatMulNBits: B is [n, blocks, bytes of a block], codes packed from the lowest bits up.
struct PackedWeights {
  int64_t k, n, bits, block, blocks;

  explicit PackedWeights(const Node& node)
      : k(node.attr_int("K", 0)),
        n(node.attr_int("N", 0)),
        bits(node.attr_int("bits", 4)),
        block(node.attr_int("block_size", 0)),
        blocks(0) {
    require(k >= 1 && n >= 1 && block >= 16 && block % 8 == 0 && (bits == 2 || bits == 4 || bits == 8),
            "K = {}, N = {}, block_size = {}, bits = {}", k, n, block, bits);
    blocks = (k - 1) / block + 1;
  }
  /// Code `index` of a row of packed bytes.
  int64_t code(const uint8_t* row, int64_t index) const {
    const int64_t bit = index * bits;
    return row[bit / 8] >> (bit % 8) & ((1 << bits) - 1);
  }
  int64_t row_bytes(int64_t codes) const { return (checked_mul(codes, bits) + 7) / 8; }
};

/// Zero points per row and block; 2^(bits - 1) if absent.
std::vector<float> packed_zeros(const EvalContext& c, const PackedWeights& p) {
  std::vector<float> zeros(static_cast<size_t>(p.n * p.blocks), static_cast<float>(1 << (p.bits - 1)));
  if (!c.has_input(3)) return zeros;
  const Tensor& given = c.input(3);
  if (given.dtype() != DType::uint8) {
    require(given.count() == p.n * p.blocks, "{} zero points for {} blocks", given.count(), p.n * p.blocks);
    const Tensor real = to_float32(given);
    return {real.values<float>().begin(), real.values<float>().end()};
  }
  const int64_t bytes = p.row_bytes(p.blocks);
  require(given.count() == p.n * bytes, "{} bytes of zero points, but {} are needed", given.count(), p.n * bytes);
  for (int64_t i = 0; i < p.n * p.blocks; ++i)
    zeros[static_cast<size_t>(i)] =
        static_cast<float>(p.code(given.data<uint8_t>() + i / p.blocks * bytes, i % p.blocks));
  return zeros;
}

void run_matmul_nbits(EvalContext& context) {
  const Node& node = context.node();
  const PackedWeights p(node);
  if (context.has_input(4)) unsupported("MatMulNBits with g_idx");
  const int64_t bytes = p.row_bytes(p.blocks * p.block);
  require(context.input(1).dtype() == DType::uint8 && context.input(1).count() == checked_mul(p.n, bytes),
          "B holds {} codes of {}, but {} bytes are needed", context.input(1).count(),
          dtype_name(context.input(1).dtype()), p.n * bytes);
  const Tensor scales = to_float32(context.input(2));
  require(scales.count() == p.n * p.blocks, "{} scales for {} blocks", scales.count(), p.n * p.blocks);
  const std::vector<float> zeros = packed_zeros(context, p);
  Tensor b = make_output(node, DType::float32, {p.n, p.k});
  float* to = b.mutable_data<float>();
  const uint8_t* codes = context.input(1).data<uint8_t>();
  for (int64_t row = 0; row < p.n; ++row)
    for (int64_t k = 0; k < p.k; ++k) {
      const int64_t group = row * p.blocks + k / p.block;
      to[row * p.k + k] = (static_cast<float>(p.code(codes + row * bytes, k)) - zeros[static_cast<size_t>(group)]) *
                          scales.data<float>()[group];
    }
  const Tensor transposed = run_one(context, "Transpose", {&b}, {{"perm", std::vector<int64_t>{1, 0}}});
  const Tensor a = to_float32(context.input(0));
  Tensor y = run_one(context, "MatMul", {&a, &transposed});
  if (context.has_input(5)) {
    const Tensor bias = to_float32(context.input(5));
    y = run_one(context, "Add", {&y, &bias});
  }
  context.set_output(0, y.cast(context.input(0).dtype()));
}

void infer_qlinear_binary(InferContext& context) {
  const Shape *a = context.input_shape(0), *b = context.input_shape(3);
  context.set_output(0, context.input_dtype(0),
                     a && b ? std::optional(broadcast_shapes(context.node(), *a, *b)) : std::nullopt);
}

void infer_type_only(InferContext& context) { context.set_output(0, context.input_dtype(0), std::nullopt); }
void infer_concat_type(InferContext& context) { context.set_output(0, context.input_dtype(2), std::nullopt); }

void infer_global_pool(InferContext& context) {
  std::optional<Shape> out = shape_of(context, 0);
  if (out && out->size() >= 3) std::fill(out->begin() + 2, out->end(), Dim(1));
  context.set_output(0, context.input_dtype(0), out);
}

void infer_pool(InferContext& context) {
  const Shape* x = context.input_shape(0);
  const std::vector<int64_t> kernel = context.node().attr_ints("kernel_shape");
  if (!x || kernel.size() + 2 != x->size()) return infer_type_only(context);
  const WindowRule rule(context.node(), kernel);
  Shape out{(*x)[0], (*x)[1]};
  for (size_t i = 0; i < kernel.size(); ++i)
    out.push_back(rule.out_dim(i, (*x)[i + 2], context.node().attr_int("ceil_mode", 0) != 0));
  context.set_output(0, context.input_dtype(0), out);
}

void infer_fused_conv(InferContext& context) { find_op("", "Conv")->infer(context); }

void infer_qgemm(InferContext& context) {
  const size_t ta = context.node().attr_int("transA", 0) != 0, tb = context.node().attr_int("transB", 0) != 0;
  context.set_output(0, context.has_input(7) ? context.input_dtype(0) : DType::float32,
                     Shape{dim_or_unknown(context.input_shape(0), ta), dim_or_unknown(context.input_shape(3), 1 - tb)});
}

void infer_float_product(InferContext& context) { context.set_output(0, DType::float32, matmul_shape(context, 0, 1)); }

void infer_matmul_nbits(InferContext& context) {
  std::optional<Shape> out = shape_of(context, 0);
  if (out && !out->empty()) out->back() = Dim(PackedWeights(context.node()).n);
  context.set_output(0, context.input_dtype(0), out);
}

void infer_skip_layer_norm(InferContext& context) {
  infer_same(context);
  context.set_output(3, context.input_dtype(0), shape_of(context, 0));
}

}  // namespace

std::span<const OpDef> contrib_ops() {
  constexpr std::string_view kDomain = "com.microsoft";
  constexpr OpKind kCompute = OpKind::compute, kElement = OpKind::elementwise, kReduce = OpKind::reduction;
  static const OpDef rows[] = {
      {kDomain, "BiasGelu", kElement, 2, 2, 1, 1, "", infer_broadcast, run_gelu},
      {kDomain, "DynamicQuantizeMatMul", kCompute, 3, 5, 1, 1, "", infer_float_product, run_dynamic_matmul},
      {kDomain, "FastGelu", kElement, 1, 2, 1, 1, "", infer_same, run_fast_gelu},
      {kDomain, "FusedConv", kCompute, 2, 4, 1, 1,
       "activation activation_params auto_pad dilations group kernel_shape pads strides", infer_fused_conv,
       run_fused_conv},
      {kDomain, "FusedMatMul", kCompute, 2, 2, 1, 1, "alpha transA transB transBatchA transBatchB", infer_type_only,
       run_fused_matmul},
      {kDomain, "Gelu", kElement, 1, 1, 1, 1, "", infer_same, run_gelu},
      {kDomain, "MatMulIntegerToFloat", kCompute, 4, 7, 1, 1, "", infer_float_product, run_matmul_to_float},
      {kDomain, "MatMulNBits", kCompute, 3, 6, 1, 1, "K N accuracy_level bits block_size", infer_matmul_nbits,
       run_matmul_nbits},
      {kDomain, "QGemm", kCompute, 6, 9, 1, 1, "alpha transA transB", infer_qgemm, run_qgemm},
      {kDomain, "QLinearAdd", kElement, 7, 8, 1, 1, "", infer_qlinear_binary, run_qlinear_add},
      {kDomain, "QLinearAveragePool", kReduce, 4, 5, 1, 1,
       "auto_pad ceil_mode channels_last count_include_pad kernel_shape pads strides", infer_pool, run_qlinear_pool},
      {kDomain, "QLinearConcat", OpKind::movement, 5, -1, 1, 1, "axis", infer_concat_type, run_qlinear_concat},
      {kDomain, "QLinearGlobalAveragePool", kReduce, 5, 5, 1, 1, "channels_last", infer_global_pool,
       run_qlinear_global_pool},
      {kDomain, "QLinearLeakyRelu", kElement, 4, 5, 1, 1, "alpha", infer_same, run_qlinear_leaky_relu},
      {kDomain, "QLinearMul", kElement, 7, 8, 1, 1, "", infer_qlinear_binary, run_qlinear_mul},
      {kDomain, "QLinearSigmoid", kElement, 4, 5, 1, 1, "", infer_same, run_qlinear_sigmoid},
      {kDomain, "QLinearSoftmax", kReduce, 5, 5, 1, 1, "axis opset", infer_same, run_qlinear_softmax},
      {kDomain, "SkipLayerNormalization", kReduce, 3, 5, 1, 4, "epsilon", infer_skip_layer_norm, run_skip_layer_norm},
  };
  return rows;
}

}  // namespace lowbit
