#include "lowbit/methods/gradient_tape.h"

#include <algorithm>
#include <set>

#include "lowbit/ops/evaluate.h"
#include "lowbit/ops/gradient.h"

namespace lowbit {
namespace {

/// A result as [outer, channels, inner].
struct ChannelView {
  int64_t outer = 1, channels = 1, inner = 1;
  ChannelView(const Dims& dims, int64_t axis) {
    const auto rank = static_cast<int64_t>(dims.size());
    const int64_t at = axis < 0 ? axis + rank : axis;
    for (int64_t d = 0; d < rank; ++d) (d < at ? outer : d == at ? channels : inner) *= dims[static_cast<size_t>(d)];
  }
};

void add(Tensor& sum, Tensor more) {
  if (!sum.defined()) {
    sum = std::move(more);
    return;
  }
  float* to = sum.mutable_data<float>();
  const float* from = more.data<float>();
  for (int64_t i = 0; i < sum.count(); ++i) to[i] += from[i];
}

std::vector<float> channel_sums(const Tensor& gradient, int64_t axis) {
  const ChannelView view(gradient.dims(), axis);
  std::vector<float> sums(static_cast<size_t>(view.channels), 0.0f);
  const float* g = gradient.data<float>();
  for (int64_t o = 0; o < view.outer; ++o)
    for (float& sum : sums)
      for (int64_t i = 0; i < view.inner; ++i) sum += *g++;
  return sums;
}

}  // namespace

std::vector<std::string> finish_plan(const Graph& graph, const std::vector<ValueId>& losses, TapePlan& plan) {
  plan.reached.assign(graph.values.size(), 0);
  std::vector<char> needed(graph.values.size(), 0);
  for (ValueId id : losses) needed[static_cast<size_t>(id)] = 1;
  for (size_t n = 0; n <= plan.last; ++n) {
    const Node& node = graph.nodes[n];
    const bool learns = plan.learns_weight[n] || plan.learns_shift[n];
    const bool behind = std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId id) {
      return id != kNone && plan.reached[static_cast<size_t>(id)] && !plan.stops[static_cast<size_t>(id)];
    });
    if (learns || behind) plan.reached[static_cast<size_t>(node.output())] = 1;
  }
  std::set<std::string> missing;
  for (size_t n = plan.last + 1; n-- > 0;) {
    const Node& node = graph.nodes[n];
    const auto out = static_cast<size_t>(node.output());
    if (!needed[out] || !plan.reached[out]) continue;
    if (!has_gradient(node)) missing.insert(node.full_op());
    for (ValueId id : node.inputs)
      if (id != kNone && !plan.stops[static_cast<size_t>(id)]) needed[static_cast<size_t>(id)] = 1;
  }
  return {missing.begin(), missing.end()};
}

const Tensor* Tape::input(const Node& node, size_t i) const {
  if (node.inputs[i] == kNone) return nullptr;
  const auto n = static_cast<size_t>(&node - graph_.nodes.data());
  if (i == 1 && learned_.weights[n]) return learned_.weights[n];
  const auto id = static_cast<size_t>(node.inputs[i]);
  return constants_[id].defined() ? &constants_[id] : &values_[id];
}

void Tape::round(ValueId id) {
  const auto& quantization = graph_.value(id).quantization;
  Tensor& x = values_[static_cast<size_t>(id)];
  if (!quantization || quantization->dynamic || x.dtype() != DType::float32) return;
  unrounded_[static_cast<size_t>(id)] = x;
  x = fake_quantize(*quantization, x);
}

void Tape::run(const std::vector<Tensor>& inputs) {
  values_.assign(graph_.values.size(), {});
  unrounded_.assign(graph_.values.size(), {});
  ThreadPool alone(1);
  for (size_t i = 0; i < inputs.size(); ++i) {
    values_[static_cast<size_t>(graph_.inputs[i])] = inputs[i];
    round(graph_.inputs[i]);
  }
  for (size_t n = 0; n <= plan_.last; ++n) {
    const Node& node = graph_.nodes[n];
    std::vector<const Tensor*> given;
    for (size_t i = 0; i < node.inputs.size(); ++i) given.push_back(input(node, i));
    std::vector<Tensor> made = evaluate_node(node, given, alone, /*accelerated=*/true);
    if (const std::vector<float>* shift = learned_.shifts[n]) {
      const ChannelView view(made[0].dims(), plan_.shift_axis[n]);
      float* y = made[0].mutable_data<float>();
      for (int64_t o = 0; o < view.outer; ++o)
        for (const float by : *shift)
          for (int64_t i = 0; i < view.inner; ++i) *y++ += by;
    }
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      if (node.outputs[i] == kNone) continue;
      values_[static_cast<size_t>(node.outputs[i])] = std::move(made[i]);
      round(node.outputs[i]);
    }
  }
}

Tensor Tape::through_rounding(ValueId id, Tensor gradient) const {
  const Tensor& x = unrounded_[static_cast<size_t>(id)];
  if (!x.defined() || !graph_.value(id).quantization->linear()) return gradient;
  const Quantization& q = *graph_.value(id).quantization;
  const LinearParams params = q.linear_at(0);
  const CodeRange codes = q.codes();
  // Half a step beyond the ends still rounds to them.
  const float low = (static_cast<float>(codes.min - params.zero_point) - 0.5f) * params.scale,
              high = (static_cast<float>(codes.max - params.zero_point) + 0.5f) * params.scale;
  float* g = gradient.mutable_data<float>();
  const float* from = x.data<float>();
  for (int64_t i = 0; i < x.count(); ++i)
    if (from[i] < low || from[i] > high) g[i] = 0;
  return gradient;
}

Tape::Gradients Tape::back(const std::vector<std::pair<ValueId, Tensor>>& seeds) const {
  Gradients result;
  result.weights.resize(graph_.nodes.size());
  result.shifts.resize(graph_.nodes.size());
  std::vector<Tensor> by_value(graph_.values.size());
  for (const auto& [id, gradient] : seeds) add(by_value[static_cast<size_t>(id)], gradient);
  for (size_t n = plan_.last + 1; n-- > 0;) {
    const Node& node = graph_.nodes[n];
    const auto out = static_cast<size_t>(node.output());
    if (!plan_.reached[out] || !by_value[out].defined()) continue;
    const Tensor gradient = through_rounding(node.output(), std::move(by_value[out]));
    by_value[out] = {};
    if (plan_.learns_shift[n]) result.shifts[n] = channel_sums(gradient, plan_.shift_axis[n]);
    std::vector<const Tensor*> given;
    std::vector<char> wanted;
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      given.push_back(input(node, i));
      const ValueId id = node.inputs[i];
      const bool onwards =
          id != kNone && plan_.reached[static_cast<size_t>(id)] && !plan_.stops[static_cast<size_t>(id)];
      wanted.push_back(static_cast<char>(onwards || (i == 1 && plan_.learns_weight[n])));
    }
    if (std::find(wanted.begin(), wanted.end(), char{1}) == wanted.end()) continue;
    const Tensor& y = unrounded_[out].defined() ? unrounded_[out] : values_[out];
    std::vector<Tensor> made = gradients({node, given, y, gradient, wanted});
    for (size_t i = 0; i < made.size(); ++i) {
      if (!made[i].defined()) continue;
      if (i == 1 && plan_.learns_weight[n])
        result.weights[n] = std::move(made[i]);
      else
        add(by_value[static_cast<size_t>(node.inputs[i])], std::move(made[i]));
    }
  }
  return result;
}

}  // namespace lowbit
