// LSTM and GRU with low-bit weights and int8 activations: docs/integer-semantics.md, "Recurrent layers".
#include "lowbit/kernels/recurrent.h"

#include <algorithm>

#include <fmt/format.h>

#include "lowbit/core/weights.h"
#include "lowbit/runtime/lowbit_weights.h"
#include "lowbit/runtime/recurrent_node.h"
#include "lowbit/runtime/steps/steps.h"

namespace lowbit {
namespace {

using kernels::RecurrentLayer;

/// One direction with what it points to.
struct Direction {
  RecurrentLayer layer;
  std::shared_ptr<const PackedWeights> input, recurrent;
  RecurrentNode::Biases biases;
  std::vector<float> peephole;
};

struct RecurrentStep {
  std::vector<std::shared_ptr<const Direction>> directions;
  ValueId x = kNone, lengths = kNone, h0 = kNone, c0 = kNone;
  std::vector<ValueId> outputs;         ///< Y, Y_h, Y_c; kNone where absent
  std::optional<Quantization> x_codes;  ///< nothing: dynamic
  RecurrentNode node;

  void run(const Graph& graph, Frame& frame) const;
};

/// A value as floats: decoded where it is annotated.
Tensor float_tensor(const Graph& graph, ValueId id, const Frame& frame) {
  const Value& value = graph.value(id);
  const bool encoded = value.quantization && !value.quantization->dynamic;
  if (value.constant) return encoded ? weight_values(value) : *value.constant;
  return encoded ? dequantize_activation(*value.quantization, frame.at(id)) : frame.at(id);
}

std::vector<int64_t> sequence_lengths(const Graph& graph, ValueId id, const Frame& frame, int64_t batch,
                                      int64_t steps) {
  if (id == kNone) return {};
  const Tensor* constant = graph.constant(id);
  const Tensor lengths = (constant ? *constant : frame.at(id)).cast(DType::int64);
  if (lengths.count() != batch)
    throw Error(ErrorCode::bad_argument, fmt::format("{} sequence lengths for {} sequences", lengths.count(), batch));
  std::vector<int64_t> result(lengths.data<int64_t>(), lengths.data<int64_t>() + batch);
  for (int64_t n : result)
    if (n < 0 || n > steps)
      throw Error(ErrorCode::bad_argument, fmt::format("a sequence length is {}, with {} steps", n, steps));
  return result;
}

/// Codes of x as int8: the kernel takes them as they are, unsigned ones moved down by 128 with their zero point.
std::vector<int8_t> signed_codes(const Tensor& codes) {
  std::vector<int8_t> result(static_cast<size_t>(codes.count()));
  std::vector<int32_t> wide(result.size());
  load_codes(codes, 0, codes.count(), wide.data());
  const int32_t down = codes.dtype() == DType::uint8 ? 128 : 0;
  std::transform(wide.begin(), wide.end(), result.begin(),
                 [down](int32_t code) { return static_cast<int8_t>(code - down); });
  return result;
}

void RecurrentStep::run(const Graph& graph, Frame& frame) const {
  const Tensor& in = frame.at(x);
  if (in.rank() != 3 || in.dim(2) != node.inputs)
    throw Error(ErrorCode::bad_argument,
                fmt::format("X {} does not fit weights for {} inputs", dims_text(in.dims()), node.inputs));
  kernels::RecurrentCall call;
  call.steps = in.dim(node.batch_first ? 1 : 0);
  call.batch = in.dim(node.batch_first ? 0 : 1);
  node.set_strides(call);
  std::vector<int8_t> codes;
  if (x_codes) {
    codes = signed_codes(in);
    const LinearParams params = x_codes->linear_at(0);
    call.x_codes = codes.data();
    call.x_scale = params.scale;
    call.x_zero = params.zero_point - (in.dtype() == DType::uint8 ? 128 : 0);
  } else {
    call.x = in.data<float>();
  }
  const std::vector<int64_t> row_lengths = sequence_lengths(graph, lengths, frame, call.batch, call.steps);
  call.lengths = row_lengths.empty() ? nullptr : row_lengths.data();

  const auto count = static_cast<int64_t>(directions.size());
  const Dims state = node.state_dims(call.batch);
  const auto first_state = [&](ValueId id, Tensor& tensor) -> const float* {
    if (id == kNone) return nullptr;
    tensor = float_tensor(graph, id, frame);
    if (tensor.dims() != state)
      throw Error(ErrorCode::bad_argument,
                  "a first state is " + dims_text(tensor.dims()) + ", expected " + dims_text(state));
    return tensor.data<float>();
  };
  Tensor h_tensor, c_tensor;
  const float *h_first = first_state(h0, h_tensor), *c_first = first_state(c0, c_tensor);
  Tensor y(DType::float32, node.output_dims(call.steps, call.batch));
  Tensor last_h(DType::float32, state), last_c(DType::float32, state);

  const kernels::TaskPool pool{[](void* threads, void (*task)(void*, size_t), void* argument, size_t n) {
                                 static_cast<ThreadPool*>(threads)->parallel_for(
                                     static_cast<int64_t>(n),
                                     [&](int64_t i) { task(argument, static_cast<size_t>(i)); });
                               },
                               &frame.threads, frame.threads.size()};
  for (int64_t d = 0; d < count; ++d) {
    const RecurrentLayer& layer = directions[static_cast<size_t>(d)]->layer;
    const int64_t y_at = node.direction_offset(d, call.batch);
    call.h0 = h_first ? h_first + y_at : nullptr;
    call.c0 = c_first ? c_first + y_at : nullptr;
    call.y = y.mutable_data<float>() + y_at;
    call.last_h = last_h.mutable_data<float>() + y_at;
    call.last_c = last_c.mutable_data<float>() + y_at;
    std::vector<std::byte> scratch(kernels::recurrent_scratch_bytes(layer, call.steps, call.batch) + 64);
    call.scratch = reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(scratch.data()) + 63) / 64 * 64);
    kernels::run_recurrent(layer, call, pool, kernels::active_isa());
  }
  Tensor* results[] = {&y, &last_h, &last_c};
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i] == kNone) continue;
    const auto& quantization = graph.value(outputs[i]).quantization;
    const bool encoded = quantization && !quantization->dynamic;
    frame.set(outputs[i], encoded ? quantize_activation(*quantization, *results[i], frame.clipped_at(outputs[i]))
                                  : std::move(*results[i]));
  }
}

