#include "lowbit/passes/lower_weights.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/core/weights.h"
#include "lowbit/passes/code_matrix.h"
#include "lowbit/passes/level_model.h"
#include "lowbit/passes/lower_vectors.h"
#include "lowbit/passes/packed_digits.h"

namespace lowbit {
namespace {

constexpr int64_t kBlockOpset = 21, kFourBitOpset = 21, kSixteenBitOpset = 21, kTwoBitOpset = 25, kFloat8Opset = 19;

bool named(const NumberFormat& format, std::string_view name) {
  return !format.standardized && format.system->name == name;
}

/// The inner system of a standardized format, or the format itself.
NumberFormat inner_format(NumberFormat format) {
  format.standardized = false;
  return format;
}

class WeightWriter {
 public:
  WeightWriter(NodeWriter& writer, ValueId id, const LowerOptions& options)
      : writer_(writer),
        graph_(writer.graph()),
        id_(id),
        options_(options),
        name_(graph_.value(id).name),
        q_(*graph_.value(id).quantization),
        values_(weight_values(graph_.value(id))),
        codes_(weight_codes(graph_.value(id)).cast(DType::int32)),
        layout_(code_layout(q_.granularity, values_.dims())),
        each_(static_cast<size_t>(q_.format.system->param_count(q_.format))) {}

  std::optional<WeightHint> write() {
    graph_.value(id_).constant.reset();
    graph_.value(id_).quantization.reset();
    hint_.value = name_;
    hint_.format = q_.format;
    hint_.granularity = q_.granularity;
    if (named(q_.format, "float16") || named(q_.format, "bfloat16")) return write_half();
    if (onnx_code_type(q_.format, options_.max_opset) != DType::undefined && is_float8()) return write_float8();
    if (is_linear(q_.format) && q_.granularity.kind != Granularity::Kind::block &&
        (!layout_.matrix || options_.max_opset >= kBlockOpset) &&
        (q_.format.bits <= 8 || options_.max_opset >= kSixteenBitOpset))
      return write_linear();
    if (is_linear(inner_format(q_.format)) || inner_format(q_.format).system->name == "float16" ||
        inner_format(q_.format).system->name == "bfloat16")
      return write_arithmetic();
    return write_lookup();
  }

 private:
  bool is_float8() const { return q_.format.bits == 8 && !is_linear(q_.format); }

  std::vector<int32_t> ordered_codes() const { return in_layout(layout_, codes_.data<int32_t>()); }

  /// Codes as digits 0 ... count - 1, unpacked, in the work dims.
  ValueId digits(const Dims& dims) {
    const CodeRange range = q_.codes();
    std::vector<int32_t> ordered = ordered_codes();
    for (int32_t& code : ordered) code -= range.min;
    return write_digits(writer_, name_ + "_codes", ordered, range.count(), dims);
  }

  std::optional<WeightHint> write_half() {
    const DType type = named(q_.format, "float16") ? DType::float16 : DType::bfloat16;
    const ValueId bits = graph_.add_constant(name_ + "_codes", codes_.cast(DType::uint16).reinterpreted(type));
    writer_.node("Cast", {bits}, {{"to", int64_t{1}}}, id_);
    return hint_;
  }

  /// Where DequantizeLinear finds the blocks of a group granularity: in the tensor itself for matrices.
  struct Blocks {
    Dims dims;
    int64_t axis = 0;
    bool in_place = true;
  };
  Blocks blocks() const {
    const Dims& dims = layout_.dims;
    if (!layout_.matrix) return {dims, q_.granularity.axis, true};
    if (dims.size() == 2) return {dims, 1 - q_.granularity.axis, true};
    return {{layout_.channels, layout_.columns}, 1, false};
  }

