#include <algorithm>
#include <cmath>

#include "lowbit/ops/families.h"
#include "lowbit/ops/infer_helpers.h"
#include "lowbit/ops/op_helpers.h"

namespace lowbit {
namespace {

/// One of the activation functions that the standard lists for recurrent layers.
struct Activation {
  double (*function)(double x, double alpha, double beta);
  double alpha, beta;
  double operator()(double x) const { return function(x, alpha, beta); }
};

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

struct ActivationRow {
  std::string_view name;
  double (*function)(double, double, double);
  double alpha, beta;  ///< defaults
};

constexpr ActivationRow kActivations[] = {
    {"relu", [](double x, double, double) { return std::max(x, 0.0); }, 0, 0},
    {"tanh", [](double x, double, double) { return std::tanh(x); }, 0, 0},
    {"sigmoid", [](double x, double, double) { return sigmoid(x); }, 0, 0},
    {"affine", [](double x, double a, double b) { return a * x + b; }, 1, 0},
    {"leakyrelu", [](double x, double a, double) { return x >= 0 ? x : a * x; }, 0.01, 0},
    {"thresholdedrelu", [](double x, double a, double) { return x >= a ? x : 0.0; }, 1, 0},
    {"scaledtanh", [](double x, double a, double b) { return a * std::tanh(b * x); }, 1, 1},
    {"hardsigmoid", [](double x, double a, double b) { return std::clamp(a * x + b, 0.0, 1.0); }, 0.2, 0.5},
    {"elu", [](double x, double a, double) { return x >= 0 ? x : a * std::expm1(x); }, 1, 0},
    {"softsign", [](double x, double, double) { return x / (1 + std::abs(x)); }, 0, 0},
    {"softplus", [](double x, double, double) { return std::log1p(std::exp(-std::abs(x))) + std::max(x, 0.0); }, 0, 0},
};

const ActivationRow& find_activation(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  for (const ActivationRow& row : kActivations)
    if (row.name == name) return row;
  refuse("the activation '{}' is unknown", name);
}

bool takes_alpha(const ActivationRow& row) { return row.alpha != 0; }
bool takes_beta(const ActivationRow& row) { return row.beta != 0 || row.name == "affine"; }

/// The activations of all directions; alphas and betas are handed out in order to those that take them.
std::vector<Activation> read_activations(const Node& node, const std::vector<std::string>& defaults,
                                         size_t directions) {
  std::vector<std::string> names = node.attr_strings("activations");
  if (names.empty())
    for (size_t d = 0; d < directions; ++d) names.insert(names.end(), defaults.begin(), defaults.end());
  require(names.size() == defaults.size() * directions, "{} activations, but {} are needed", names.size(),
          defaults.size() * directions);
  const std::vector<float> alphas = node.attr_floats("activation_alpha"), betas = node.attr_floats("activation_beta");
  size_t alpha_at = 0, beta_at = 0;
  std::vector<Activation> result;
  for (const std::string& name : names) {
    const ActivationRow& row = find_activation(name);
    Activation made{row.function, row.alpha, row.beta};
    if (takes_alpha(row) && alpha_at < alphas.size()) made.alpha = alphas[alpha_at++];
    if (takes_beta(row) && beta_at < betas.size()) made.beta = betas[beta_at++];
    result.push_back(made);
  }
  return result;
}

/// Everything that one direction of a layer needs. Gates stand in the order of the standard (LSTM iofc, GRU zrh).
struct Layer {
  int64_t steps = 0, batch = 0, inputs = 0, hidden = 0, directions = 1, gates = 1;
  bool reverse_first = false, batch_first = false;
  double clip = 0;  ///< 0: none
  std::vector<int64_t> lengths;