std::optional<LevelMatrix> weight_matrix(const LowerContext& context, const Node& node, size_t input,
                                         std::string& why) {
  const Tensor* weight = context.graph.constant(node.input(input));
  const Quantization* quantization = context.linear(node.input(input));
  if (!weight || weight->rank() != 3) return why = "its weights are not constant", std::nullopt;
  if (!quantization) return why = "its weights have no linear annotation", std::nullopt;
  return level_matrix(context.graph.value(node.input(input)), {{0, 1, 2}, 2}, why);
}

/// What can be read off the node before any weight is packed.
struct Checked {
  RecurrentNode node;
  LevelMatrix w, r;
};

std::optional<Checked> check_node(const LowerContext& context, const Node& node, std::string& why) {
  const Graph& graph = context.graph;
  const auto& x = graph.value(node.input(0)).quantization;
  if (!x || (!x->dynamic && !context.per_tensor(node.input(0))) || graph.constant(node.input(0)))
    return why = "its input stays float", std::nullopt;
  if (!x->linear() || x->format.bits != 8) return why = "its input is of no 8-bit linear system", std::nullopt;
  auto w = weight_matrix(context, node, 1, why), r = weight_matrix(context, node, 2, why);
  if (!w || !r) return std::nullopt;
  auto read = read_recurrent(graph, node, why);
  if (!read) return std::nullopt;
  return Checked{std::move(*read), std::move(*w), std::move(*r)};
}

/// Null if the weights cannot be packed.
std::shared_ptr<const Direction> make_direction(const Checked& checked, bool reverse, int64_t d, std::string& why) {
  auto made = std::make_shared<Direction>();
  made->layer = checked.node.layer;
  made->layer.reverse = reverse;
  const std::vector<int64_t> rows = checked.node.row_order(d);
  made->input = pack_levels(checked.w, rows, why);
  made->recurrent = pack_levels(checked.r, rows, why);
  if (!made->input || !made->recurrent) return nullptr;
  made->biases = checked.node.biases(d);
  made->peephole = checked.node.peepholes(d);
  made->layer.input = made->input->view;
  made->layer.recurrent = made->recurrent->view;
  made->layer.input_bias = made->biases.input.empty() ? nullptr : made->biases.input.data();
  made->layer.recurrent_bias = made->biases.recurrent.empty() ? nullptr : made->biases.recurrent.data();
  made->layer.peephole = made->peephole.empty() ? nullptr : made->peephole.data();
  return made;
}

}  // namespace

std::optional<Step> make_recurrent_step(const LowerContext& context, int32_t n, std::string& why) {
  const Graph& graph = context.graph;
  const Node& node = graph.nodes[static_cast<size_t>(n)];
  const auto checked = check_node(context, node, why);
  if (!checked) return std::nullopt;
  const Quantization& x = *graph.value(node.inputs[0]).quantization;
  RecurrentStep made;
  made.node = checked->node;
  made.x = node.inputs[0];
  made.lengths = node.input(4);
  made.h0 = node.input(5);
  made.c0 = node.op == "LSTM" ? node.input(6) : kNone;
  made.outputs = node.outputs;
  if (!x.dynamic) made.x_codes = x;
  for (int64_t d = 0; d < checked->node.directions; ++d) {
    made.directions.push_back(make_direction(*checked, checked->node.reverse || d == 1, d, why));
    if (!made.directions.back()) return std::nullopt;
  }
  Step step;
  step.nodes = {n};
  for (size_t i : {0, 4, 5, 6})
    if (node.input(i) != kNone && !graph.constant(node.input(i))) step.inputs.push_back(node.inputs[i]);
  for (ValueId id : node.outputs)
    if (id != kNone) step.outputs.push_back(id);
  step.info.integer = true;
  step.info.kernel =
      fmt::format("{} {}{} x {} / {}", node.op, x.dynamic ? "dynamic " : "", to_string(x.format),
                  to_string(context.linear(node.inputs[1])->format), to_string(context.linear(node.inputs[2])->format));
  step.info.note = "gates and states in float32; h is quantized at each step";
  step.info.accumulator_bits = 32;
  step.run = [&graph, shared = std::make_shared<const RecurrentStep>(std::move(made))](Frame& frame) {
    shared->run(graph, frame);
  };
  return step;
}

}  // namespace lowbit
