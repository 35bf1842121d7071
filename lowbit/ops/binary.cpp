// binary.cpp: arithmetic between two or more tensors with NumPy broadcasting. Integers wrap; what has no result
// (division by zero, the lowest integer divided by -1) is refused with the node's name instead of a trap.
#include <cmath>
#include <limits>

#include "lowbit/ops/broadcast.h"
#include "lowbit/ops/dispatch.h"
#include "lowbit/ops/families.h"
#include "lowbit/ops/infer_helpers.h"

namespace lowbit {
namespace {

struct Add {
  template <typename T>
  T operator()(T a, T b) const {
    return wrapping_add(a, b);
  }
};

struct Sub {
  template <typename T>
  T operator()(T a, T b) const {
    return wrapping_sub(a, b);
  }
};

struct Mul {
  template <typename T>
  T operator()(T a, T b) const {
    return wrapping_mul(a, b);
  }
};

/// Integers round toward zero.
struct Div {
  explicit Div(const Node& owner) : node(&owner) {}
  template <typename T>
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T>) {
      if (b == T{0}) node_error(*node, "an integer is divided by zero");
      if constexpr (std::is_signed_v<T>)
        if (b == T{-1} && a == std::numeric_limits<T>::min())
          node_error(*node, "the lowest integer is divided by -1, which has no result in its type");
    }
    return static_cast<T>(a / b);
  }
  const Node* node;
};

/// fmod = 0: the result has the sign of the divisor; fmod = 1: the sign of the dividend, as C's fmod. (Before opset 28
/// floats needed fmod = 1; the wider rule is a superset.)
struct Mod {
  explicit Mod(const Node& owner) : node(&owner), fmod(owner.attr_int("fmod", 0) != 0) {}
  template <typename T>
  T operator()(T a, T b) const {
    if constexpr (std::is_floating_point_v<T>) {
      const T rest = std::fmod(a, b);
      if (fmod || rest != rest) return rest;
      if (rest == T{0}) return std::copysign(T{0}, b);
      return std::signbit(rest) != std::signbit(b) ? rest + b : rest;
    } else {
      if (b == T{0}) node_error(*node, "the remainder of a division by zero is asked for");
      if constexpr (std::is_signed_v<T>)
        if (b == T{-1}) return T{0};  // also where a / b would overflow
      const T rest = static_cast<T>(a % b);
      return !fmod && rest != T{0} && (rest < T{0}) != (b < T{0}) ? static_cast<T>(rest + b) : rest;
    }
  }
  const Node* node;
  bool fmod;
};

/// NaN wins, as in NumPy.
struct Max {
  template <typename T>
  T operator()(T a, T b) const {
    return a != a || a > b ? a : b;
  }
};

struct Min {
  template <typename T>
  T operator()(T a, T b) const {
    return a != a || a < b ? a : b;
  }
};

struct PRelu {
  template <typename T>
  T operator()(T x, T slope) const {
    return x < T{0} ? wrapping_mul(slope, x) : x;
  }
};

/// Op on two tensors of one (widened) type.
template <typename Op, typename Types>
Tensor apply(const EvalContext& context, const Op& op, const Tensor& a, const Tensor& b) {
  require_same_type(context.node(), a.dtype(), b.dtype());
  const Dims dims = broadcast_dims(a.dims(), b.dims());
  Tensor out = make_output(context.node(), a.dtype(), dims);
  dispatch(Types{}, context.node(), a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    broadcast_binary<T>(context.threads(), a, b, dims, out.mutable_data<T>(), op);
  });
  return out;
}

template <typename Op, typename Types>
void binary_reference(EvalContext& context) {
  const Tensor &a = context.input(0), &b = context.input(1);
  require_same_type(context.node(), a.dtype(), b.dtype());
  const Op op = make_functor<Op>(context.node());
  context.set_output(0, narrowed(apply<Op, Types>(context, op, widened(a), widened(b)), a.dtype()));
}

/// Folds all inputs from the left; 16-bit floats are rounded once at the end.
template <typename Op, typename Types>
Tensor fold_inputs(EvalContext& context) {
  const DType type = context.input(0).dtype();
  Tensor result = widened(context.input(0));
  if (context.input_count() == 1) dispatch(Types{}, context.node(), result.dtype(), [](auto) {});
  for (size_t i = 1; i < context.input_count(); ++i) {
    require_same_type(context.node(), type, context.input(i).dtype());
    result = apply<Op, Types>(context, Op{}, result, widened(context.input(i)));
  }
  return result;
}

template <typename Op, typename Types>
void variadic_reference(EvalContext& context) {
  context.set_output(0, narrowed(fold_inputs<Op, Types>(context), context.input(0).dtype()));
}

void mean_reference(EvalContext& context) {
  Tensor sum = fold_inputs<Add, FloatTypes>(context);
  dispatch(FloatTypes{}, context.node(), sum.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T count = static_cast<T>(context.input_count());
    for (T& value : sum.mutable_values<T>()) value /= count;
  });
  context.set_output(0, narrowed(std::move(sum), context.input(0).dtype()));
}

