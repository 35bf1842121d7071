// Rotation of the hidden state: where a value goes from linear layers to linear layers with nothing but sums between
// (the stream of a residual network without norms, the linear bottlenecks of MobileNetV2), an orthogonal matrix R can
// be multiplied into the layers that make it and its inverse into those that read it: the function stays, but channels
// with large values are spread over all of them. R is a random Hadamard matrix where the number of channels is a power
// of two, otherwise a random orthogonal one.
// Papers: Chee et al., "QuIP", NeurIPS 2023, arXiv:2307.13304; Ashkboos et al., "QuaRot", NeurIPS 2024,
// arXiv:2404.00456.
#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "lowbit/base/random.h"
#include "lowbit/core/graph_index.h"
#include "lowbit/methods/linear_algebra.h"
#include "lowbit/methods/methods.h"

namespace lowbit {
namespace {

constexpr int64_t kMostChannels = 8192;

/// A hidden state: values that are sums of each other, the layers that write them and those that read them.
struct HiddenState {
  std::set<ValueId> values;
  std::set<size_t> writers, readers;
  int64_t channels = 0;
};

class StateFinder {
 public:
  explicit StateFinder(const Graph& graph) : graph_(graph), index_(graph) {}

  std::vector<HiddenState> run() {
    std::vector<HiddenState> states;
    std::set<ValueId> seen;
    for (const Node& node : graph_.nodes) {
      const ValueId id = node.output();
      if (id == kNone || seen.count(id) || !writes(node)) continue;
      HiddenState state;
      const bool sound = grow(id, state);
      seen.insert(state.values.begin(), state.values.end());
      if (sound && !state.readers.empty() && state.channels > 1 && state.channels <= kMostChannels)
        states.push_back(std::move(state));
    }
    return states;
  }

 private:
  const Tensor* own(const Node& node, size_t input) const {
    const Tensor* constant = graph_.constant(node.input(input));
    return constant && constant->dtype() == DType::float32 && index_.readers(node.inputs[input]).size() == 1 ? constant
                                                                                                             : nullptr;
  }
  bool plain(const Node& node) const {
    if (node.is("Conv")) return node.attr_int("group", 1) == 1;
    return node.is("Gemm") && node.attr_float("alpha", 1) == 1 && node.attr_float("beta", 1) == 1 &&
           !node.attr_int("transA", 0);
  }
  bool is_layer(const Node& node) const {
    const Tensor* weight = own(node, 1);
    return weight && (plain(node) || (node.is("MatMul") && weight->rank() == 2));
  }
  int64_t outputs(const Node& node) const {
    const Tensor& weight = *graph_.constant(node.inputs[1]);
    return node.is("Conv") || node.attr_int("transB", 0) ? weight.dim(0) : weight.dim(1);
  }
  int64_t inputs(const Node& node) const {
    const Tensor& weight = *graph_.constant(node.inputs[1]);
    return node.is("Conv") || node.attr_int("transB", 0) ? weight.dim(1) : weight.dim(0);
  }
  bool writes(const Node& node) const {
    if (!is_layer(node)) return false;
    return node.input(2) == kNone || (own(node, 2) && own(node, 2)->count() == outputs(node));
  }
  bool sums(const Node& node) const {
    return node.is("Add") && !graph_.constant(node.input(0)) && !graph_.constant(node.input(1));
  }

  bool grow(ValueId first, HiddenState& state) {
    std::vector<ValueId> open = {first};
    bool sound = true;
    while (!open.empty()) {
      const ValueId id = open.back();
      open.pop_back();
      if (id == kNone || !state.values.insert(id).second) continue;
      sound = take_maker(id, state, open) && sound;
      sound = take_readers(id, state, open) && sound;
    }
    return sound;
  }

  bool take_maker(ValueId id, HiddenState& state, std::vector<ValueId>& open) const {
    const int32_t producer = index_.producer(id);
    if (producer < 0 || graph_.is_output(id)) return false;
    const Node& node = graph_.nodes[static_cast<size_t>(producer)];
    if (sums(node)) {
      open.insert(open.end(), node.inputs.begin(), node.inputs.end());
      return true;
    }
    if (!writes(node) || (state.channels > 0 && state.channels != outputs(node))) return false;
    state.channels = outputs(node);
    state.writers.insert(static_cast<size_t>(producer));
    return true;
  }

  bool take_readers(ValueId id, HiddenState& state, std::vector<ValueId>& open) const {
    for (const Graph::Use& use : index_.readers(id)) {
      const Node& node = graph_.nodes[static_cast<size_t>(use.node)];
      if (sums(node)) {
        open.push_back(node.output());
        continue;
      }
      if (use.position != 0 || !is_layer(node) || (state.channels > 0 && inputs(node) != state.channels)) return false;
      state.readers.insert(static_cast<size_t>(use.node));
    }
    return true;
  }

