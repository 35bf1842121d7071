#include "lowbit/runtime/recurrent_node.h"

#include <limits>

#include "lowbit/core/weights.h"

namespace lowbit {
namespace {

using kernels::RecurrentLayer;

/// Sigmoid and Tanh in their usual places, as the kernel has them.
bool usual_activations(const Node& node, RecurrentLayer::Kind kind, int64_t directions) {
  const std::vector<std::string> names = node.attr_strings("activations");
  if (names.empty()) return true;
  static const std::vector<std::string> kUsual[] = {{"Sigmoid", "Tanh", "Tanh"}, {"Sigmoid", "Tanh"}, {"Tanh"}};
  const std::vector<std::string>& usual = kUsual[static_cast<size_t>(kind)];
  if (static_cast<int64_t>(names.size()) != static_cast<int64_t>(usual.size()) * directions) return false;
  for (size_t i = 0; i < names.size(); ++i)
    if (names[i] != usual[i % usual.size()]) return false;
  return true;
}

/// A constant input, decoded. False if it is there but not constant, or has another count.
bool constant_input(const Graph& graph, const Node& node, size_t input, int64_t count, std::optional<Tensor>& values) {
  if (node.input(input) == kNone) return true;
  const Tensor* constant = graph.constant(node.inputs[input]);
  if (!constant || constant->count() != count) return false;
  const Value& value = graph.value(node.inputs[input]);
  values = to_float32(value.quantization ? weight_values(value) : *constant);
  return true;
}

}  // namespace

std::vector<int64_t> RecurrentNode::row_order(int64_t direction) const {
  std::vector<int64_t> rows;
  for (int64_t gate = 0; gate < layer.gates(); ++gate)
    for (int64_t u = 0; u < layer.padded_hidden(); ++u)
      rows.push_back(u < layer.hidden ? (direction * layer.gates() + gate) * layer.hidden + u : -1);
  return rows;
}

RecurrentNode::Biases RecurrentNode::biases(int64_t direction) const {
  Biases made;
  if (!bias) return made;
  const int64_t size = layer.gates() * layer.hidden;
  const float* wb = bias->data<float>() + direction * 2 * size;
  const float* rb = wb + size;
  const bool apart = layer.kind == RecurrentLayer::Kind::gru && layer.linear_before_reset;
  made.input.assign(static_cast<size_t>(layer.gates() * layer.padded_hidden()), 0.0f);
  if (apart) made.recurrent = made.input;
  for (int64_t gate = 0; gate < layer.gates(); ++gate)
    for (int64_t u = 0; u < layer.hidden; ++u) {
      const auto to = static_cast<size_t>(gate * layer.padded_hidden() + u);
      const int64_t from = gate * layer.hidden + u;
      const bool separate = apart && gate == 2;
      made.input[to] = separate ? wb[from] : wb[from] + rb[from];
      if (separate) made.recurrent[to] = rb[from];
    }
  return made;
}

std::vector<float> RecurrentNode::peepholes(int64_t direction) const {
  if (!peephole) return {};
  const float* first = peephole->data<float>() + direction * 3 * layer.hidden;
  return {first, first + 3 * layer.hidden};
}

Dims RecurrentNode::state_dims(int64_t batch) const {
  return batch_first ? Dims{batch, directions, layer.hidden} : Dims{directions, batch, layer.hidden};
}

Dims RecurrentNode::output_dims(int64_t steps, int64_t batch) const {
  return batch_first ? Dims{batch, steps, directions, layer.hidden} : Dims{steps, directions, batch, layer.hidden};
}

void RecurrentNode::set_strides(kernels::RecurrentCall& call) const {
  const int64_t row = directions * layer.hidden;
  call.x_step = batch_first ? inputs : call.batch * inputs;
  call.x_row = batch_first ? call.steps * inputs : inputs;
  call.state_row = batch_first ? row : layer.hidden;
  call.y_step = batch_first ? row : call.batch * row;
  call.y_row = batch_first ? call.steps * row : layer.hidden;
}

std::optional<RecurrentNode> read_recurrent(const Graph& graph, const Node& node, std::string& why) {
  const Tensor *w = graph.constant(node.input(1)), *r = graph.constant(node.input(2));
  if (!w || !r || w->rank() != 3 || r->rank() != 3) return why = "its weights are not constant", std::nullopt;
  RecurrentNode made;
  RecurrentLayer& layer = made.layer;
  layer.kind = node.op == "LSTM"  ? RecurrentLayer::Kind::lstm
               : node.op == "GRU" ? RecurrentLayer::Kind::gru
                                  : RecurrentLayer::Kind::rnn;
  layer.hidden = r->dim(2);
  layer.couple = node.attr_int("input_forget", 0) != 0;
  layer.linear_before_reset = node.attr_int("linear_before_reset", 0) != 0;
  const float clip = node.attr_float("clip", 0);
  layer.clip = clip > 0 ? clip : std::numeric_limits<float>::infinity();
  const std::string direction = node.attr_string("direction", "forward");
  made.directions = direction == "bidirectional" ? 2 : 1;
  made.reverse = direction == "reverse";
  made.batch_first = node.attr_int("layout", 0) != 0;
  made.inputs = w->dim(2);
  const int64_t rows = layer.gates() * layer.hidden;
  if (!usual_activations(node, layer.kind, made.directions))
    return why = "its activations are not the usual ones", std::nullopt;
  if (rows == 0 || made.inputs == 0 || w->dim(0) != made.directions || r->dim(0) != made.directions ||
      w->dim(1) != rows || r->dim(1) != rows)
    return why = "its weights do not fit each other", std::nullopt;
  if (!constant_input(graph, node, 3, made.directions * 2 * rows, made.bias) ||
      !constant_input(graph, node, 7, made.directions * 3 * layer.hidden, made.peephole))
    return why = "its bias is not constant, or does not fit its weights", std::nullopt;
  return made;
}

}  // namespace lowbit