  double clipped(double v) const { return clip > 0 ? std::clamp(v, -clip, clip) : v; }
  bool reversed(int64_t direction) const { return reverse_first || direction == 1; }
  /// Offset of (step, batch row) in X.
  int64_t x_row(int64_t step, int64_t n) const { return (batch_first ? n * steps + step : step * batch + n) * inputs; }
  int64_t y_row(int64_t step, int64_t direction, int64_t n) const {
    return batch_first ? ((n * steps + step) * directions + direction) * hidden
                       : ((step * directions + direction) * batch + n) * hidden;
  }
  int64_t state_row(int64_t direction, int64_t n) const {
    return (batch_first ? n * directions + direction : direction * batch + n) * hidden;
  }
  Dims state_dims() const { return batch_first ? Dims{batch, directions, hidden} : Dims{directions, batch, hidden}; }
  Dims y_dims() const {
    return batch_first ? Dims{batch, steps, directions, hidden} : Dims{steps, directions, batch, hidden};
  }
};

int64_t direction_count(const Node& node) {
  const std::string direction = node.attr_string("direction", "forward");
  require(direction == "forward" || direction == "reverse" || direction == "bidirectional",
          "direction '{}' is none of forward, reverse, bidirectional", direction);
  return direction == "bidirectional" ? 2 : 1;
}

Layer read_layer(const EvalContext& c, int64_t gates) {
  const Node& node = c.node();
  const Dims &x = c.input(0).dims(), &w = c.input(1).dims();
  require(x.size() == 3 && w.size() == 3, "X must have 3 dimensions and W too, not {} and {}", dims_text(x),
          dims_text(w));
  Layer layer;
  layer.batch_first = node.attr_int("layout", 0) != 0;
  layer.steps = x[layer.batch_first ? 1 : 0];
  layer.batch = x[layer.batch_first ? 0 : 1];
  layer.inputs = x[2];
  layer.directions = direction_count(node);
  layer.reverse_first = node.attr_string("direction", "forward") == "reverse";
  layer.gates = gates;
  require(w[1] % gates == 0, "W {} does not hold {} gates", dims_text(w), gates);
  layer.hidden = node.attr_int("hidden_size", w[1] / gates);
  require_dims(c.input(1), {layer.directions, gates * layer.hidden, layer.inputs}, "W");
  require_dims(c.input(2), {layer.directions, gates * layer.hidden, layer.hidden}, "R");
  if (c.has_input(3)) require_dims(c.input(3), {layer.directions, 2 * gates * layer.hidden}, "B");
  layer.clip = node.attr_float("clip", 0);
  require(layer.clip >= 0, "clip is {}", layer.clip);
  layer.lengths.assign(static_cast<size_t>(layer.batch), layer.steps);
  if (c.has_input(4)) {
    layer.lengths = int_values(c, 4);
    require_dims(c.input(4), {layer.batch}, "sequence_lens");
    for (int64_t n : layer.lengths) require(n >= 0 && n <= layer.steps, "a sequence length is {}", n);
  }
  if (c.has_input(5)) require_dims(c.input(5), layer.state_dims(), "initial_h");
  return layer;
}

/// Dot product in double. Eight sums side by side keep the result independent of everything but n and let the compiler
/// use vectors.
template <typename A, typename B>
double dot(const A* a, const B* b, int64_t n) {
  double sums[8] = {};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int64_t k = 0; k < 8; ++k) sums[k] += static_cast<double>(a[i + k]) * b[i + k];
  for (int64_t k = 0; i + k < n; ++k) sums[k] += static_cast<double>(a[i + k]) * b[i + k];
  return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

/// Weights of one direction.
template <typename T>
struct Weights {
  const T *w, *r, *wb, *rb;  ///< biases null if absent
  int64_t inputs, hidden;

  Weights(const EvalContext& c, const Layer& layer, int64_t direction)
      : w(typed_input<T>(c, 1) + direction * layer.gates * layer.hidden * layer.inputs),
        r(typed_input<T>(c, 2) + direction * layer.gates * layer.hidden * layer.hidden),
        wb(nullptr),
        rb(nullptr),
        inputs(layer.inputs),
        hidden(layer.hidden) {
    if (!c.has_input(3)) return;
    wb = typed_input<T>(c, 3) + direction * 2 * layer.gates * layer.hidden;
    rb = wb + layer.gates * layer.hidden;
  }

