// Folds what follows a layer with constant weights into those weights: BatchNormalization, and Mul, Div, Add, Sub by
// constants of one number or one per channel. A batch norm that follows no layer becomes a depthwise 1x1 convolution,
// so that it can run in integers.
//   y = g (Wx + b - mean) / sqrt(var + eps) + beta   =>   W' = W g / sqrt(var + eps),  b' = (b - mean) g / sqrt(var +
//   eps) + beta
#include <cmath>

#include "lowbit/base/resident.h"
#include "lowbit/passes/passes.h"
#include "lowbit/passes/rewrite.h"

namespace lowbit {
namespace {

/// y = scale[c] * x + shift[c] on `channels` channels; vectors of one number hold for all.
struct Affine {
  std::vector<double> scale, shift;
  double scale_at(size_t c) const { return scale.size() == 1 ? scale[0] : scale[c]; }
  double shift_at(size_t c) const { return shift.size() == 1 ? shift[0] : shift[c]; }
};

std::optional<Affine> batch_norm_affine(const Graph& graph, const Node& node) {
  if (node.outputs.size() != 1 || node.attr_int("training_mode", 0) != 0) return std::nullopt;
  for (size_t i = 1; i <= 4; ++i)
    if (!graph.constant(node.input(i))) return std::nullopt;
  const auto gamma = float_values(graph, node.inputs[1]), beta = float_values(graph, node.inputs[2]);
  const auto mean = float_values(graph, node.inputs[3]), variance = float_values(graph, node.inputs[4]);
  if (beta.size() != gamma.size() || mean.size() != gamma.size() || variance.size() != gamma.size())
    return std::nullopt;
  const double epsilon = node.attr_float("epsilon", 1e-5f);
  Affine affine;
  for (size_t c = 0; c < gamma.size(); ++c) {
    const double scale = gamma[c] / std::sqrt(variance[c] + epsilon);
    if (!std::isfinite(scale)) return std::nullopt;
    affine.scale.push_back(scale);
    affine.shift.push_back(beta[c] - mean[c] * scale);
  }
  return affine;
}

/// The numbers of a constant that acts per channel of a [N, C, ...] tensor of `rank` (shape [C, 1, 1], [1, C, 1, 1], or
/// one number); nothing otherwise.
std::optional<std::vector<double>> per_channel(const Graph& graph, ValueId id, int64_t rank, int64_t channels) {
  const Tensor* tensor = graph.constant(id);
  if (!tensor || !is_float(tensor->dtype()) || tensor->count() == 0) return std::nullopt;
  if (tensor->count() != 1) {
    if (tensor->rank() > rank || tensor->count() != channels) return std::nullopt;
    const int64_t axis = tensor->rank() - rank + 1;  // where the channel axis of x lies in the constant
    if (axis < 0 || tensor->dim(axis) != channels) return std::nullopt;
  } else if (tensor->rank() > rank) {
    return std::nullopt;
  }
  const Tensor values = tensor->cast(DType::float64);
  return std::vector<double>(values.values<double>().begin(), values.values<double>().end());
}

/// The affine map of a node applied to its input `data`; nothing if it is none.
std::optional<Affine> node_affine(const Graph& graph, const Node& node, ValueId data, int64_t rank, int64_t channels) {
  if (node.is("BatchNormalization")) return node.input(0) == data ? batch_norm_affine(graph, node) : std::nullopt;
  const bool multiplies = node.is("Mul") || node.is("Div"), adds = node.is("Add") || node.is("Sub");
  if (!multiplies && !adds) return std::nullopt;
  const bool first = node.input(0) == data;
  if (!first && (node.is("Div") || node.is("Sub"))) return std::nullopt;
  auto numbers = per_channel(graph, node.input(first ? 1 : 0), rank, channels);
  if (!numbers) return std::nullopt;
  for (double& x : *numbers) {
    if (node.is("Div")) x = 1 / x;
    if (node.is("Sub")) x = -x;
    if (!std::isfinite(x)) return std::nullopt;
  }
  return multiplies ? Affine{*numbers, {0.0}} : Affine{{1.0}, *numbers};
}

/// Number and axis of the output channels of a layer's weight, or nothing if the layer is none that we fold into.
struct WeightLayout {
  int64_t axis, channels, groups;
};
std::optional<WeightLayout> weight_layout(const Graph& graph, const Node& node) {
  const Tensor* weight = graph.constant(node.input(1));
  if (!weight || weight->dtype() != DType::float32 || weight->rank() < 2) return std::nullopt;
  if (node.is("Conv")) return WeightLayout{0, weight->dim(0), 1};
  if (node.is("ConvTranspose")) {
    const int64_t groups = node.attr_int("group", 1);
    return groups > 0 ? std::optional(WeightLayout{1, weight->dim(1) * groups, groups}) : std::nullopt;
  }
  const bool plain_gemm = node.is("Gemm") && node.attr_float("alpha", 1) == 1 && node.attr_float("beta", 1) == 1;
  if (plain_gemm) {
    const int64_t axis = node.attr_int("transB", 0) ? 0 : 1;
    return WeightLayout{axis, weight->dim(axis), 1};
  }
  return std::nullopt;
}

/// The bias of a layer as doubles, one per channel; nothing if it is there but neither constant nor per channel.
std::optional<std::vector<double>> bias_values(const Graph& graph, const Node& node, int64_t channels) {
  if (node.input(2) == kNone) return std::vector<double>(static_cast<size_t>(channels), 0.0);
  const Tensor* bias = graph.constant(node.input(2));
  if (!bias || (bias->count() != channels && bias->count() != 1) ||
      (bias->count() == channels && bias->rank() > 0 && bias->dim(bias->rank() - 1) != channels))
    return std::nullopt;
  const Tensor wide = bias->cast(DType::float64);
  std::vector<double> values(wide.values<double>().begin(), wide.values<double>().end());
  if (values.size() == 1) values.assign(static_cast<size_t>(channels), values[0]);
  return values;
}

/// owned: nobody else reads the weight, so that its memory can be used again.
void scale_weight(Graph& graph, Node& layer, const WeightLayout& layout, const Affine& affine, bool owned) {
  const Tensor mapped = graph.constant(layer.inputs[1])->is_view() ? *graph.constant(layer.inputs[1]) : Tensor();
  Tensor scaled = *graph.constant(layer.inputs[1]);
  if (owned) graph.value(layer.inputs[1]).constant.reset();
  float* w = scaled.mutable_data<float>();
  int64_t inner = 1;
  for (int64_t d = layout.axis + 1; d < scaled.rank(); ++d) inner *= scaled.dim(d);
  const int64_t width = scaled.dim(layout.axis),
                rows_per_group = layout.axis == 1 ? std::max<int64_t>(scaled.dim(0) / layout.groups, 1) : 1;
  for (int64_t i = 0; i < scaled.count(); ++i) {
    const int64_t along = i / inner % width, outer = i / inner / width;
    const int64_t channel = layout.axis == 1 ? outer / rows_per_group % layout.groups * width + along : along;
    w[i] = static_cast<float>(w[i] * affine.scale_at(static_cast<size_t>(channel)));
  }
  if (mapped.defined()) release_file_pages(mapped.raw());  // nothing reads them again soon
  layer.inputs[1] = graph.add_constant(graph.value(layer.inputs[1]).name + "_folded", std::move(scaled));
}

/// Applies the affine map behind a layer to its weight and bias. False if the layer cannot take it.
bool fold_into(Graph& graph, Node& layer, const Affine& affine, bool owned) {
  const auto layout = weight_layout(graph, layer);
  if (!layout) return false;
  const auto count = static_cast<size_t>(layout->channels);
  if ((affine.scale.size() != 1 && affine.scale.size() != count) ||
      (affine.shift.size() != 1 && affine.shift.size() != count))
    return false;
  const auto bias = bias_values(graph, layer, layout->channels);
  if (!bias) return false;
  const bool scales = !(affine.scale.size() == 1 && affine.scale[0] == 1.0);
  if (scales) scale_weight(graph, layer, *layout, affine, owned);
  std::vector<float> folded(count);
  for (size_t c = 0; c < count; ++c)
    folded[c] = static_cast<float>((*bias)[c] * affine.scale_at(c) + affine.shift_at(c));
  layer.inputs.resize(3, kNone);
  const std::string bias_name =
      layer.inputs[2] == kNone ? layer.name + "_bias" : graph.value(layer.inputs[2]).name + "_folded";
  layer.inputs[2] = graph.add_constant(bias_name, Tensor::from(Dims{layout->channels}, folded));
  return true;
}

}  // namespace

int fold_batch_norm(Graph& graph) {
  int folded = 0;
  GraphIndex index(graph);
  std::set<int32_t> dead;
  for (size_t n = 0; n < graph.nodes.size(); ++n) {
    Node& layer = graph.nodes[n];
    if (dead.count(static_cast<int32_t>(n)) || !weight_layout(graph, layer)) continue;
    // A run of foldable nodes behind one layer: Conv -> Mul -> Add -> BatchNormalization.
    for (;;) {
      const ValueId result = layer.outputs[0];
      const int32_t next = only_reader(graph, index, result);
      if (next < 0) break;
      const Tensor& weight = *graph.constant(layer.inputs[1]);
      const int64_t rank = layer.is("Gemm") ? 2 : weight.rank();
      const Node& follower = graph.nodes[static_cast<size_t>(next)];
      const auto affine = node_affine(graph, follower, result, rank, weight_layout(graph, layer)->channels);
      const auto weight_id = static_cast<size_t>(layer.inputs[1]);
      const bool owned =
          weight_id >= index.uses.size() || (index.uses[weight_id].size() == 1 && !graph.is_output(layer.inputs[1]));
      if (!affine || !fold_into(graph, layer, *affine, owned)) break;
      layer.outputs[0] = follower.outputs[0];
      index.producers[static_cast<size_t>(layer.outputs[0])] = static_cast<int32_t>(n);
      dead.insert(next);
      ++folded;
    }
  }
  erase_nodes(graph, dead);
  graph.remove_dead();
  return folded;
}

int batch_norm_to_conv(Graph& graph) {
  int changed = 0;
  for (Node& node : graph.nodes) {
    if (!node.is("BatchNormalization")) continue;
    const size_t rank = graph.value(node.input(0)).shape.value_or(Shape()).size();
    if (rank < 3 || rank > 5) continue;
    const auto affine = batch_norm_affine(graph, node);
    if (!affine) continue;
    const auto channels = static_cast<int64_t>(affine->scale.size());
    Dims dims(rank, 1);
    dims[0] = channels;
    const std::vector<float> scale(affine->scale.begin(), affine->scale.end()),
        shift(affine->shift.begin(), affine->shift.end());
    const ValueId weight = graph.add_constant(node.name + "_weight", Tensor::from(dims, scale));
    const ValueId bias = graph.add_constant(node.name + "_bias", Tensor::from(Dims{channels}, shift));
    node.op = "Conv";
    node.inputs = {node.inputs[0], weight, bias};
    node.attributes = {{"group", channels}, {"kernel_shape", std::vector<int64_t>(rank - 2, 1)}};
    ++changed;
  }
  if (changed) graph.remove_dead();
  return changed;
}

}  // namespace lowbit