  const Graph& graph_;
  GraphIndex index_;
};

/// Rows are orthonormal.
Matrix random_rotation(int64_t n, Random& random) {
  Matrix r(n, n);
  if (std::has_single_bit(static_cast<uint64_t>(n))) {
    const double size = 1 / std::sqrt(static_cast<double>(n));
    for (int64_t j = 0; j < n; ++j) {
      const double sign = random.bits() & 1 ? size : -size;
      for (int64_t i = 0; i < n; ++i) r.at(i, j) = std::popcount(static_cast<uint64_t>(i & j)) % 2 ? -sign : sign;
    }
    return r;
  }
  for (int64_t i = 0; i < n; ++i) {  // Gram-Schmidt, twice, of a normal matrix
    for (int64_t j = 0; j < n; ++j) r.at(i, j) = random.normal();
    for (int pass = 0; pass < 2; ++pass)
      for (int64_t k = 0; k < i; ++k) {
        double dot = 0;
        for (int64_t j = 0; j < n; ++j) dot += r.at(i, j) * r.at(k, j);
        for (int64_t j = 0; j < n; ++j) r.at(i, j) -= dot * r.at(k, j);
      }
    double norm = 0;
    for (int64_t j = 0; j < n; ++j) norm += r.at(i, j) * r.at(i, j);
    for (int64_t j = 0; j < n; ++j) r.at(i, j) /= std::sqrt(norm);
  }
  return r;
}

/// Replaces index k along the axis by sum_l R[k][l] x[.., l, ..].
Tensor rotated(const Tensor& x, int64_t axis, const Matrix& r) {
  int64_t outer = 1, inner = 1;
  for (int64_t d = 0; d < x.rank(); ++d) (d < axis ? outer : inner) *= d == axis ? 1 : x.dim(d);
  const int64_t n = r.rows();
  Tensor y(DType::float32, x.dims());
  float* to = y.mutable_data<float>();
  std::vector<double> sum(static_cast<size_t>(inner));
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t k = 0; k < n; ++k) {
      std::fill(sum.begin(), sum.end(), 0.0);
      for (int64_t l = 0; l < n; ++l) {
        const double factor = r.at(k, l);
        const float* from = x.data<float>() + (o * n + l) * inner;
        for (int64_t i = 0; i < inner; ++i) sum[static_cast<size_t>(i)] += factor * static_cast<double>(from[i]);
      }
      for (int64_t i = 0; i < inner; ++i) to[(o * n + k) * inner + i] = static_cast<float>(sum[static_cast<size_t>(i)]);
    }
  return y;
}

void rotate_state(Graph& graph, const HiddenState& state, const Matrix& r) {
  for (size_t n : state.writers) {
    const Node& node = graph.nodes[n];
    const bool rows_first = node.is("Conv") || node.attr_int("transB", 0);
    Value& weight = graph.value(node.inputs[1]);
    weight.constant = rotated(*weight.constant, rows_first ? 0 : 1, r);
    if (node.input(2) == kNone) continue;
    Value& bias = graph.value(node.inputs[2]);
    bias.constant = rotated(*bias.constant, bias.constant->rank() - 1, r);
  }
  for (size_t n : state.readers) {
    const Node& node = graph.nodes[n];
    const bool rows_first = node.is("Conv") || node.attr_int("transB", 0);
    Value& weight = graph.value(node.inputs[1]);
    weight.constant = rotated(*weight.constant, rows_first ? 1 : 0, r);
  }
}

void apply_rotate(Graph& graph, const MethodContext& context) {
  const std::vector<HiddenState> states = StateFinder(graph).run();
  Random random(context.recipe.seed, 77);
  for (const HiddenState& state : states) rotate_state(graph, state, random_rotation(state.channels, random));
  context.note(fmt::format("rotate: {} hidden states{}", states.size(),
                           states.empty() ? " (no value goes from linear layers to linear layers only)" : ""));
}

}  // namespace

const Method& rotate_method() {
  static const Method method{.name = "rotate",
                             .summary = "multiplies hidden states between linear layers by a random orthogonal matrix",
                             .paper = "Chee et al., NeurIPS 2023, arXiv:2307.13304; Ashkboos et al., arXiv:2404.00456",
                             .needs_data = false,
                             .apply = apply_rotate,
                             .stage = MethodStage::float_network};
  return method;
}

}  // namespace lowbit
