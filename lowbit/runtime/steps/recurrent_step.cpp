// LSTM and GRU with low-bit weights and int8 activations: docs/integer-semantics.md, "Recurrent layers".
#include "lowbit/kernels/recurrent.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "lowbit/core/weights.h"
#include "lowbit/runtime/lowbit_weights.h"
#include "lowbit/runtime/steps/steps.h"

namespace lowbit {
namespace {

using kernels::RecurrentLayer;

/// One direction with what it points to.
struct Direction {
  RecurrentLayer layer;
  std::shared_ptr<const PackedWeights> input, recurrent;
  std::vector<float> input_bias, recurrent_bias, peephole;
};

struct RecurrentStep {
  std::vector<std::shared_ptr<const Direction>> directions;
  ValueId x = kNone, lengths = kNone, h0 = kNone, c0 = kNone;
  std::vector<ValueId> outputs;         ///< Y, Y_h, Y_c; kNone where absent
  std::optional<Quantization> x_codes;  ///< nothing: dynamic
  bool batch_first = false;
  int64_t inputs = 0, hidden = 0;

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
  if (in.rank() != 3 || in.dim(2) != inputs)
    throw Error(ErrorCode::bad_argument,
                fmt::format("X {} does not fit weights for {} inputs", dims_text(in.dims()), inputs));
  kernels::RecurrentCall call;
  call.steps = in.dim(batch_first ? 1 : 0);
  call.batch = in.dim(batch_first ? 0 : 1);
  call.x_step = batch_first ? inputs : call.batch * inputs;
  call.x_row = batch_first ? call.steps * inputs : inputs;
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
  const Dims state = batch_first ? Dims{call.batch, count, hidden} : Dims{count, call.batch, hidden};
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
  Tensor y(DType::float32,
           batch_first ? Dims{call.batch, call.steps, count, hidden} : Dims{call.steps, count, call.batch, hidden});
  Tensor last_h(DType::float32, state), last_c(DType::float32, state);
  call.state_row = batch_first ? count * hidden : hidden;
  call.y_step = batch_first ? count * hidden : count * call.batch * hidden;
  call.y_row = batch_first ? call.steps * count * hidden : hidden;

