#include "lowbit/passes/lower_qdq.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/core/graph_index.h"
#include "lowbit/core/weights.h"
#include "lowbit/passes/lower_dynamic.h"

namespace lowbit {
namespace {

constexpr int64_t kNewestOpset = 25;

/// The ONNX type that holds the codes of an activation; undefined if there is none.
DType onnx_type(const NumberFormat& format) {
  if (!is_linear(format)) return onnx_code_type(format, kNewestOpset);
  const CodeRange range = format.system->codes(format);
  const bool is_signed = range.min < 0;
  switch (format.bits) {
    case 4:
      return is_signed ? DType::int4 : DType::uint4;
    case 8:
      return is_signed ? DType::int8 : DType::uint8;
    case 16:
      return is_signed ? DType::int16 : DType::uint16;
    // A width without a type of its own goes into the next wider one, behind a Clip to its range.
    case 2:
    case 3:
      return is_signed ? DType::int4 : DType::uint4;
    default:
      return format.bits < 8    ? (is_signed ? DType::int8 : DType::uint8)
             : format.bits < 16 ? (is_signed ? DType::int16 : DType::uint16)
                                : DType::undefined;
  }
}

/// The type has codes that the format leaves out.
bool type_is_wider(const NumberFormat& format) {
  if (!is_linear(format)) return false;
  const CodeRange range = format.system->codes(format);
  return range.count() < int64_t{1} << dtype_bits(onnx_type(format));
}

class Lowering {
 public:
  Lowering(const Graph& source, const LowerOptions& options, std::vector<WeightHint>* hints)
      : graph_(source), writer_(graph_, added_), options_(options), hints_(hints) {}

  Graph run() {
    check();
    const size_t value_count = graph_.values.size();
    for (Node& node : graph_.nodes) lower_bodies(node);
    lower_dynamic(writer_, options_);
    drop_unread_constants();
    for (size_t n = 0; n < graph_.nodes.size(); ++n) lower_bias(n);
    for (size_t v = 0; v < value_count; ++v)
      if (graph_.values[v].quantization && graph_.values[v].constant) lower_constant(static_cast<ValueId>(v));
    for (size_t v = 0; v < value_count; ++v)
      if (graph_.values[v].quantization) lower_activation(static_cast<ValueId>(v));
    graph_.nodes.insert(graph_.nodes.end(), std::make_move_iterator(added_.begin()),
                        std::make_move_iterator(added_.end()));
    graph_.sort();
    graph_.remove_dead();
    return std::move(graph_);
  }

 private:
  void check() const {
    std::map<std::string, int> unsaid;
    for (const Value& value : graph_.values) {
      if (!value.quantization) continue;
      if (value.constant) continue;
      if (!value.quantization->dynamic && onnx_type(value.quantization->format) == DType::undefined)
        ++unsaid[to_string(value.quantization->format) + "/" + to_string(value.quantization->granularity)];
    }
    if (unsaid.empty()) return;
    std::vector<std::string> parts;
    for (const auto& [what, count] : unsaid) parts.push_back(fmt::format("{} ({} tensors)", what, count));
    throw Error(ErrorCode::unsupported,
                "ONNX files cannot say the activations " + join(parts, ", ") + " (use intN, uintN or fp8)");
  }

  /// Bodies are shared between copies of a graph, so this one gets its own.
  void lower_bodies(Node& node) const {
    for (auto& [key, attribute] : node.attributes)
      if (auto* body = std::get_if<std::shared_ptr<Graph>>(&attribute); body && *body)
        *body = std::make_shared<Graph>(Lowering(**body, options_, hints_).run());
  }

  /// Scale and zero point constants of an activation.
  std::pair<ValueId, ValueId> parameters(const Quantization& q, const std::string& name) {
    const auto each = static_cast<size_t>(q.format.system->param_count(q.format));
    std::vector<float> scales, zero_points;
    for (size_t i = 0; i < q.params.size(); i += each) {
      scales.push_back(q.params[i]);
      zero_points.push_back(is_linear(q.format) ? q.params[i + 1] : 0.0f);
    }
    const Dims shape =
        q.granularity.kind == Granularity::Kind::tensor ? Dims{} : Dims{static_cast<int64_t>(scales.size())};
    const DType type = onnx_type(q.format);
    Tensor zero = is_linear(q.format) ? Tensor::from(shape, zero_points).cast(type) : Tensor(type, shape);
    return {graph_.add_constant(name + "_scale", Tensor::from(shape, scales)),
            graph_.add_constant(name + "_zero_point", std::move(zero))};
  }

  Node make_node(const char* op, const std::string& name, std::vector<ValueId> inputs, ValueId output,
                 const Quantization& q) {
    Node node;
    node.op = op;
    node.name = name;
    node.inputs = std::move(inputs);
    node.outputs = {output};
    if (q.granularity.kind == Granularity::Kind::channel) node.attributes["axis"] = q.granularity.axis;
    return node;
  }

  /// Weights that the integer layers took the codes of; nodes for them would be written for nobody.
  void drop_unread_constants() {
    std::vector<char> read(graph_.values.size(), 0);
    const auto mark = [&](const Node& node) {
      for (ValueId id : node.inputs)
        if (id != kNone) read[static_cast<size_t>(id)] = 1;
    };
    for (const Node& node : added_) mark(node);
    for (ValueId id : graph_.outputs) read[static_cast<size_t>(id)] = 1;
    const auto uses = graph_.uses();
    for (size_t v = 0; v < graph_.values.size(); ++v) {
      Value& value = graph_.values[v];
      if (!value.constant || !value.quantization || read[v] || !uses[v].empty()) continue;
      value.constant.reset();
      value.quantization.reset();
    }
  }