  /// One parameter a group in the shape that DequantizeLinear wants.
  Tensor block_parameters(size_t at) const {
    const std::vector<float> values = parameter(at);
    if (!layout_.matrix)
      return Tensor::from(q_.granularity.kind == Granularity::Kind::tensor ? Dims{} : Dims{count()}, values);
    const Blocks b = blocks();
    if (b.axis == 1) return Tensor::from(Dims{layout_.channels, layout_.column_blocks}, values);
    std::vector<float> turned(values.size());
    for (int64_t c = 0; c < layout_.channels; ++c)
      for (int64_t k = 0; k < layout_.column_blocks; ++k)
        turned[static_cast<size_t>(k * layout_.channels + c)] =
            values[static_cast<size_t>(c * layout_.column_blocks + k)];
    return Tensor::from(Dims{layout_.column_blocks, layout_.channels}, turned);
  }

  void dequantize(ValueId codes, const Blocks& b, bool with_zero, DType zero_type) {
    std::vector<ValueId> inputs = {codes, compact(name_ + "_scale", block_parameters(0))};
    if (with_zero) inputs.push_back(graph_.add_constant(name_ + "_zero_point", block_parameters(1).cast(zero_type)));
    Attributes attributes;
    if (q_.granularity.kind != Granularity::Kind::tensor) attributes["axis"] = b.axis;
    if (layout_.matrix) attributes["block_size"] = q_.granularity.size;
    const ValueId made =
        writer_.node("DequantizeLinear", std::move(inputs), std::move(attributes), b.in_place ? id_ : kNone);
    if (!b.in_place) write_in_tensor_order(writer_, layout_, made, id_);
  }

  std::optional<WeightHint> write_linear() {
    const Blocks b = blocks();
    DType type = onnx_code_type(q_.format, options_.max_opset);
    const bool native = type != DType::undefined;
    ValueId codes = kNone;
    if (native) {
      const std::vector<int32_t> ordered = b.in_place ? to_vector(codes_) : ordered_codes();
      codes = graph_.add_constant(name_ + "_quantized", Tensor::from(b.dims, ordered).cast(type));
    } else {
      const CodeRange range = q_.codes();
      type = q_.format.bits <= 8 ? DType::int8 : DType::int16;
      if (range.max > (type == DType::int8 ? 127 : 32767)) type = type == DType::int8 ? DType::uint8 : DType::uint16;
      std::vector<int32_t> ordered = b.in_place ? to_vector(codes_) : ordered_codes();
      for (int32_t& code : ordered) code -= range.min;
      codes = write_digits(writer_, name_ + "_codes", ordered, range.count(), b.dims);
      if (range.min != 0)
        codes = writer_.node("Add", {writer_.cast(codes, DType::int32), writer_.shared(Tensor::scalar(range.min))});
      codes = writer_.cast(codes, type);
    }
    // Zeros are written for int8: an engine on a processor that needs unsigned weights can then shift the codes (ONNX
    // Runtime with session.x64quantprecision fails where they are left out).
    const bool with_zero = q_.format.asymmetric || has_zero_points() || type == DType::int8;
    dequantize(codes, b, with_zero, type);
    const auto scale = graph_.find_value(name_ + "_scale");
    const bool said = native && b.in_place && scale && graph_.constant(*scale);  // all of it is in the node
    if (said && !reads_otherwise()) return std::nullopt;
    name_parameters({name_ + "_scale", name_ + "_zero_point"});
    return hint_;
  }

  /// The format that a reader takes from type, codes and zero points is another one.
  bool reads_otherwise() const {
    NumberFormat read = q_.format;
    read.asymmetric = q_.format.system->name == "uint" || has_zero_points();
    const auto codes = codes_.values<int32_t>();
    const int32_t lowest = -(1 << (q_.format.bits - 1));
    read.narrow = q_.format.system->name == "int" && !read.asymmetric &&
                  std::find(codes.begin(), codes.end(), lowest) == codes.end();
    return !(read == q_.format);
  }
  bool has_zero_points() const {
    const std::vector<float> zeros = parameter(1);
    return std::any_of(zeros.begin(), zeros.end(), [](float z) { return z != 0; });
  }

