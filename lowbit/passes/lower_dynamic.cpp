#include "lowbit/passes/lower_dynamic.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "lowbit/base/text.h"
#include "lowbit/core/weights.h"
#include "lowbit/passes/packed_digits.h"

namespace lowbit {
namespace {

constexpr int32_t kMiddle = 128;  ///< zero point of int8 codes that are written as uint8

/// Values of a quantized input.
struct Codes {
  ValueId codes = kNone, scale = kNone, zero_point = kNone;
  bool by_row = false;  ///< scale and zero point are [..., 1], the zero point as floats
};

/// Weights [K, N] or [M, C / groups, kernel ...] as 8-bit integers.
struct Weights {
  ValueId codes = kNone, zero_point = kNone;
  std::vector<float> scales;
  std::vector<int32_t> column_sums;  ///< of matrices, minus zero points
};

class DynamicLowering {
 public:
  DynamicLowering(NodeWriter& writer, const LowerOptions& options)
      : writer_(writer), graph_(writer.graph()), options_(options) {}

  void run() {
    std::vector<Node> kept;
    for (Node& node : graph_.nodes) {
      const bool reads = node.input(0) != kNone && is_dynamic(node.input(0));
      const bool layer = node.is("Conv") || node.is("MatMul") || node.is("Gemm");
      if (reads && layer && lower(node)) continue;
      kept.push_back(std::move(node));
    }
    graph_.nodes = std::move(kept);
    for (Value& value : graph_.values)
      if (value.quantization && value.quantization->dynamic) value.quantization.reset();
  }

 private:
  bool is_dynamic(ValueId id) const {
    const auto& quantization = graph_.value(id).quantization;
    return quantization && quantization->dynamic;
  }

  /// True if the node was replaced by others.
  bool lower(Node& node) {
    const ValueId x = node.inputs[0];
    const Tensor* weight = graph_.constant(node.input(1));
    if (!weight || !graph_.value(node.inputs[1]).quantization) return false;
    // Scales of rows stand beside the columns of a matrix; a convolution mixes rows.
    const bool rows = graph_.value(x).quantization->granularity.kind == Granularity::Kind::channel;
    const Codes codes = codes_of(x);
    const std::optional<Weights> weights =
        options_.simulate || (node.is("Conv") && rows) ? std::nullopt : weights_of(node);
    if (!weights) {
      node.inputs[0] = decoded(codes, x);
      return false;
    }
    write_integer_layer(node, codes, *weights);
    return true;
  }

  void write_integer_layer(const Node& node, const Codes& codes, const Weights& weights) {
    const bool conv = node.is("Conv");
    std::vector<ValueId> inputs = {codes.codes, weights.codes, codes.by_row ? kNone : codes.zero_point};
    if (weights.zero_point != kNone) inputs.push_back(weights.zero_point);
    while (inputs.back() == kNone) inputs.pop_back();
    ValueId y =
        writer_.node(conv ? "ConvInteger" : "MatMulInteger", std::move(inputs), conv ? node.attributes : Attributes{});
    if (codes.by_row) {
      const ValueId sums =
          writer_.shared(Tensor::from(Dims{static_cast<int64_t>(weights.column_sums.size())}, weights.column_sums));
      y = writer_.node("Sub", {y, writer_.node("Mul", {writer_.cast(codes.zero_point, DType::int32), sums})});
    }
    y = writer_.cast(y, DType::float32);
    Dims shape = weights.scales.size() == 1 ? Dims{} : Dims{static_cast<int64_t>(weights.scales.size())};
    const int64_t spatial = conv ? graph_.constant(node.inputs[1])->rank() - 2 : 0;
    if (!shape.empty()) shape.insert(shape.end(), static_cast<size_t>(spatial), 1);
    const ValueId scale =
        graph_.add_constant(graph_.value(node.inputs[1]).name + "_scale", Tensor::from(shape, weights.scales));
    const ValueId bias = node.is("MatMul") ? kNone : node.input(2);
    y = writer_.node("Mul", {y, writer_.node("Mul", {codes.scale, scale})}, {},
                     bias == kNone ? node.outputs[0] : kNone);
    if (bias == kNone) return;
    ValueId shift = bias;
    if (conv) {
      Dims dims(static_cast<size_t>(spatial + 1), 1);
      dims[0] = -1;
      shift = writer_.reshape(bias, dims);
    }
    writer_.node("Add", {y, shift}, {}, node.outputs[0]);
  }