  /// W x + its bias, for unit j of gate g.
  double from_input(const T* x, int64_t g, int64_t j) const {
    const int64_t row = g * hidden + j;
    return (wb ? static_cast<double>(wb[row]) : 0.0) + dot(w + row * inputs, x, inputs);
  }
  /// R h + its bias.
  double from_state(const std::vector<double>& h, int64_t g, int64_t j) const {
    const int64_t row = g * hidden + j;
    return (rb ? static_cast<double>(rb[row]) : 0.0) + dot(r + row * hidden, h.data(), hidden);
  }
};

/// State of one sequence: h, and c for LSTM.
struct State {
  std::vector<double> h, c;
};

/// Runs step(x, state, direction weights...) over all sequences and fills Y, Y_h (and Y_c where has_cell).
template <typename T, typename MakeStep>
void run_sequences(EvalContext& c, const Layer& layer, bool has_cell, MakeStep make_step) {
  const T* x = typed_input<T>(c, 0);
  const T* h0 = optional_typed_input<T>(c, 5);
  const T* c0 = has_cell ? optional_typed_input<T>(c, 6) : nullptr;
  const DType type = c.input(0).dtype();
  Tensor y = zero_output(c.node(), type, layer.y_dims()), yh = make_output(c.node(), type, layer.state_dims());
  Tensor yc = make_output(c.node(), type, has_cell ? layer.state_dims() : Dims{0});
  T *py = y.mutable_data<T>(), *ph = yh.mutable_data<T>(), *pc = yc.mutable_data<T>();
  const auto hidden = static_cast<size_t>(layer.hidden);
  c.threads().parallel_for(layer.directions * layer.batch, [&](int64_t i) {
    const int64_t direction = i / layer.batch, n = i % layer.batch, row = layer.state_row(direction, n);
    State state{std::vector<double>(hidden, 0.0), std::vector<double>(has_cell ? hidden : 0, 0.0)};
    if (h0) state.h.assign(h0 + row, h0 + row + layer.hidden);
    if (c0) state.c.assign(c0 + row, c0 + row + layer.hidden);
    auto step = make_step(direction);
    const int64_t length = layer.lengths[static_cast<size_t>(n)];
    for (int64_t t = 0; t < length; ++t) {
      const int64_t at = layer.reversed(direction) ? length - 1 - t : t;
      step(x + layer.x_row(at, n), state);
      std::transform(state.h.begin(), state.h.end(), py + layer.y_row(at, direction, n),
                     [](double v) { return static_cast<T>(v); });
    }
    std::transform(state.h.begin(), state.h.end(), ph + row, [](double v) { return static_cast<T>(v); });
    std::transform(state.c.begin(), state.c.end(), pc + (has_cell ? row : 0),
                   [](double v) { return static_cast<T>(v); });
  });
  c.set_output(0, std::move(y));
  c.set_output(1, std::move(yh));
  if (has_cell) c.set_output(2, std::move(yc));
}

void run_rnn(EvalContext& context) {
  run_widened(context, []<typename T>(EvalContext& c) {
    const Layer layer = read_layer(c, 1);
    const auto activations = read_activations(c.node(), {"Tanh"}, static_cast<size_t>(layer.directions));
    run_sequences<T>(c, layer, /*has_cell=*/false, [&](int64_t direction) {
      const Weights<T> weights(c, layer, direction);
      const Activation f = activations[static_cast<size_t>(direction)];
      return [weights, f, &layer](const T* x, State& state) {
        const std::vector<double> h = state.h;
        for (int64_t j = 0; j < layer.hidden; ++j)
          state.h[static_cast<size_t>(j)] = f(layer.clipped(weights.from_input(x, 0, j) + weights.from_state(h, 0, j)));
      };
    });
  });
}

/// One step of an LSTM. Gates: i, o, f, c; p: peepholes i, o, f or null.
template <typename T>
struct LstmStep {
  const Layer& layer;
  Weights<T> weights;
  Activation f, g, h;
  const T* p;
  bool couple;

  void operator()(const T* x, State& state) const {
    const std::vector<double> before = state.h;
    for (int64_t j = 0; j < layer.hidden; ++j) {
      const auto u = static_cast<size_t>(j);
      const auto sum = [&](int64_t gate) {
        return weights.from_input(x, gate, j) + weights.from_state(before, gate, j);
      };
      const auto peep = [&](int64_t gate, double cell) { return p ? p[gate * layer.hidden + j] * cell : 0.0; };
      const double old = state.c[u];
      const double input = f(layer.clipped(sum(0) + peep(0, old)));
      const double forget = couple ? 1.0 - input : f(layer.clipped(sum(2) + peep(2, old)));
      const double cell = forget * old + input * g(layer.clipped(sum(3)));
      const double output = f(layer.clipped(sum(1) + peep(1, cell)));
      state.c[u] = cell;
      state.h[u] = output * h(cell);
    }
  }
};

void run_lstm(EvalContext& context) {
  run_widened(context, []<typename T>(EvalContext& c) {
    const Layer layer = read_layer(c, 4);
    const auto act = read_activations(c.node(), {"Sigmoid", "Tanh", "Tanh"}, static_cast<size_t>(layer.directions));
    if (c.has_input(6)) require_dims(c.input(6), layer.state_dims(), "initial_c");
    if (c.has_input(7)) require_dims(c.input(7), {layer.directions, 3 * layer.hidden}, "P");
    const T* peepholes = optional_typed_input<T>(c, 7);
    const bool couple = c.node().attr_int("input_forget", 0) != 0;
    run_sequences<T>(c, layer, /*has_cell=*/true, [&](int64_t direction) {
      const auto d = static_cast<size_t>(direction) * 3;
      return LstmStep<T>{layer,      Weights<T>(c, layer, direction),
                         act[d],     act[d + 1],
                         act[d + 2], peepholes ? peepholes + direction * 3 * layer.hidden : nullptr,
                         couple};
    });
  });
}

/// One step of a GRU. Gates: z, r, h.
template <typename T>
struct GruStep {
  const Layer& layer;
  Weights<T> weights;
  Activation f, g;
  bool linear_before_reset;