  void lower_constant(ValueId id) {
    const auto hint = lower_weight(writer_, id, options_);
    if (hint && hints_) hints_->push_back(*hint);
  }

  /// Limits of a format that the type of its codes does not have.
  ValueId clipped(ValueId x, const Quantization& q, const std::string& name) {
    if (!type_is_wider(q.format) || q.granularity.kind != Granularity::Kind::tensor) return x;
    const CodeRange range = q.codes();
    const ValueId low = graph_.add_constant(name + "_low", Tensor::scalar(linear_decode(range.min, q.linear_at(0))));
    const ValueId high = graph_.add_constant(name + "_high", Tensor::scalar(linear_decode(range.max, q.linear_at(0))));
    const ValueId result = graph_.add_value(name + "_clipped", DType::float32, graph_.value(x).shape);
    added_.push_back(make_node("Clip", name + "_Clip", {x, low, high}, result, q));
    return result;
  }

  /// One pair behind the value, read by everybody. A graph output keeps its name behind the pair, and so does a graph
  /// input before it.
  void lower_activation(ValueId id) {
    const Quantization q = *graph_.value(id).quantization;
    const std::string name = graph_.value(id).name;
    const DType dtype = graph_.value(id).dtype;
    const std::optional<Shape> shape = graph_.value(id).shape;
    graph_.value(id).quantization.reset();
    const auto [scale, zero_point] = parameters(q, name);
    const ValueId codes = graph_.add_value(name + "_quantized", onnx_type(q.format), shape);
    const ValueId result = graph_.add_value(name + "_dequantized", dtype, shape);
    graph_.replace_uses(id, result);
    const ValueId x = clipped(id, q, name);
    added_.push_back(make_node("QuantizeLinear", name + "_QuantizeLinear", {x, scale, zero_point}, codes, q));
    added_.push_back(make_node("DequantizeLinear", name + "_DequantizeLinear", {codes, scale, zero_point}, result, q));
  }

  /// The bias of a layer with annotated input and weight becomes int32 at scale s_x * s_w, as integer kernels want it.
  void lower_bias(size_t n) {
    const Node& node = graph_.nodes[n];
    const bool layer = node.is("Conv") || node.is("Gemm");
    const ValueId bias = node.input(2);
    const Tensor* values = graph_.constant(bias);
    if (!layer || !values || values->dtype() != DType::float32 || values->rank() != 1) return;
    const auto &x = graph_.value(node.inputs[0]).quantization, &w = graph_.value(node.inputs[1]).quantization;
    if (!x || !w || !x->linear() || !w->linear() || x->params.size() != 2 || !graph_.constant(node.inputs[1])) return;
    const auto groups = static_cast<int64_t>(w->params.size()) / 2;
    if (groups != 1 && groups != values->count()) return;
    std::vector<float> scales;
    std::vector<int32_t> codes;
    for (int64_t c = 0; c < values->count(); ++c) {
      const double scale =
          static_cast<double>(x->linear_at(0).scale) * static_cast<double>(w->linear_at(groups == 1 ? 0 : c).scale);
      const double code = std::nearbyint(values->data<float>()[c] / scale);
      if (!(std::abs(code) <= INT32_MAX)) return;  // stays float, which every engine accepts
      if (groups != 1 || c == 0) scales.push_back(static_cast<float>(scale));
      codes.push_back(static_cast<int32_t>(code));
    }
    const Dims dims = values->dims();  // adding constants moves the values
    const Dims shape = groups == 1 ? Dims{} : Dims{groups};
    const std::string made_name = node.name + "_bias";
    const ValueId integers = graph_.add_constant(made_name + "_quantized", Tensor::from(dims, codes));
    const ValueId scale = graph_.add_constant(made_name + "_scale", Tensor::from(shape, scales));
    const ValueId zero_point = graph_.add_constant(made_name + "_zero_point", Tensor(DType::int32, shape));
    const ValueId result = graph_.add_value(made_name + "_dequantized", DType::float32, to_shape(dims));
    Quantization described;
    described.granularity.kind = groups == 1 ? Granularity::Kind::tensor : Granularity::Kind::channel;
    added_.push_back(make_node("DequantizeLinear", made_name + "_DequantizeLinear", {integers, scale, zero_point},
                               result, described));
    graph_.nodes[n].inputs[2] = result;
  }

  Graph graph_;
  std::vector<Node> added_;
  NodeWriter writer_;
  LowerOptions options_;
  std::vector<WeightHint>* hints_;
};

}  // namespace

Graph lower_qdq(const Graph& graph, const LowerOptions& options, std::vector<WeightHint>* hints) {
  return Lowering(graph, options, hints).run();
}

Model lower_model(const Model& model, const LowerOptions& options) {
  Model lowered = model;
  std::vector<WeightHint> hints;
  lowered.graph = lower_qdq(model.graph, options, &hints);
  std::erase_if(lowered.metadata, [](const auto& entry) { return entry.first == kWeightHintsKey; });
  if (!hints.empty()) lowered.metadata.emplace_back(kWeightHintsKey, to_text(hints));
  return lowered;
}

}  // namespace lowbit