  Codes codes_of(ValueId x) {
    const auto [found, fresh] = inputs_.try_emplace(x);
    if (!fresh) return found->second;
    const Quantization q = *graph_.value(x).quantization;
    Codes& codes = inputs_[x];
    codes.by_row = q.granularity.kind == Granularity::Kind::channel;
    if (!codes.by_row && q.format.asymmetric) {
      codes.codes = graph_.add_value(graph_.value(x).name + "_quantized");
      codes.scale = graph_.add_value(graph_.value(x).name + "_scale");
      codes.zero_point = graph_.add_value(graph_.value(x).name + "_zero_point");
      writer_.node("DynamicQuantizeLinear", {x}, {}, codes.codes);
      writer_.last().outputs = {codes.codes, codes.scale, codes.zero_point};
      return codes;
    }
    return codes = q.format.asymmetric ? asymmetric_rows(x) : symmetric(x, codes.by_row);
  }

  ValueId number(float value) { return writer_.shared(Tensor::scalar(value)); }

  ValueId reduce(const char* op, ValueId x, bool by_row) {
    std::vector<ValueId> inputs = {x};
    if (by_row) inputs.push_back(writer_.shared(std::vector<int64_t>{-1}));
    return writer_.node(op, std::move(inputs), {{"keepdims", int64_t{by_row}}});
  }

  /// A scale of 0 becomes 1.
  ValueId usable(ValueId scale) {
    const ValueId positive = writer_.node("Greater", {scale, number(0)});
    return writer_.node("Where", {positive, scale, number(1)});
  }

  Codes symmetric(ValueId x, bool by_row) {
    Codes codes;
    const ValueId reach = reduce("ReduceMax", writer_.node("Abs", {x}), by_row);
    codes.scale = usable(writer_.node("Div", {reach, number(127)}));
    ValueId q = writer_.node("Round", {writer_.node("Div", {x, codes.scale})});
    q = writer_.node("Clip", {q, number(-127), number(127)});
    q = writer_.node("Add", {q, number(kMiddle)});
    codes.codes = writer_.cast(q, DType::uint8);
    codes.zero_point = writer_.shared(Tensor::scalar(static_cast<uint8_t>(kMiddle)));
    return codes;
  }

  Codes asymmetric_rows(ValueId x) {
    Codes codes;
    codes.by_row = true;
    const ValueId low = writer_.node("Min", {reduce("ReduceMin", x, true), number(0)});
    const ValueId high = writer_.node("Max", {reduce("ReduceMax", x, true), number(0)});
    codes.scale = usable(writer_.node("Div", {writer_.node("Sub", {high, low}), number(255)}));
    ValueId zero = writer_.node("Div", {writer_.node("Neg", {low}), codes.scale});
    zero = writer_.node("Clip", {writer_.node("Round", {zero}), number(0), number(255)});
    ValueId q = writer_.node("Round", {writer_.node("Div", {x, codes.scale})});
    q = writer_.node("Clip", {writer_.node("Add", {q, zero}), number(0), number(255)});
    codes.codes = writer_.cast(q, DType::uint8);
    codes.zero_point = zero;
    return codes;
  }

  /// scale * (code - zero point).
  ValueId decoded(const Codes& codes, ValueId x) {
    const auto [found, fresh] = decoded_.try_emplace(x, kNone);
    if (!fresh) return found->second;
    ValueId y = writer_.cast(codes.codes, DType::float32);
    y = writer_.node("Sub", {y, codes.by_row ? codes.zero_point : writer_.cast(codes.zero_point, DType::float32)});
    return found->second = writer_.node("Mul", {y, codes.scale});
  }