void prelu_reference(EvalContext& context) {
  const Dims &x = context.input(0).dims(), &slope = context.input(1).dims();
  if (broadcast_dims(x, slope) != x)
    node_error(context.node(), "the slope " + dims_text(slope) + " does not broadcast to the input " + dims_text(x));
  binary_reference<PRelu, NumberTypes>(context);
}

/// base^exponent in integers, wrapping; a negative exponent gives the truncated real result.
template <typename T>
T integer_power(const Node& node, T base, int64_t exponent) {
  if (exponent < 0) {
    if (base == T{0}) node_error(node, "an integer zero is raised to a negative power");
    if (base == T{1}) return T{1};
    if (base == T{-1}) return static_cast<T>(exponent % 2 == 0 ? 1 : -1);
    return T{0};
  }
  T result{1};
  for (; exponent > 0; exponent >>= 1) {
    if (exponent & 1) result = wrapping_mul(result, base);
    base = wrapping_mul(base, base);
  }
  return result;
}

/// The base decides the type of the result. Integer bases with integer exponents stay exact; with real exponents they
/// go through double.
Tensor integer_pow(const EvalContext& context, const Tensor& base, const Tensor& exponent) {
  const Node& node = context.node();
  const Dims dims = broadcast_dims(base.dims(), exponent.dims());
  if (is_float(exponent.dtype())) {
    const Tensor a = base.cast(DType::float64), b = exponent.cast(DType::float64);
    Tensor out = make_output(node, DType::float64, dims);
    broadcast_binary<double>(context.threads(), a, b, dims, out.mutable_data<double>(),
                             [](double x, double y) { return std::pow(x, y); });
    return out.cast(base.dtype());
  }
  const Tensor a = base.cast(DType::int64), b = exponent.cast(DType::int64);
  Tensor out = make_output(node, DType::int64, dims);
  broadcast_binary<int64_t>(context.threads(), a, b, dims, out.mutable_data<int64_t>(),
                            [&node](int64_t x, int64_t y) { return integer_power(node, x, y); });
  return out.cast(base.dtype());
}

struct Power {
  template <typename T>
  T operator()(T base, T exponent) const {
    // Squares and roots are what networks have; std::pow gives the same value, slowly.
    if (exponent == T{2}) return base * base;
    return std::pow(base, exponent);
  }
};

void pow_reference(EvalContext& context) {
  const Tensor &base = context.input(0), &exponent = context.input(1);
  if (!is_float(base.dtype())) {
    if (!is_integer(base.dtype())) type_error(context.node(), base.dtype());
    context.set_output(0, integer_pow(context, base, exponent));
    return;
  }
  const Tensor a = widened(base), b = exponent.cast(a.dtype());
  context.set_output(0, narrowed(apply<Power, FloatTypes>(context, Power{}, a, b), base.dtype()));
}

/// Element-wise arithmetic on followed shapes: rank 0 and 1, broadcasting a single element.
template <Dim (*Combine)(const Dim&, const Dim&)>
void infer_arithmetic(InferContext& context) {
  infer_broadcast(context);
  const auto a = dims_of(context, 0), b = dims_of(context, 1);
  if (!a || !b || a->empty() || b->empty() || (a->size() != b->size() && a->size() != 1 && b->size() != 1)) return;
  std::vector<Dim> result(std::max(a->size(), b->size()));
  for (size_t i = 0; i < result.size(); ++i)
    result[i] = Combine((*a)[a->size() == 1 ? 0 : i], (*b)[b->size() == 1 ? 0 : i]);
  context.set_output_dims(0, std::move(result));
}

constexpr OpDef kBinaryRows[] = {
    {"", "Add", OpKind::elementwise, 2, 2, 1, 1, "", infer_arithmetic<dim_add>, binary_reference<Add, NumberTypes>},
    {"", "Div", OpKind::elementwise, 2, 2, 1, 1, "", infer_arithmetic<dim_div>, binary_reference<Div, NumberTypes>},
    {"", "Max", OpKind::elementwise, 1, -1, 1, 1, "", infer_broadcast, variadic_reference<Max, NumberTypes>},
    {"", "Mean", OpKind::elementwise, 1, -1, 1, 1, "", infer_broadcast, mean_reference},
    {"", "Min", OpKind::elementwise, 1, -1, 1, 1, "", infer_broadcast, variadic_reference<Min, NumberTypes>},
    {"", "Mod", OpKind::elementwise, 2, 2, 1, 1, "fmod", infer_broadcast, binary_reference<Mod, NumberTypes>},
    {"", "Mul", OpKind::elementwise, 2, 2, 1, 1, "", infer_arithmetic<dim_mul>, binary_reference<Mul, NumberTypes>},
    {"", "PRelu", OpKind::elementwise, 2, 2, 1, 1, "", infer_same, prelu_reference},
    {"", "Pow", OpKind::elementwise, 2, 2, 1, 1, "", infer_broadcast, pow_reference},
    {"", "Sub", OpKind::elementwise, 2, 2, 1, 1, "", infer_arithmetic<dim_sub>, binary_reference<Sub, NumberTypes>},
    {"", "Sum", OpKind::elementwise, 1, -1, 1, 1, "", infer_broadcast, variadic_reference<Add, FloatTypes>},
};

}  // namespace

std::span<const OpDef> binary_ops() { return kBinaryRows; }

}  // namespace lowbit