  std::optional<WeightHint> write_float8() {
    const Blocks b = blocks();
    const DType type = onnx_code_type(q_.format, options_.max_opset);
    if (layout_.matrix && (q_.granularity.kind == Granularity::Kind::block || options_.max_opset < kBlockOpset))
      return write_lookup();
    const std::vector<int32_t> ordered = b.in_place ? to_vector(codes_) : ordered_codes();
    const Tensor bytes = Tensor::from(b.dims, ordered).cast(DType::uint8);
    dequantize(graph_.add_constant(name_ + "_quantized", bytes.reinterpreted(type)), b, false, type);
    name_parameters({name_ + "_scale"});
    return hint_;
  }

  /// (code - zero point) * scale, then the mean and deviation of standardized formats; float16 codes by Cast.
  std::optional<WeightHint> write_arithmetic() {
    const bool standard = q_.format.standardized, linear = is_linear(inner_format(q_.format));
    const DType type = standard ? DType::float64 : DType::float32;
    const size_t at = standard ? 2 : 0;
    ValueId x = kNone;
    if (linear) {
      x = writer_.cast(digits(layout_.work), type);
      x = subtract_zeros(x, parameter(at + 1), type);
      x = writer_.node("Mul", {x, spread(name_ + "_scale", parameter(at), type)});
    } else {
      const DType half = inner_format(q_.format).system->name == "float16" ? DType::float16 : DType::bfloat16;
      const Tensor bits = Tensor::from(layout_.work, ordered_codes()).cast(DType::uint16).reinterpreted(half);
      x = writer_.cast(graph_.add_constant(name_ + "_codes", bits), type);
    }
    if (standard) x = standardize(x);
    write_in_tensor_order(writer_, layout_, x, id_);
    std::vector<std::string> names;
    if (standard) names = {name_ + "_mean", name_ + "_deviation"};
    if (linear) names.insert(names.end(), {name_ + "_scale", name_ + "_zero_point"});
    name_parameters(names);
    return hint_;
  }

  /// Digits count from the lowest code: digit - (zero - lowest), in one step where all groups have the same zero.
  ValueId subtract_zeros(ValueId x, const std::vector<float>& zeros, DType type) {
    const auto lowest = static_cast<float>(q_.codes().min);
    const auto scalar = [&](float value) { return writer_.shared(Tensor::scalar(value).cast(type)); };
    if (std::all_of(zeros.begin(), zeros.end(), [&](float z) { return z == zeros[0]; }))
      return zeros[0] == lowest ? x : writer_.node("Sub", {x, scalar(zeros[0] - lowest)});
    if (lowest != 0) x = writer_.node("Add", {x, scalar(lowest)});
    const bool is_signed = lowest < 0;
    const DType stored =
        q_.format.bits <= 8 ? (is_signed ? DType::int8 : DType::uint8) : (is_signed ? DType::int16 : DType::uint16);
    const ValueId zero = graph_.add_constant(name_ + "_zero_point", Tensor::from(parameter_dims(), zeros).cast(stored));
    return writer_.node("Sub", {x, spread_over_blocks(writer_, layout_, writer_.cast(zero, type))});
  }

  ValueId standardize(ValueId x) {
    x = writer_.node("Mul", {x, spread(name_ + "_deviation", parameter(1), DType::float64)});
    x = writer_.node("Add", {x, spread(name_ + "_mean", parameter(0), DType::float64)});
    return writer_.cast(x, DType::float32);
  }