  void operator()(const T* x, State& state) const {
    const std::vector<double> before = state.h;
    std::vector<double> reset(before.size()), kept(before.size());
    for (int64_t j = 0; j < layer.hidden; ++j) {
      const auto u = static_cast<size_t>(j);
      reset[u] = f(layer.clipped(weights.from_input(x, 1, j) + weights.from_state(before, 1, j)));
      kept[u] = reset[u] * before[u];
    }
    for (int64_t j = 0; j < layer.hidden; ++j) {
      const auto u = static_cast<size_t>(j);
      const double update = f(layer.clipped(weights.from_input(x, 0, j) + weights.from_state(before, 0, j)));
      const double recurrent =
          linear_before_reset ? reset[u] * weights.from_state(before, 2, j) : weights.from_state(kept, 2, j);
      const double fresh = g(layer.clipped(weights.from_input(x, 2, j) + recurrent));
      state.h[u] = (1 - update) * fresh + update * before[u];
    }
  }
};

void run_gru(EvalContext& context) {
  run_widened(context, []<typename T>(EvalContext& c) {
    const Layer layer = read_layer(c, 3);
    const auto act = read_activations(c.node(), {"Sigmoid", "Tanh"}, static_cast<size_t>(layer.directions));
    const bool linear = c.node().attr_int("linear_before_reset", 0) != 0;
    run_sequences<T>(c, layer, /*has_cell=*/false, [&](int64_t direction) {
      const auto d = static_cast<size_t>(direction) * 2;
      return GruStep<T>{layer, Weights<T>(c, layer, direction), act[d], act[d + 1], linear};
    });
  });
}

void infer_recurrent(InferContext& context) {
  const Node& node = context.node();
  const bool batch_first = node.attr_int("layout", 0) != 0;
  const Shape* x = context.input_shape(0);
  require(!x || x->size() == 3, "X must have 3 dimensions");
  const Dim steps = dim_or_unknown(x, batch_first ? 1 : 0), batch = dim_or_unknown(x, batch_first ? 0 : 1);
  const Dim directions(direction_count(node));
  const Dim hidden =
      node.has_attr("hidden_size") ? Dim(node.attr_int("hidden_size", 0)) : dim_or_unknown(context.input_shape(2), 2);
  const DType type = context.input_dtype(0);
  context.set_output(0, type,
                     batch_first ? Shape{batch, steps, directions, hidden} : Shape{steps, directions, batch, hidden});
  for (size_t i = 1; i < 3; ++i)
    context.set_output(i, type, batch_first ? Shape{batch, directions, hidden} : Shape{directions, batch, hidden});
}

}  // namespace

std::span<const OpDef> recurrent_ops() {
  static const OpDef rows[] = {
      {"", "GRU", OpKind::compute, 3, 6, 0, 2,
       "activation_alpha activation_beta activations clip direction hidden_size layout linear_before_reset",
       infer_recurrent, run_gru},
      {"", "LSTM", OpKind::compute, 3, 8, 0, 3,
       "activation_alpha activation_beta activations clip direction hidden_size input_forget layout", infer_recurrent,
       run_lstm},
      {"", "RNN", OpKind::compute, 3, 6, 0, 2,
       "activation_alpha activation_beta activations clip direction hidden_size layout", infer_recurrent, run_rnn},
  };
  return rows;
}

}  // namespace lowbit
