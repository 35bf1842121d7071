#include "lowbit/passes/lower_qdq.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/core/graph_index.h"
#include "lowbit/core/weights.h"

namespace lowbit {
namespace {

/// The ONNX type that holds the codes of a linear format; undefined if there is none.
DType onnx_type(const NumberFormat& format) {
  if (!is_linear(format)) return DType::undefined;
  const CodeRange range = format.system->codes(format);
  const bool is_signed = range.min < 0;
  switch (format.bits) {
    case 4:
      return is_signed ? DType::int4 : DType::uint4;
    case 8:
      return is_signed ? DType::int8 : DType::uint8;
    case 16:
      return is_signed ? DType::int16 : DType::uint16;
    // A width without a type of its own is kept in the next wider one: the codes and so the values are the same.
    case 2:
    case 3:
      return is_signed ? DType::int4 : DType::uint4;
    default:
      return format.bits < 8    ? (is_signed ? DType::int8 : DType::uint8)
             : format.bits < 16 ? (is_signed ? DType::int16 : DType::uint16)
                                : DType::undefined;
  }
}

class Lowering {
 public:
  explicit Lowering(const Graph& source) : graph_(source) {}

  Graph run() {
    check();
    const size_t value_count = graph_.values.size();
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
      const bool blocks = value.quantization->granularity.kind == Granularity::Kind::block;
      if (value.quantization->dynamic || blocks || onnx_type(value.quantization->format) == DType::undefined)
        ++unsaid[to_string(value.quantization->format) + "/" +
                 (value.quantization->dynamic ? "dynamic" : to_string(value.quantization->granularity))];
    }
    if (unsaid.empty()) return;
    std::vector<std::string> parts;
    for (const auto& [what, count] : unsaid) parts.push_back(fmt::format("{} ({} tensors)", what, count));
    throw Error(ErrorCode::unsupported, "QDQ ONNX files cannot say " + join(parts, ", ") +
                                            " (use intN or uintN up to 16 bits at tensor or channel granularity)");
  }

  /// Scale and zero point constants of an annotation, of the shape that its granularity asks for.
  std::pair<ValueId, ValueId> parameters(const Quantization& q, const std::string& name, const Dims& dims) {
    const auto groups = static_cast<int64_t>(q.params.size()) / 2;
    std::vector<float> scales;
    std::vector<int32_t> zero_points;
    for (int64_t g = 0; g < groups; ++g) {
      scales.push_back(q.linear_at(g).scale);
      zero_points.push_back(q.linear_at(g).zero_point);
    }
    Dims shape;
    if (q.granularity.kind == Granularity::Kind::channel) shape = {groups};
    if (q.granularity.kind == Granularity::Kind::group) shape = group_shape(q, dims, groups);
    Tensor scale = Tensor::from(shape, scales), zero = Tensor::from(shape, zero_points).cast(onnx_type(q.format));
    return {graph_.add_constant(name + "_scale", std::move(scale)),
            graph_.add_constant(name + "_zero_point", std::move(zero))};
  }

  /// Blocked parameters have the rank of the tensor: runs along the last axis, channels first. Others cannot be said.
  static Dims group_shape(const Quantization& q, const Dims& dims, int64_t groups) {
    const bool matrix = dims.size() == 2 && q.granularity.axis == 0 && dims[0] > 0 && groups % dims[0] == 0 &&
                        dims[1] % q.granularity.size == 0;
    if (!matrix)
      throw Error(ErrorCode::unsupported,
                  fmt::format("QDQ ONNX files cannot say groups of {} of a tensor {} (use channel granularity)",
                              q.granularity.size, dims_text(dims)));
    return {dims[0], groups / dims[0]};
  }

  Node make_node(const char* op, const std::string& name, std::vector<ValueId> inputs, ValueId output,
                 const Quantization& q) {
    Node node;
    node.op = op;
    node.name = name;
    node.inputs = std::move(inputs);
    node.outputs = {output};
    if (q.granularity.kind == Granularity::Kind::channel) node.attributes["axis"] = q.granularity.axis;
    if (q.granularity.kind == Granularity::Kind::group) {
      node.attributes["axis"] = int64_t{1};
      node.attributes["block_size"] = q.granularity.size;
    }
    return node;
  }

  void lower_constant(ValueId id) {
    const Quantization q = *graph_.value(id).quantization;
    const Tensor stored = weight_codes(graph_.value(id)).cast(onnx_type(q.format));
    const std::string name = graph_.value(id).name;
    const ValueId codes = graph_.add_constant(name + "_quantized", stored);
    const auto [scale, zero_point] = parameters(q, name, stored.dims());
    graph_.value(id).constant.reset();
    graph_.value(id).quantization.reset();
    added_.push_back(make_node("DequantizeLinear", name + "_DequantizeLinear", {codes, scale, zero_point}, id, q));
  }

  /// One pair behind the value, read by everybody. A graph output keeps its name behind the pair, and so does a graph
  /// input before it.
  void lower_activation(ValueId id) {
    const Quantization q = *graph_.value(id).quantization;
    const std::string name = graph_.value(id).name;
    const DType dtype = graph_.value(id).dtype;
    const std::optional<Shape> shape = graph_.value(id).shape;
    graph_.value(id).quantization.reset();
    const auto [scale, zero_point] = parameters(q, name, {});
    const ValueId codes = graph_.add_value(name + "_quantized", onnx_type(q.format), shape);
    const ValueId result = graph_.add_value(name + "_dequantized", dtype, shape);
    graph_.replace_uses(id, result);
    added_.push_back(make_node("QuantizeLinear", name + "_QuantizeLinear", {id, scale, zero_point}, codes, q));
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
};

}  // namespace

Graph lower_qdq(const Graph& graph) { return Lowering(graph).run(); }

}  // namespace lowbit