  std::optional<Weights> weights_of(const Node& node) {
    const Value& value = graph_.value(node.inputs[1]);
    const Quantization q = *value.quantization;
    const Tensor weight = *value.constant;
    const std::string name = value.name;
    const bool conv = node.is("Conv"), turned = node.is("Gemm") && node.attr_int("transB", 0) != 0;
    if (!q.linear() || q.format.bits > 8 || (!conv && weight.rank() != 2)) return std::nullopt;
    if (node.is("Gemm") &&
        (node.attr_int("transA", 0) != 0 || node.attr_float("alpha", 1) != 1 || node.attr_float("beta", 1) != 1))
      return std::nullopt;
    const int64_t channel_axis = conv || turned ? 0 : 1;
    const bool by_channel = q.granularity.kind == Granularity::Kind::channel;
    if (q.granularity.kind != Granularity::Kind::tensor && !(by_channel && q.granularity.axis == channel_axis))
      return std::nullopt;
    std::vector<int32_t> zeros;
    Weights result;
    for (size_t g = 0; g < q.params.size() / 2; ++g) {
      result.scales.push_back(q.linear_at(static_cast<int64_t>(g)).scale);
      zeros.push_back(q.linear_at(static_cast<int64_t>(g)).zero_point);
    }
    const bool any_zero = std::any_of(zeros.begin(), zeros.end(), [](int32_t z) { return z != 0; });
    if (conv && any_zero && zeros.size() > 1) return std::nullopt;  // engines take one zero point there
    Tensor codes = weight_codes(graph_.value(node.inputs[1])).cast(DType::int32);
    if (turned) codes = transposed(codes);
    if (!conv) result.column_sums = column_sums(codes, zeros);
    const bool is_signed = q.codes().min < 0;
    const DType type = is_signed ? DType::int8 : DType::uint8;
    result.codes = write_codes(name, q, codes, type);
    if (any_zero) {
      const Dims dims = zeros.size() == 1 ? Dims{} : Dims{static_cast<int64_t>(zeros.size())};
      result.zero_point = graph_.add_constant(name + "_zero_point", Tensor::from(dims, zeros).cast(type));
    }
    return result;
  }

  ValueId write_codes(const std::string& name, const Quantization& q, const Tensor& codes, DType type) {
    const CodeRange range = q.codes();
    if (q.format.bits == 8) return graph_.add_constant(name + "_quantized", codes.cast(type));
    std::vector<int32_t> digits(codes.values<int32_t>().begin(), codes.values<int32_t>().end());
    for (int32_t& digit : digits) digit -= range.min;
    ValueId x = writer_.cast(write_digits(writer_, name + "_codes", digits, range.count(), codes.dims()), DType::int32);
    if (range.min != 0) x = writer_.node("Add", {x, writer_.shared(Tensor::scalar(range.min))});
    return writer_.cast(x, type);
  }

  static Tensor transposed(const Tensor& codes) {
    const int64_t rows = codes.dim(0), columns = codes.dim(1);
    Tensor result = Tensor::uninitialized(DType::int32, {columns, rows});
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < columns; ++c)
        result.mutable_data<int32_t>()[c * rows + r] = codes.data<int32_t>()[r * columns + c];
    return result;
  }

  static std::vector<int32_t> column_sums(const Tensor& codes, const std::vector<int32_t>& zeros) {
    const int64_t rows = codes.dim(0), columns = codes.dim(1);
    std::vector<int32_t> sums(static_cast<size_t>(columns), 0);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < columns; ++c)
        sums[static_cast<size_t>(c)] +=
            codes.data<int32_t>()[r * columns + c] - zeros[zeros.size() == 1 ? 0 : static_cast<size_t>(c)];
    return sums;
  }

  NodeWriter& writer_;
  Graph& graph_;
  const LowerOptions& options_;
  std::map<ValueId, Codes> inputs_;
  std::map<ValueId, ValueId> decoded_;
};

}  // namespace

void lower_dynamic(NodeWriter& writer, const LowerOptions& options) { DynamicLowering(writer, options).run(); }

}  // namespace lowbit
