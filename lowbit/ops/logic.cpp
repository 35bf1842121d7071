// logic.cpp: comparisons, logic on bool, logic on bits, and the element-wise choice, with NumPy broadcasting.
#include <functional>

#include "lowbit/ops/broadcast.h"
#include "lowbit/ops/dispatch.h"
#include "lowbit/ops/families.h"
#include "lowbit/ops/infer_helpers.h"

namespace lowbit {
namespace {

/// out = Op(a, b) with R elements.
template <typename R, typename Types, typename Op>
Tensor apply(const EvalContext& context, const Op& op, DType result) {
  const Tensor &given_a = context.input(0), &given_b = context.input(1);
  require_same_type(context.node(), given_a.dtype(), given_b.dtype());
  const Tensor a = widened(given_a), b = widened(given_b);
  const Dims dims = broadcast_dims(a.dims(), b.dims());
  Tensor out = make_output(context.node(), result, dims);
  dispatch(Types{}, context.node(), a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using Out = std::conditional_t<std::is_void_v<R>, T, R>;
    broadcast_binary<T>(context.threads(), a, b, dims, out.mutable_data<Out>(), op);
  });
  return out;
}

template <typename Op, typename Types>
void compare_reference(EvalContext& context) {
  context.set_output(0, apply<bool, Types>(context, Op{}, DType::bool_));
}

void equal_strings(EvalContext& context) {
  const Tensor &a = context.input(0), &b = context.input(1);
  const Dims dims = broadcast_dims(a.dims(), b.dims());
  Tensor out = make_output(context.node(), DType::bool_, dims);
  const BroadcastLoop loop = make_broadcast_loop(dims, {&a.dims(), &b.dims()});
  const auto &x = a.string_values(), &y = b.string_values();
  bool* z = out.mutable_data<bool>();
  for_each_run<2>(loop, 0, loop.runs, [&](int64_t at, const std::array<int64_t, 2>& offsets) {
    for (int64_t i = 0; i < loop.run; ++i)
      z[at + i] = x[static_cast<size_t>(offsets[0] + i * loop.strides[0].back())] ==
                  y[static_cast<size_t>(offsets[1] + i * loop.strides[1].back())];
  });
  context.set_output(0, std::move(out));
}

void equal_reference(EvalContext& context) {
  if (context.input(0).dtype() == DType::string && context.input(1).dtype() == DType::string)
    equal_strings(context);
  else
    compare_reference<std::equal_to<>, NumberAndBoolTypes>(context);
}

struct Exclusive {
  bool operator()(bool a, bool b) const { return a != b; }
};

template <typename Op>
struct Bits {
  template <typename T>
  T operator()(T a, T b) const {
    return static_cast<T>(Op{}(a, b));
  }
};

template <typename Op>
void bits_reference(EvalContext& context) {
  context.set_output(0, apply<void, IntegerTypes>(context, Bits<Op>{}, context.input(0).dtype()));
}

/// A signed right shift copies the sign. A negative shift, or one by the width or more, leaves the fill alone (C++
/// leaves it undefined): -1 for a right shift of a negative number, else 0.
struct Shift {
  explicit Shift(const Node& node) {
    const std::string direction = node.attr_string("direction", "");
    if (direction != "LEFT" && direction != "RIGHT") node_error(node, "attribute direction must be LEFT or RIGHT");
    left = direction == "LEFT";
  }
  template <typename T>
  T operator()(T a, T by) const {
    constexpr T kWidth = static_cast<T>(8 * sizeof(T));
    if (by < T{0} || by >= kWidth) return static_cast<T>(!left && a < T{0} ? -1 : 0);
    return left ? static_cast<T>(static_cast<WrapType<T>>(a) << by) : static_cast<T>(a >> by);
  }
  bool left;
};

void shift_reference(EvalContext& context) {
  context.set_output(0, apply<void, IntegerTypes>(context, Shift(context.node()), context.input(0).dtype()));
}

template <typename T, typename Out>
void choose(const BroadcastLoop& loop, const bool* condition, const T* x, const T* y, Out out) {
  const int64_t sc = loop.strides[0].back(), sx = loop.strides[1].back(), sy = loop.strides[2].back();
  for_each_run<3>(loop, 0, loop.runs, [&](int64_t at, const std::array<int64_t, 3>& offsets) {
    const bool* c = condition + offsets[0];
    const T *a = x + offsets[1], *b = y + offsets[2];
    for (int64_t i = 0; i < loop.run; ++i) out[static_cast<size_t>(at + i)] = c[i * sc] ? a[i * sx] : b[i * sy];
  });
}

void where_reference(EvalContext& context) {
  const Tensor &condition = context.input(0), &x = context.input(1), &y = context.input(2);
  require_same_type(context.node(), DType::bool_, condition.dtype());
  require_same_type(context.node(), x.dtype(), y.dtype());
  const Dims dims = broadcast_dims(condition.dims(), broadcast_dims(x.dims(), y.dims()));
  const BroadcastLoop loop = make_broadcast_loop(dims, {&condition.dims(), &x.dims(), &y.dims()});
  Tensor out = make_output(context.node(), x.dtype(), dims);
  if (x.dtype() == DType::string) {
    std::vector<std::string> chosen(static_cast<size_t>(out.count()));
    choose(loop, condition.data<bool>(), x.string_values().data(), y.string_values().data(), chosen.begin());
    out = Tensor::strings(dims, std::move(chosen));
  } else {
    dispatch_width(context.node(), x.dtype(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      choose(loop, condition.data<bool>(), raw_elements<T>(x), raw_elements<T>(y), raw_elements<T>(out));
    });
  }
  context.set_output(0, std::move(out));
}

/// The elements of a small bool input, if each is known.
std::optional<std::vector<int64_t>> known_conditions(const InferContext& context, size_t input) {
  const Tensor* constant = context.input_constant(input);
  if (constant && constant->dtype() == DType::bool_ && constant->rank() <= 1 && constant->count() <= 64)
    return to_int64(*constant);
  return ints_of(context, input);
}

void infer_where(InferContext& context) {
  context.set_output(0, context.input_dtype(1), broadcast_of_inputs(context));
  const auto condition = known_conditions(context, 0);
  const auto x = dims_of(context, 1), y = dims_of(context, 2);
  if (!condition || !x || !y) return;
  const size_t size = std::max({condition->size(), x->size(), y->size()});
  std::vector<Dim> result(size);
  for (size_t i = 0; i < size; ++i) {
    const auto at = [&](size_t length) { return length == 1 ? 0 : i; };
    if (at(condition->size()) >= condition->size() || at(x->size()) >= x->size() || at(y->size()) >= y->size()) return;
    result[i] = (*condition)[at(condition->size())] ? (*x)[at(x->size())] : (*y)[at(y->size())];
  }
  context.set_output_dims(0, std::move(result));
}

/// Equality of followed shapes, where both sides are numbers (`Equal(shape, -1)` before an Expand).
void infer_equal(InferContext& context) {
  infer_broadcast_bool(context);
  const auto a = ints_of(context, 0), b = ints_of(context, 1);
  if (!a || !b || a->empty() || b->empty() || (a->size() != b->size() && a->size() != 1 && b->size() != 1)) return;
  std::vector<Dim> result;
  for (size_t i = 0; i < std::max(a->size(), b->size()); ++i)
    result.push_back(Dim((*a)[a->size() == 1 ? 0 : i] == (*b)[b->size() == 1 ? 0 : i]));
  context.set_output_dims(0, std::move(result));
}

template <typename Op, typename Types = NumberTypes>
constexpr OpDef compare_row(std::string_view name) {
  return {"", name, OpKind::elementwise, 2, 2, 1, 1, "", infer_broadcast_bool, compare_reference<Op, Types>};
}

template <typename Op>
constexpr OpDef bits_row(std::string_view name) {
  return {"", name, OpKind::elementwise, 2, 2, 1, 1, "", infer_broadcast, bits_reference<Op>};
}

constexpr OpDef kLogicRows[] = {
    compare_row<std::logical_and<>, BoolTypes>("And"),
    {"", "BitShift", OpKind::elementwise, 2, 2, 1, 1, "direction", infer_broadcast, shift_reference},
    bits_row<std::bit_and<>>("BitwiseAnd"),
    bits_row<std::bit_or<>>("BitwiseOr"),
    bits_row<std::bit_xor<>>("BitwiseXor"),
    {"", "Equal", OpKind::elementwise, 2, 2, 1, 1, "", infer_equal, equal_reference},
    compare_row<std::greater<>>("Greater"),
    compare_row<std::greater_equal<>>("GreaterOrEqual"),
    compare_row<std::less<>>("Less"),
    compare_row<std::less_equal<>>("LessOrEqual"),
    compare_row<std::logical_or<>, BoolTypes>("Or"),
    {"", "Where", OpKind::elementwise, 3, 3, 1, 1, "", infer_where, where_reference},
    compare_row<Exclusive, BoolTypes>("Xor"),
};

}  // namespace

std::span<const OpDef> logic_ops() { return kLogicRows; }

}  // namespace lowbit
