// unary.cpp: functions of one tensor, element by element: rounding, powers, logarithms, trigonometry, tests. The
// activations of networks are in activation.cpp.
#include <cmath>

#include "lowbit/ops/dispatch.h"
#include "lowbit/ops/families.h"
#include "lowbit/ops/infer_helpers.h"

namespace lowbit {
namespace {

/// y = Op(x) with a bool result; the small floats are tested as float32.
template <typename Op>
void test_reference(EvalContext& context) {
  const Tensor& given = context.input(0);
  const Tensor x = is_float(given.dtype()) && given.dtype() != DType::float64 ? to_float32(given) : given;
  const Op op = make_functor<Op>(context.node());
  Tensor y = make_output(context.node(), DType::bool_, x.dims());
  dispatch(FloatTypes{}, context.node(), x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    map_elements(context.threads(), x.data<T>(), y.mutable_data<bool>(), x.count(), op);
  });
  context.set_output(0, std::move(y));
}

#define LOWBIT_STD_FUNCTION(Name, function) \
  struct Name {                             \
    template <typename T>                   \
    T operator()(T x) const {               \
      return std::function(x);              \
    }                                       \
  }
LOWBIT_STD_FUNCTION(Acos, acos);
LOWBIT_STD_FUNCTION(Acosh, acosh);
LOWBIT_STD_FUNCTION(Asin, asin);
LOWBIT_STD_FUNCTION(Asinh, asinh);
LOWBIT_STD_FUNCTION(Atan, atan);
LOWBIT_STD_FUNCTION(Atanh, atanh);
LOWBIT_STD_FUNCTION(Ceil, ceil);
LOWBIT_STD_FUNCTION(Cos, cos);
LOWBIT_STD_FUNCTION(Cosh, cosh);
LOWBIT_STD_FUNCTION(Erf, erf);
LOWBIT_STD_FUNCTION(Exp, exp);
LOWBIT_STD_FUNCTION(Floor, floor);
LOWBIT_STD_FUNCTION(Log, log);
LOWBIT_STD_FUNCTION(Round, nearbyint);  // halves go to the even neighbour: the default rounding mode
LOWBIT_STD_FUNCTION(Sin, sin);
LOWBIT_STD_FUNCTION(Sinh, sinh);
LOWBIT_STD_FUNCTION(Sqrt, sqrt);
LOWBIT_STD_FUNCTION(Tan, tan);
#undef LOWBIT_STD_FUNCTION

struct Abs {
  template <typename T>
  T operator()(T x) const {
    if constexpr (std::is_floating_point_v<T>)
      return std::fabs(x);
    else
      return x < T{0} ? wrapping_sub(T{0}, x) : x;  // the lowest integer stays, as two's complement has it
  }
};

struct Neg {
  template <typename T>
  T operator()(T x) const {
    if constexpr (std::is_floating_point_v<T>)
      return -x;
    else
      return wrapping_sub(T{0}, x);
  }
};

struct Sign {
  template <typename T>
  T operator()(T x) const {
    if (x != x) return x;
    return static_cast<T>(x > T{0} ? 1 : x < T{0} ? -1 : 0);
  }
};

struct Reciprocal {
  template <typename T>
  T operator()(T x) const {
    return T{1} / x;
  }
};

struct Not {
  bool operator()(bool x) const { return !x; }
};

struct BitwiseNot {
  template <typename T>
  T operator()(T x) const {
    return static_cast<T>(~x);
  }
};

struct IsNan {
  template <typename T>
  bool operator()(T x) const {
    return std::isnan(x);
  }
};

struct IsInf {
  explicit IsInf(const Node& node)
      : negative(node.attr_int("detect_negative", 1) != 0), positive(node.attr_int("detect_positive", 1) != 0) {}
  template <typename T>
  bool operator()(T x) const {
    return std::isinf(x) && (x > 0 ? positive : negative);
  }
  bool negative, positive;
};

void identity_reference(EvalContext& context) { context.set_output(0, context.input(0)); }

void infer_identity(InferContext& context) {
  infer_same(context);
  if (auto dims = dims_of(context, 0)) context.set_output_dims(0, *dims);
}

/// At inference dropout is the identity; a model that asks for training is refused rather than silently not dropped.
void dropout_reference(EvalContext& context) {
  const bool training = context.has_input(2) && int_scalar(context, 2) != 0;
  const double ratio = context.has_input(1) ? number_scalar(context, 1) : 0.5;
  if (training && ratio != 0.0)
    throw Error(ErrorCode::unsupported, "Dropout in training mode; export the model for inference (training_mode = 0)",
                "node '" + context.node().name + "'");
  context.set_output(0, context.input(0));
  if (!context.wants_output(1)) return;
  Tensor mask = make_output(context.node(), DType::bool_, context.input(0).dims());
  std::fill_n(mask.mutable_data<bool>(), mask.count(), true);
  context.set_output(1, std::move(mask));
}

void infer_dropout(InferContext& context) {
  infer_same(context);
  if (context.node().output(1) != kNone) context.set_output(1, DType::bool_, shape_of(context, 0));
}

void infer_test(InferContext& context) { infer_same_shape(context, DType::bool_); }

template <typename Op, typename Types = FloatTypes>
constexpr OpDef map_row(std::string_view name) {
  return {"", name, OpKind::elementwise, 1, 1, 1, 1, "", infer_same, map_reference<Op, Types>};
}

constexpr OpDef kUnaryRows[] = {
    map_row<Abs, NumberTypes>("Abs"),
    map_row<Acos>("Acos"),
    map_row<Acosh>("Acosh"),
    map_row<Asin>("Asin"),
    map_row<Asinh>("Asinh"),
    map_row<Atan>("Atan"),
    map_row<Atanh>("Atanh"),
    map_row<BitwiseNot, IntegerTypes>("BitwiseNot"),
    map_row<Ceil>("Ceil"),
    map_row<Cos>("Cos"),
    map_row<Cosh>("Cosh"),
    {"", "Dropout", OpKind::movement, 1, 3, 1, 2, "seed", infer_dropout, dropout_reference},
    map_row<Erf>("Erf"),
    map_row<Exp>("Exp"),
    map_row<Floor>("Floor"),
    {"", "Identity", OpKind::movement, 1, 1, 1, 1, "", infer_identity, identity_reference},
    {"", "IsInf", OpKind::elementwise, 1, 1, 1, 1, "detect_negative detect_positive", infer_test,
     test_reference<IsInf>},
    {"", "IsNaN", OpKind::elementwise, 1, 1, 1, 1, "", infer_test, test_reference<IsNan>},
    map_row<Log>("Log"),
    map_row<Neg, SignedNumberTypes>("Neg"),
    map_row<Not, BoolTypes>("Not"),
    map_row<Reciprocal>("Reciprocal"),
    map_row<Round>("Round"),
    map_row<Sign, NumberTypes>("Sign"),
    map_row<Sin>("Sin"),
    map_row<Sinh>("Sinh"),
    map_row<Sqrt>("Sqrt"),
    map_row<Tan>("Tan"),
};

}  // namespace

std::span<const OpDef> unary_ops() { return kUnaryRows; }

}  // namespace lowbit
