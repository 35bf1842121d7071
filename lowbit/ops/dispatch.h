// dispatch.h: from the element type that a tensor has at run time to the C++ type of a loop, and the checks every
// reference makes. float16 and bfloat16 are computed in float32 and rounded once at the end: widened() on the way in,
// narrowed() on the way out.
#pragma once

#include <string>
#include <type_traits>

#include "lowbit/ops/op.h"

namespace lowbit {

/// Throws Error{bad_file} that names the node.
[[noreturn]] void node_error(const Node& node, const std::string& message);
/// Throws Error{bad_file}: the operator does not take this element type.
[[noreturn]] void type_error(const Node& node, DType type);
/// Throws Error{bad_file} unless both types are equal.
void require_same_type(const Node& node, DType a, DType b);

/// A tensor for an output, not initialised. Throws Error{out_of_memory} above kMaxOutputBytes, which a damaged shape
/// would otherwise make the system try.
Tensor make_output(const Node& node, DType type, Dims dims);
inline constexpr int64_t kMaxOutputBytes = int64_t{16} << 30;

/// The element type of an ONNX data type number (TensorProto.DataType), as the attributes `to` and `dtype` carry it.
/// Throws Error{bad_file} for an unknown number.
DType dtype_from_onnx(const Node& node, int64_t code);

/// float16 and bfloat16 become float32; everything else is returned as it is (sharing the bytes).
Tensor widened(const Tensor& tensor);
/// Rounds a float32 result to `type`; a tensor that has the type already is returned as it is.
Tensor narrowed(Tensor tensor, DType type);

template <typename... T>
struct TypeList {};
using FloatTypes = TypeList<float, double>;
using SignedTypes = TypeList<int8_t, int16_t, int32_t, int64_t>;
using IntegerTypes = TypeList<int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t>;
using SignedNumberTypes = TypeList<float, double, int8_t, int16_t, int32_t, int64_t>;
using NumberTypes = TypeList<float, double, int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t>;
using NumberAndBoolTypes =
    TypeList<float, double, int8_t, int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t, bool>;
using BoolTypes = TypeList<bool>;

template <typename T>
struct TypeTag {
  using type = T;
};

/// Calls f(TypeTag<T>{}) for the T of the list that `type` names; throws type_error if there is none.
template <typename... T, typename F>
void dispatch(TypeList<T...>, const Node& node, DType type, F&& f) {
  const bool found = ((dtype_of<T> == type && (f(TypeTag<T>{}), true)) || ...);
  if (!found) type_error(node, type);
}

/// The same by element width alone, for operators that only move elements: T is uint8_t, uint16_t, uint32_t or
/// uint64_t. Strings have no width: type_error.
template <typename F>
void dispatch_width(const Node& node, DType type, F&& f) {
  switch (dtype_bytes(type)) {
    case 1:
      return f(TypeTag<uint8_t>{});
    case 2:
      return f(TypeTag<uint16_t>{});
    case 4:
      return f(TypeTag<uint32_t>{});
    case 8:
      return f(TypeTag<uint64_t>{});
    default:
      type_error(node, type);
  }
}

/// The bytes of a tensor as elements of its width.
template <typename T>
const T* raw_elements(const Tensor& tensor) {
  return reinterpret_cast<const T*>(tensor.raw().data());
}
template <typename T>
T* raw_elements(Tensor& tensor) {
  return reinterpret_cast<T*>(tensor.mutable_raw());
}

/// The values of an integer or bool input as int64; names the node if it is of another type.
std::vector<int64_t> int_values(const EvalContext& context, size_t input);
/// The single value of an integer input that must have exactly one element.
int64_t int_scalar(const EvalContext& context, size_t input);
/// The single value of a number input as double.
double number_scalar(const EvalContext& context, size_t input);
/// normalize_axis that names the node.
int64_t checked_axis(const Node& node, int64_t axis, int64_t rank);
/// All axes of a list, in [0, rank), without duplicates; throws otherwise.
std::vector<int64_t> checked_axes(const Node& node, std::vector<int64_t> axes, int64_t rank);

/// Integer arithmetic that wraps as ONNX's integers do, without the undefined behaviour of C++'s signed overflow and
/// of its promotion of short unsigned types to int.
template <typename T>
using WrapType = std::conditional_t<(sizeof(T) < 4), uint32_t, std::make_unsigned_t<T>>;
template <typename T>
T wrapping_add(T a, T b) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(static_cast<WrapType<T>>(a) + static_cast<WrapType<T>>(b));
  else
    return a + b;
}
template <typename T>
T wrapping_sub(T a, T b) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(static_cast<WrapType<T>>(a) - static_cast<WrapType<T>>(b));
  else
    return a - b;
}
template <typename T>
T wrapping_mul(T a, T b) {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(static_cast<WrapType<T>>(a) * static_cast<WrapType<T>>(b));
  else
    return a * b;
}

/// Op(node) if it reads attributes, else Op().
template <typename Op>
Op make_functor(const Node& node) {
  if constexpr (std::is_constructible_v<Op, const Node&>)
    return Op(node);
  else
    return Op();
}

/// y[i] = f(x[i]) on the pool's threads.
template <typename T, typename R, typename F>
void map_elements(ThreadPool& threads, const T* x, R* y, int64_t count, F f) {
  constexpr int64_t kBlock = int64_t{1} << 15;
  threads.parallel_blocks(count, kBlock, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) y[i] = f(x[i]);
  });
}

/// The reference of an element-wise operator: y = Op(x) for the types of the list. Op has a templated call operator.
template <typename Op, typename Types>
void map_reference(EvalContext& context) {
  const Tensor& given = context.input(0);
  const Tensor x = widened(given);
  const Op op = make_functor<Op>(context.node());
  Tensor y = make_output(context.node(), x.dtype(), x.dims());
  dispatch(Types{}, context.node(), x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    map_elements(context.threads(), x.data<T>(), y.mutable_data<T>(), x.count(),
                 [op](T v) { return static_cast<T>(op(v)); });
  });
  context.set_output(0, narrowed(std::move(y), given.dtype()));
}

}  // namespace lowbit