  std::optional<WeightHint> write_lookup() {
    const std::vector<int32_t> ordered = to_vector(codes_);
    const auto model = level_model(q_, layout_.dims, ordered, values_.values<float>());
    if (!model)
      throw Error(ErrorCode::unsupported,
                  fmt::format("ONNX files cannot say {} (use a system of at most 16 bits)", to_string(q_.format)),
                  printable(name_));
    const auto levels = static_cast<int64_t>(q_.codes().count());
    const DType type = model->units_are_float32 ? DType::float32 : DType::float64;
    ValueId x = digits(layout_.work);
    if (model->rows.size() > 1) x = writer_.node("Add", {writer_.cast(x, DType::int32), row_offsets(*model, levels)});
    const Tensor table = Tensor::from(Dims{static_cast<int64_t>(model->units.size())}, model->units).cast(type);
    const bool codebook = !model->has_factors() && parameters_are_levels(*model);
    x = writer_.node("Gather", {codebook ? graph_.add_constant(name_ + "_levels", table) : writer_.shared(table), x});
    if (model->scale_at >= 0)
      x = writer_.node("Mul", {x, spread(name_ + "_scale", parameter(static_cast<size_t>(model->scale_at)), type)});
    if (model->deviation_at >= 0)
      x = standardize(x);
    else if (type == DType::float64)
      x = writer_.cast(x, DType::float32);
    write_in_tensor_order(writer_, layout_, x, id_);
    describe(*model, codebook);
    return hint_;
  }

  /// row * levels of each group, to be added to its digits.
  ValueId row_offsets(const LevelModel& model, int64_t levels) {
    const bool own = model.rows.size() == model.row_of_group.size();  // row g belongs to group g
    const auto last = static_cast<int32_t>(model.rows.size() * static_cast<size_t>(levels));
    ValueId offsets = kNone;
    if (own) {
      offsets = writer_.node("Range", {writer_.shared(Tensor::scalar(int32_t{0})), writer_.shared(Tensor::scalar(last)),
                                       writer_.shared(Tensor::scalar(static_cast<int32_t>(levels)))});
      offsets = writer_.reshape(offsets, parameter_dims());
    } else {
      const DType type = model.rows.size() <= 256 ? DType::uint8 : DType::int32;
      const ValueId row =
          graph_.add_constant(name_ + "_row", Tensor::from(parameter_dims(), model.row_of_group).cast(type));
      hint_.row = name_ + "_row";
      offsets = writer_.node(
          "Mul", {writer_.cast(row, DType::int32), writer_.shared(Tensor::scalar(static_cast<int32_t>(levels)))});
    }
    return spread_over_blocks(writer_, layout_, offsets);
  }

  /// The parameters of a group are its levels by code, so the table holds them.
  bool parameters_are_levels(const LevelModel& model) const {
    return model.rows.size() == model.row_of_group.size() && model.units_are_float32 &&
           each_ == static_cast<size_t>(q_.codes().count()) &&
           std::equal(q_.params.begin(), q_.params.end(), model.units.begin(),
                      [](float p, double u) { return static_cast<double>(p) == u; });
  }

  void describe(const LevelModel& model, bool codebook) {
    if (codebook) {
      hint_.levels = name_ + "_levels";
      return;
    }
    std::vector<std::string> names(each_);
    if (model.scale_at >= 0) names[static_cast<size_t>(model.scale_at)] = name_ + "_scale";
    if (model.deviation_at >= 0) names[static_cast<size_t>(model.deviation_at)] = name_ + "_deviation";
    if (model.mean_at >= 0) names[static_cast<size_t>(model.mean_at)] = name_ + "_mean";
    hint_.parameters = names;
    hint_.rows = model.rows;
    if (hint_.rows.size() > 1 && hint_.row.empty()) hint_.row = kRowOfItsOwn;
  }

  /// Names of the values with the parameters; those that were not written are told in rows.
  void name_parameters(const std::vector<std::string>& names) {
    hint_.parameters = names;
    std::vector<size_t> rest;
    for (size_t k = 0; k < names.size(); ++k) {
      if (!names[k].empty() && graph_.find_value(names[k])) continue;
      hint_.parameters[k].clear();
      rest.push_back(k);
    }
    for (size_t g = 0; !rest.empty() && g < static_cast<size_t>(count()); ++g) {
      hint_.rows.emplace_back();
      for (size_t k : rest) hint_.rows.back().push_back(q_.params[g * each_ + k]);
    }
    const bool same =
        std::all_of(hint_.rows.begin(), hint_.rows.end(), [&](const auto& row) { return row == hint_.rows[0]; });
    if (same && !hint_.rows.empty()) hint_.rows.resize(1);
    if (!same) hint_.row = kRowOfItsOwn;
  }

