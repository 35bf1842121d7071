// activation.cpp: the activation functions of networks, element by element. The formulas are in
// activation_functions.h.
#include <limits>

#include "lowbit/ops/activation_functions.h"
#include "lowbit/ops/dispatch.h"
#include "lowbit/ops/families.h"
#include "lowbit/ops/infer_helpers.h"

namespace lowbit {
namespace {

using namespace functions;

/// One bound of Clip as T, or the type's own end if the input is absent.
template <typename T>
T clip_bound(const EvalContext& context, size_t input, T fallback) {
  const Tensor* bound = context.optional_input(input);
  if (!bound) return fallback;
  if (bound->count() != 1)
    node_error(context.node(), "the bounds must be scalars, one has the shape " + dims_text(bound->dims()));
  require_same_type(context.node(), context.input(0).dtype(), bound->dtype());
  return widened(*bound).data<T>()[0];
}

/// min(max(x, low), high); NaN stays NaN; low > high gives high everywhere.
void clip_reference(EvalContext& context) {
  const Tensor& given = context.input(0);
  const Tensor x = widened(given);
  Tensor y = make_output(context.node(), x.dtype(), x.dims());
  dispatch(NumberTypes{}, context.node(), x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using Limits = std::numeric_limits<T>;
    const T low =
        clip_bound<T>(context, 1, Limits::has_infinity ? static_cast<T>(-Limits::infinity()) : Limits::lowest());
    const T high = clip_bound<T>(context, 2, Limits::has_infinity ? Limits::infinity() : Limits::max());
    map_elements(context.threads(), x.data<T>(), y.mutable_data<T>(), x.count(), [low, high](T v) {
      const T raised = v < low ? low : v;
      return raised > high ? high : raised;
    });
  });
  context.set_output(0, narrowed(std::move(y), given.dtype()));
}

template <typename Op, typename Types = FloatTypes>
constexpr OpDef row(std::string_view name, std::string_view attributes = "") {
  return {"", name, OpKind::elementwise, 1, 1, 1, 1, attributes, infer_same, map_reference<Op, Types>};
}

constexpr OpDef kActivationRows[] = {
    row<Celu>("Celu", "alpha"),
    {"", "Clip", OpKind::elementwise, 1, 3, 1, 1, "", infer_same, clip_reference},
    row<Elu>("Elu", "alpha"),
    row<Gelu>("Gelu", "approximate"),
    row<HardSigmoid>("HardSigmoid", "alpha beta"),
    row<HardSwish>("HardSwish"),
    row<LeakyRelu>("LeakyRelu", "alpha"),
    row<Mish>("Mish"),
    row<Relu, SignedNumberTypes>("Relu"),
    row<Selu>("Selu", "alpha gamma"),
    row<Shrink, NumberTypes>("Shrink", "bias lambd"),
    row<Sigmoid>("Sigmoid"),
    row<Softplus>("Softplus"),
    row<Softsign>("Softsign"),
    row<Swish>("Swish", "alpha"),
    row<Tanh>("Tanh"),
    row<ThresholdedRelu>("ThresholdedRelu", "alpha"),
};

}  // namespace

std::span<const OpDef> activation_ops() { return kActivationRows; }

}  // namespace lowbit
