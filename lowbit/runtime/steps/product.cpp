// MatMul of two activations (attention) in integers.
#include <algorithm>

#include <fmt/format.h>

#include "lowbit/kernels/gemm_i16.h"
#include "lowbit/runtime/layer.h"
#include "lowbit/runtime/steps/steps.h"

namespace lowbit {
namespace {

struct ProductStep {
  ValueId a, b, y;
  LinearParams pa, pb;
  int64_t span;  ///< max |a - z_a| * max |b - z_b|
  std::optional<Quantization> output;
  OutputCodes codes;

  /// The layer that one matrix of the batch is: everything but weights, which change with every run.
  IntegerLayer layer_of(int64_t channels, int64_t k) const {
    IntegerLayer layer;
    layer.channels = channels;
    layer.k = k;
    layer.output = output;
    layer.codes = codes;
    layer.counted = {-(1 << 30), 1 << 30};
    layer.accumulator_bound = span * k;
    layer.input_span = 1;
    layer.weight_span = static_cast<int32_t>(std::min<int64_t>(span, INT32_MAX / 2));
    const double scale = static_cast<double>(pa.scale) * static_cast<double>(pb.scale);
    layer.scales.assign(static_cast<size_t>(channels), scale);
    if (output) layer.factors.assign(static_cast<size_t>(channels), pa.scale * pb.scale / output->linear_at(0).scale);
    return layer;
  }

  void run(Frame& frame) const {
    const Tensor &ta = frame.at(a), &tb = frame.at(b);
    if (ta.rank() < 2 || tb.rank() < 2 || ta.dims().back() != tb.dim(tb.rank() - 2))
      throw Error(ErrorCode::bad_argument,
                  "matrices " + dims_text(ta.dims()) + " and " + dims_text(tb.dims()) + " cannot be multiplied");
    const int64_t m = ta.dim(ta.rank() - 2), k = ta.dims().back(), n = tb.dims().back();
    const Dims batch_a(ta.dims().begin(), ta.dims().end() - 2), batch_b(tb.dims().begin(), tb.dims().end() - 2);
    const Dims batch = broadcast_dims(batch_a, batch_b);
    Dims dims = batch;
    dims.insert(dims.end(), {m, n});
    Tensor out = Tensor::uninitialized(output ? code_dtype(*output) : DType::float32, dims);
    const IntegerLayer layer = layer_of(n, k);
    std::byte* raw = out.mutable_raw();
    const int64_t k_padded = kernels::gemm_padded_k(k);
    frame.threads.parallel_for(element_count(batch), [&](int64_t i) {
      const int64_t at_a = matrix_index(i, batch, batch_a), at_b = matrix_index(i, batch, batch_b);
      std::vector<int32_t> buffer(static_cast<size_t>(std::max(m, n) * k));
      load_codes(ta, at_a * m * k, m * k, buffer.data());
      std::vector<int16_t> rows(static_cast<size_t>(m * k_padded), 0);
      for (int64_t r = 0; r < m; ++r)
        for (int64_t c = 0; c < k; ++c)
          rows[static_cast<size_t>(r * k_padded + c)] =
              static_cast<int16_t>(buffer[static_cast<size_t>(r * k + c)] - pa.zero_point);
      load_codes(tb, at_b * k * n, k * n, buffer.data());
      std::vector<int16_t> columns(static_cast<size_t>(n * k)), packed(kernels::gemm_packed_size(n, k));
      for (int64_t r = 0; r < k; ++r)
        for (int64_t c = 0; c < n; ++c)
          columns[static_cast<size_t>(c * k + r)] =
              static_cast<int16_t>(buffer[static_cast<size_t>(r * n + c)] - pb.zero_point);
      kernels::gemm_pack(columns.data(), n, k, k, packed.data());
      run_layer_rows(layer, packed, 0, n, m, rows.data(), {raw, out.dtype(), i * m * n, n, 1}, nullptr);
    });
    frame.set(y, std::move(out));
  }

  /// Index of the matrix of an operand with batch dimensions `own` for matrix i of the broadcast batch.
  static int64_t matrix_index(int64_t i, const Dims& batch, const Dims& own) {
    int64_t index = 0, stride = 1;
    for (size_t d = 0; d < batch.size(); ++d) {
      const size_t axis = batch.size() - 1 - d;
      const int64_t at = i % batch[axis];
      i /= batch[axis];
      if (d >= own.size()) continue;
      const int64_t size = own[own.size() - 1 - d];
      index += (size == 1 ? 0 : at) * stride;
      stride *= size;
    }
    return index;
  }
};

int32_t span_of(const Quantization& q) {
  const CodeRange range = q.codes();
  return std::max(range.max - q.linear_at(0).zero_point, q.linear_at(0).zero_point - range.min);
}

}  // namespace

std::optional<Step> make_product_step(const LowerContext& context, int32_t n, std::string& why) {
  const Node& node = context.graph.nodes[static_cast<size_t>(n)];
  const Quantization *a = context.per_tensor(node.input(0)), *b = context.per_tensor(node.input(1));
  if (!a || !b) return why = "an operand stays float", std::nullopt;
  if (context.graph.constant(node.inputs[0]) || context.graph.constant(node.inputs[1]))
    return why = "a constant operand has no matrix form here", std::nullopt;
  const int64_t span = static_cast<int64_t>(span_of(*a)) * span_of(*b);
  if (span_of(*a) > INT16_MAX || span_of(*b) > INT16_MAX || span > INT32_MAX / 2)
    return why = "its codes are too wide", std::nullopt;
  const FusedActivation activation = fused_activation(context, node.outputs[0]);
  ProductStep made{node.inputs[0],  node.inputs[1], activation.output, a->linear_at(0),
                   b->linear_at(0), span,           std::nullopt,      {}};
  if (const Quantization* y = context.per_tensor(activation.output)) {
    made.output = *y;
    made.codes = output_codes(*y, activation);
  }
  Step step;
  step.inputs = {made.a, made.b};
  step.outputs = {made.y};
  step.nodes = {n};
  if (activation.node >= 0) step.nodes.push_back(activation.node);
  step.info.integer = true;
  step.info.kernel = fmt::format("MatMul {} x {} -> {}", to_string(a->format), to_string(b->format),
                                 made.output ? to_string(made.output->format) : "float32");
  step.info.accumulator_bits = 64;
  step.info.note = "accumulators are 32 bits wide where the inner dimension allows, else 64";
  step.run = [shared = std::make_shared<const ProductStep>(std::move(made))](Frame& frame) { shared->run(frame); };
  return step;
}

std::optional<Step> make_matmul_step(const LowerContext& context, int32_t n, std::string& why) {
  const Node& node = context.graph.nodes[static_cast<size_t>(n)];
  return context.graph.constant(node.input(1)) ? make_matrix_step(context, n, why) : make_product_step(context, n, why);
}

}  // namespace lowbit