  const kernels::TaskPool pool{[](void* threads, void (*task)(void*, size_t), void* argument, size_t n) {
                                 static_cast<ThreadPool*>(threads)->parallel_for(
                                     static_cast<int64_t>(n),
                                     [&](int64_t i) { task(argument, static_cast<size_t>(i)); });
                               },
                               &frame.threads, frame.threads.size()};
  for (int64_t d = 0; d < count; ++d) {
    const RecurrentLayer& layer = directions[static_cast<size_t>(d)]->layer;
    const int64_t y_at = d * (batch_first ? hidden : call.batch * hidden);
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

/// Sigmoid and Tanh in their usual places, as the kernel has them.
bool usual_activations(const Node& node, bool lstm, int64_t directions) {
  const std::vector<std::string> names = node.attr_strings("activations");
  if (names.empty()) return true;
  const std::vector<std::string> usual =
      lstm ? std::vector<std::string>{"Sigmoid", "Tanh", "Tanh"} : std::vector<std::string>{"Sigmoid", "Tanh"};
  if (static_cast<int64_t>(names.size()) != static_cast<int64_t>(usual.size()) * directions) return false;
  for (size_t i = 0; i < names.size(); ++i)
    if (names[i] != usual[i % usual.size()]) return false;
  return true;
}

/// Constants of a node, decoded; null where the input is absent or not constant.
struct Constants {
  const Graph& graph;
  const Node& node;

  bool absent(size_t input) const { return node.input(input) == kNone; }
  std::optional<Tensor> at(size_t input) const {
    const Tensor* constant = absent(input) ? nullptr : graph.constant(node.input(input));
    if (!constant) return std::nullopt;
    return weight_values(graph.value(node.input(input)));
  }
};

/// Rows of one direction in the order of the kernel: gates padded to multiples of 16.
std::vector<int64_t> row_order(const RecurrentLayer& layer, int64_t direction) {
  std::vector<int64_t> rows;
  for (int64_t gate = 0; gate < layer.gates(); ++gate)
    for (int64_t u = 0; u < layer.padded_hidden(); ++u)
      rows.push_back(u < layer.hidden ? (direction * layer.gates() + gate) * layer.hidden + u : -1);
  return rows;
}

/// Biases of a direction: with GRU and linear_before_reset, Rb of gate h stays apart.
void set_biases(Direction& made, const Tensor& bias, int64_t direction) {
  const RecurrentLayer& layer = made.layer;
  const int64_t size = layer.gates() * layer.hidden;
  const float* wb = bias.data<float>() + direction * 2 * size;
  const float* rb = wb + size;
  const bool apart = layer.kind == RecurrentLayer::Kind::gru && layer.linear_before_reset;
  made.input_bias.assign(static_cast<size_t>(layer.gates() * layer.padded_hidden()), 0.0f);
  if (apart) made.recurrent_bias = made.input_bias;
  for (int64_t gate = 0; gate < layer.gates(); ++gate)
    for (int64_t u = 0; u < layer.hidden; ++u) {
      const auto to = static_cast<size_t>(gate * layer.padded_hidden() + u);
      const int64_t from = gate * layer.hidden + u;
      const bool separate = apart && gate == 2;
      made.input_bias[to] = separate ? wb[from] : wb[from] + rb[from];
      if (separate) made.recurrent_bias[to] = rb[from];
    }
}

RecurrentLayer layer_attributes(const Node& node, int64_t hidden) {
  RecurrentLayer layer;
  layer.kind = node.op == "LSTM" ? RecurrentLayer::Kind::lstm : RecurrentLayer::Kind::gru;
  layer.hidden = hidden;
  layer.couple = node.attr_int("input_forget", 0) != 0;
  layer.linear_before_reset = node.attr_int("linear_before_reset", 0) != 0;
  const float clip = node.attr_float("clip", 0);
  layer.clip = clip > 0 ? clip : std::numeric_limits<float>::infinity();
  return layer;
}

std::optional<LevelMatrix> weight_matrix(const LowerContext& context, const Node& node, size_t input,
                                         std::string& why) {
  const Tensor* weight = context.graph.constant(node.input(input));
  const Quantization* quantization = context.linear(node.input(input));
  if (!weight || weight->rank() != 3) return why = "its weights are not constant", std::nullopt;
  if (!quantization) return why = "its weights have no linear annotation", std::nullopt;
  return level_matrix(context.graph.value(node.input(input)), why);
}

/// What can be read off the node before any weight is packed.
struct Checked {
  LevelMatrix w, r;
  RecurrentLayer layer;
  std::optional<Tensor> bias, peephole;
  int64_t directions = 1;
};

std::optional<Checked> check_node(const LowerContext& context, const Node& node, std::string& why) {
  const Graph& graph = context.graph;
  const auto& x = graph.value(node.input(0)).quantization;
  if (!x || (!x->dynamic && !context.per_tensor(node.input(0))) || graph.constant(node.input(0)))
    return why = "its input stays float", std::nullopt;
  if (!x->linear() || x->format.bits != 8) return why = "its input is of no 8-bit linear system", std::nullopt;
  auto w = weight_matrix(context, node, 1, why), r = weight_matrix(context, node, 2, why);
  if (!w || !r) return std::nullopt;
  Checked checked;
  checked.directions = node.attr_string("direction", "forward") == "bidirectional" ? 2 : 1;
  if (!usual_activations(node, node.op == "LSTM", checked.directions))
    return why = "its activations are not sigmoid and tanh", std::nullopt;
  checked.layer = layer_attributes(node, r->k);
  const int64_t rows = checked.directions * checked.layer.gates() * checked.layer.hidden;
  if (w->rows != rows || r->rows != rows) return why = "its weights do not fit each other", std::nullopt;
  const Constants constants{graph, node};
  checked.bias = constants.at(3);
  checked.peephole = constants.at(7);
  if ((!checked.bias && !constants.absent(3)) || (!checked.peephole && !constants.absent(7)))
    return why = "its bias is not constant", std::nullopt;
  if ((checked.bias && checked.bias->count() != 2 * rows) ||
      (checked.peephole && checked.peephole->count() != checked.directions * 3 * checked.layer.hidden))
    return why = "its bias does not fit its weights", std::nullopt;
  checked.w = std::move(*w);
  checked.r = std::move(*r);
  return checked;
}

/// Null if the weights cannot be packed.
std::shared_ptr<const Direction> make_direction(const Checked& checked, bool reverse, int64_t d, std::string& why) {
  auto made = std::make_shared<Direction>();
  made->layer = checked.layer;
  made->layer.reverse = reverse;
  const std::vector<int64_t> rows = row_order(checked.layer, d);
  made->input = pack_levels(checked.w, rows, why);
  made->recurrent = pack_levels(checked.r, rows, why);
  if (!made->input || !made->recurrent) return nullptr;
  if (checked.bias) set_biases(*made, *checked.bias, d);
  if (checked.peephole) {
    const float* first = checked.peephole->data<float>() + d * 3 * checked.layer.hidden;
    made->peephole.assign(first, first + 3 * checked.layer.hidden);
  }
  made->layer.input = made->input->view;
  made->layer.recurrent = made->recurrent->view;
  made->layer.input_bias = made->input_bias.empty() ? nullptr : made->input_bias.data();
  made->layer.recurrent_bias = made->recurrent_bias.empty() ? nullptr : made->recurrent_bias.data();
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
  made.batch_first = node.attr_int("layout", 0) != 0;
  made.inputs = checked->w.k;
  made.hidden = checked->layer.hidden;
  made.x = node.inputs[0];
  made.lengths = node.input(4);
  made.h0 = node.input(5);
  made.c0 = node.op == "LSTM" ? node.input(6) : kNone;
  made.outputs = node.outputs;
  if (!x.dynamic) made.x_codes = x;
  const bool reverse = node.attr_string("direction", "forward") == "reverse";
  for (int64_t d = 0; d < checked->directions; ++d) {
    made.directions.push_back(make_direction(*checked, reverse || d == 1, d, why));
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