  int64_t count() const { return each_ == 0 ? 0 : static_cast<int64_t>(q_.params.size() / each_); }

  std::vector<float> parameter(size_t at) const {
    std::vector<float> result;
    for (size_t i = at; i < q_.params.size(); i += each_) result.push_back(q_.params[i]);
    return result;
  }

  /// Few different values among many, as block-scaled formats have: a byte each and a table. Gives the float32 values.
  ValueId compact(const std::string& name, Tensor values) {
    const auto all = values.values<float>();
    const std::set<float> different(all.begin(), all.end());
    const auto bytes = static_cast<int64_t>(different.size()) * 4 + values.count();
    constexpr int64_t kNodeBytes = 64;  // what the lookup itself takes in the file
    if (different.size() > 256 || bytes + kNodeBytes >= values.count() * 4)
      return graph_.add_constant(name, std::move(values));
    const std::vector<float> table(different.begin(), different.end());
    Tensor index = Tensor::uninitialized(DType::uint8, values.dims());
    for (size_t i = 0; i < all.size(); ++i)
      index.mutable_data<uint8_t>()[i] =
          static_cast<uint8_t>(std::lower_bound(table.begin(), table.end(), all[i]) - table.begin());
    const ValueId at = writer_.cast(graph_.add_constant(name + "_index", std::move(index)), DType::int32);
    const ValueId made = graph_.add_value(name);
    return writer_.node("Gather", {writer_.shared(Tensor::from(Dims{static_cast<int64_t>(table.size())}, table)), at},
                        {}, made);
  }

  Dims parameter_dims() const { return q_.granularity.kind == Granularity::Kind::tensor ? Dims{} : layout_.parameters; }

  /// One parameter a group, as `type`, broadcasting against the work dims.
  ValueId spread(const std::string& name, const std::vector<float>& values, DType type) {
    ValueId x = compact(name, Tensor::from(parameter_dims(), values));
    if (type != DType::float32) x = writer_.cast(x, type);
    return spread_over_blocks(writer_, layout_, x);
  }

  static std::vector<int32_t> to_vector(const Tensor& codes) {
    return {codes.values<int32_t>().begin(), codes.values<int32_t>().end()};
  }

  NodeWriter& writer_;
  Graph& graph_;
  ValueId id_;
  LowerOptions options_;
  std::string name_;
  Quantization q_;
  Tensor values_, codes_;
  CodeLayout layout_;
  size_t each_;
  WeightHint hint_;
};

}  // namespace

DType onnx_code_type(const NumberFormat& format, int64_t max_opset) {
  if (!is_linear(format)) {
    if (max_opset < kFloat8Opset) return DType::undefined;
    if (named(format, "fp8-e4m3") || named(format, "mxfp8-e4m3")) return DType::float8e4m3fn;
    return named(format, "fp8-e5m2") ? DType::float8e5m2 : DType::undefined;
  }
  const bool is_signed = format.system->codes(format).min < 0;
  switch (format.bits) {
    case 2:
      return max_opset < kTwoBitOpset ? DType::undefined : is_signed ? DType::int2 : DType::uint2;
    case 4:
      return max_opset < kFourBitOpset ? DType::undefined : is_signed ? DType::int4 : DType::uint4;
    case 8:
      return is_signed ? DType::int8 : DType::uint8;
    case 16:
      return max_opset < kSixteenBitOpset ? DType::undefined : is_signed ? DType::int16 : DType::uint16;
    default:
      return DType::undefined;
  }
}

std::optional<WeightHint> lower_weight(NodeWriter& writer, ValueId id, const LowerOptions& options) {
  Value& value = writer.graph().value(id);
  const Tensor values = weight_values(value);
  if (options.simulate || values.count() == 0) {
    value.constant = values;
    value.quantization.reset();
    return std::nullopt;
  }
  if (value.quantization->format.vector_size > 1) return lower_vectors(writer, id);
  return WeightWriter(writer, id, options).write();
}

}  // namespace lowbit
