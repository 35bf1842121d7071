// cast.cpp: Cast, CastLike and BitCast, with strings and the unsaturated 8-bit floats.
#include <cmath>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/core/float8_format.h"
#include "lowbit/ops/dispatch.h"
#include "lowbit/ops/families.h"
#include "lowbit/ops/infer_helpers.h"

namespace lowbit {
namespace {

/// Without saturation, what does not fit becomes infinity or NaN.
Tensor to_float8(const Node& node, const Tensor& x, DType type, Float8 format) {
  const Tensor wide = to_float32(x);
  Tensor y = make_output(node, type, x.dims());
  uint8_t* to = y.mutable_data<uint8_t>();
  for (int64_t i = 0; i < wide.count(); ++i) to[i] = float_to_float8(wide.data<float>()[i], format, /*saturate=*/false);
  return y;
}

double parse_number(const Node& node, const std::string& text) {
  std::string_view trimmed = trim(text);
  if (!trimmed.empty() && trimmed.front() == '+') trimmed.remove_prefix(1);
  const bool negative = !trimmed.empty() && trimmed.front() == '-';
  std::string word(trimmed.substr(negative ? 1 : 0));
  for (char& c : word) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (word == "inf" || word == "infinity") return negative ? -HUGE_VAL : HUGE_VAL;
  if (word == "nan") return NAN;
  const auto number = parse_double(trimmed);
  if (!number) node_error(node, fmt::format("'{}' is no number", printable(text, 40)));
  return *number;
}

Tensor from_strings(const Node& node, const Tensor& x, DType type) {
  std::vector<double> numbers;
  for (const std::string& text : x.string_values()) numbers.push_back(parse_number(node, text));
  // float32 is parsed through double: the second rounding differs only for decimals made for it.
  return Tensor::from<double>(x.dims(), numbers).cast(type);
}

/// The shortest text that reads back as the same number; plain notation for small exponents, as NumPy prints it.
template <typename T>
std::string number_text(T value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value ? "True" : "False";
  } else if constexpr (std::is_floating_point_v<T>) {
    if (value != value) return "NaN";
    if (value - value != T{0}) return value > 0 ? "INF" : "-INF";
    return fmt::format("{}", value);
  } else {
    return fmt::format("{}", +value);
  }
}

Tensor to_strings(const Node& node, const Tensor& given) {
  const Tensor x = widened(given);
  std::vector<std::string> texts;
  dispatch(NumberAndBoolTypes{}, node, x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (T value : x.values<T>()) texts.push_back(number_text(value));
  });
  return Tensor::strings(given.dims(), std::move(texts));
}

Tensor cast(const Node& node, const Tensor& x, DType type) {
  if (x.dtype() == type) return x;
  if (x.dtype() == DType::string) return from_strings(node, x, type);
  if (type == DType::string) return to_strings(node, x);
  const auto format = float8_format(type);
  if (format && node.attr_int("saturate", 1) == 0) return to_float8(node, x, type, *format);
  return x.cast(type);
}

void cast_reference(EvalContext& context) {
  const Node& node = context.node();
  context.set_output(0, cast(node, context.input(0), dtype_from_onnx(node, node.attr_int("to", 0))));
}

void cast_like_reference(EvalContext& context) {
  context.set_output(0, cast(context.node(), context.input(0), context.input(1).dtype()));
}

void infer_cast_to(InferContext& context, DType type) {
  infer_same_shape(context, type);
  const auto dims = dims_of(context, 0);
  if (dims && is_integer(type)) context.set_output_dims(0, *dims);
}

void infer_cast(InferContext& context) {
  infer_cast_to(context, dtype_from_onnx(context.node(), context.node().attr_int("to", 0)));
}

void infer_cast_like(InferContext& context) { infer_cast_to(context, context.input_dtype(1)); }

/// The same bits as another type of the same width.
void bit_cast_reference(EvalContext& context) {
  const Node& node = context.node();
  const Tensor& x = context.input(0);
  const DType type = dtype_from_onnx(node, node.attr_int("to", 0));
  if (x.dtype() == DType::string || type == DType::string || dtype_bits(x.dtype()) != dtype_bits(type))
    node_error(node, fmt::format("{} and {} differ in width", dtype_name(x.dtype()), dtype_name(type)));
  // A bool of another bit pattern than 0 or 1 must not exist in memory.
  context.set_output(0, type == DType::bool_ ? x.reinterpreted(DType::uint8).cast(type) : x.reinterpreted(type));
}

void infer_bit_cast(InferContext& context) {
  infer_same_shape(context, dtype_from_onnx(context.node(), context.node().attr_int("to", 0)));
}

constexpr OpDef kCastRows[] = {
    {"", "BitCast", OpKind::other, 1, 1, 1, 1, "to", infer_bit_cast, bit_cast_reference},
    {"", "Cast", OpKind::elementwise, 1, 1, 1, 1, "round_mode saturate to", infer_cast, cast_reference},
    {"", "CastLike", OpKind::elementwise, 2, 2, 1, 1, "round_mode saturate", infer_cast_like, cast_like_reference},
};

}  // namespace

std::span<const OpDef> cast_ops() { return kCastRows; }

}  // namespace lowbit
