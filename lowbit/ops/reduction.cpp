// reduction.cpp: Reduce* over any axes, CumSum and CumProd. The reduced axes are moved last, so that each output
// element is a function of one dense run. Floats are summed in double and rounded once; integers wrap.
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "lowbit/ops/dispatch.h"
#include "lowbit/ops/families.h"
#include "lowbit/ops/index_helpers.h"
#include "lowbit/ops/infer_helpers.h"
#include "lowbit/ops/movement_helpers.h"

namespace lowbit {
namespace {

/// What sums of T are kept in. Unsigned for every integer: it wraps, and the low bits are those of the signed sum.
template <typename T>
using Sum = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;

/// A real result as T: integers truncate and saturate, NaN gives 0.
template <typename T>
T from_real(double value) {
  if constexpr (std::is_floating_point_v<T>) {
    return static_cast<T>(value);
  } else {
    if (std::isnan(value)) return 0;
    if (value <= static_cast<double>(std::numeric_limits<T>::min())) return std::numeric_limits<T>::min();
    if (value >= static_cast<double>(std::numeric_limits<T>::max())) return std::numeric_limits<T>::max();
    return static_cast<T>(value);
  }
}

template <typename T, typename Term>
Sum<T> sum_of(const T* x, int64_t count, Term term) {
  Sum<T> sum{};
  for (int64_t i = 0; i < count; ++i) sum += term(static_cast<Sum<T>>(x[i]));
  return sum;
}

/// The sum in double, for results that are real numbers (means, roots, logarithms).
template <typename T, typename Term>
double real_sum_of(const T* x, int64_t count, Term term) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += term(static_cast<double>(x[i]));
  return sum;
}

constexpr auto kItself = [](auto v) { return v; };
constexpr auto kSquare = [](auto v) { return v * v; };

struct AddAll {
  template <typename T>
  T operator()(const T* x, int64_t count) const {
    return static_cast<T>(sum_of(x, count, kItself));
  }
};

struct SquareAll {
  template <typename T>
  T operator()(const T* x, int64_t count) const {
    return static_cast<T>(sum_of(x, count, kSquare));
  }
};

struct MultiplyAll {
  template <typename T>
  T operator()(const T* x, int64_t count) const {
    Sum<T> product{1};
    for (int64_t i = 0; i < count; ++i) product *= static_cast<Sum<T>>(x[i]);
    return static_cast<T>(product);
  }
};

struct Mean {
  template <typename T>
  T operator()(const T* x, int64_t count) const {
    return from_real<T>(real_sum_of(x, count, kItself) / static_cast<double>(count));
  }
};

struct L1 {
  template <typename T>
  T operator()(const T* x, int64_t count) const {
    if constexpr (std::is_floating_point_v<T>)
      return static_cast<T>(real_sum_of(x, count, [](double v) { return std::fabs(v); }));
    Sum<T> sum{};
    for (int64_t i = 0; i < count; ++i) {
      const auto wide = static_cast<Sum<T>>(x[i]);
      sum += x[i] < T{0} ? Sum<T>{} - wide : wide;
    }
    return static_cast<T>(sum);
  }
};

struct L2 {
  template <typename T>
  T operator()(const T* x, int64_t count) const {
    return from_real<T>(std::sqrt(real_sum_of(x, count, kSquare)));
  }
};

struct LogSum {
  template <typename T>
  T operator()(const T* x, int64_t count) const {
    return from_real<T>(std::log(real_sum_of(x, count, kItself)));
  }
};

struct LogSumExp {
  template <typename T>
  T operator()(const T* x, int64_t count) const {
    double top = -std::numeric_limits<double>::infinity();
    for (int64_t i = 0; i < count; ++i) top = std::max(top, static_cast<double>(x[i]));
    if (std::isinf(top)) return from_real<T>(top);
    return from_real<T>(top + std::log(real_sum_of(x, count, [top](double v) { return std::exp(v - top); })));
  }
};

template <bool kLargest>
struct Extreme {
  template <typename T>
  T operator()(const T* x, int64_t count) const {
    using Limits = std::numeric_limits<T>;
    T best = kLargest ? Limits::lowest() : Limits::max();
    if constexpr (std::is_floating_point_v<T>) best = kLargest ? -Limits::infinity() : Limits::infinity();
    for (int64_t i = 0; i < count; ++i) {
      if (x[i] != x[i]) return x[i];
      if (kLargest ? x[i] > best : x[i] < best) best = x[i];
    }
    return best;
  }
};

/// Axes of a Reduce node: the second input; all of them if it is absent or empty.
std::vector<int64_t> reduce_axes(const EvalContext& context, int64_t rank) {
  std::vector<int64_t> axes;
  if (context.has_input(1)) axes = checked_axes(context.node(), int_values(context, 1), rank);
  if (axes.empty())
    for (int64_t i = 0; i < rank; ++i) axes.push_back(i);
  return axes;
}

/// x with the reduced axes last.
Tensor reduced_axes_last(const Node& node, const Tensor& x, const std::vector<bool>& reduced) {
  std::vector<int64_t> perm, last;
  for (int64_t i = 0; i < x.rank(); ++i) (reduced[static_cast<size_t>(i)] ? last : perm).push_back(i);
  perm.insert(perm.end(), last.begin(), last.end());
  if (std::is_sorted(perm.begin(), perm.end())) return x;
  return transposed(node, x, perm);
}

template <typename Op, typename Types>
void reduce_reference(EvalContext& context) {
  const Node& node = context.node();
  const Tensor& given = context.input(0);
  const bool no_axes = !context.has_input(1) || context.input(1).count() == 0;
  if (no_axes && node.attr_int("noop_with_empty_axes", 0) != 0) return context.set_output(0, given);
  std::vector<bool> reduced(given.dims().size());
  for (int64_t axis : reduce_axes(context, given.rank())) reduced[static_cast<size_t>(axis)] = true;
  const bool keepdims = node.attr_int("keepdims", 1) != 0;
  Dims dims;
  int64_t run = 1;
  for (size_t i = 0; i < reduced.size(); ++i) {
    if (reduced[i]) run *= given.dims()[i];
    if (!reduced[i])
      dims.push_back(given.dims()[i]);
    else if (keepdims)
      dims.push_back(1);
  }
  const Tensor x = reduced_axes_last(node, widened(given), reduced);
  Tensor y = make_output(node, x.dtype(), dims);
  dispatch(Types{}, node, x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* from = x.data<T>();
    T* to = y.mutable_data<T>();
    context.threads().parallel_blocks(y.count(), std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(run, 1)),
                                      [&](int64_t begin, int64_t end) {
                                        for (int64_t i = begin; i < end; ++i) to[i] = Op{}(from + i * run, run);
                                      });
  });
  context.set_output(0, narrowed(std::move(y), given.dtype()));
}

void infer_reduce(InferContext& context) {
  const Node& node = context.node();
  const auto shape = shape_of(context, 0);
  const DType type = context.input_dtype(0);
  const auto axes = ints_of(context, 1);
  const bool keepdims = node.attr_int("keepdims", 1) != 0, noop = node.attr_int("noop_with_empty_axes", 0) != 0;
  const bool known = !context.has_input(1) || axes;
  if (!shape) return context.set_output(0, type, std::nullopt);
  if (!known)
    return context.set_output(
        0, type, keepdims ? std::optional<Shape>(unknown_shape(static_cast<int64_t>(shape->size()))) : std::nullopt);
  const std::vector<int64_t> list = axes.value_or(Dims{});
  if (list.empty() && noop) return infer_same(context);
  context.set_output(0, type, reduced_shape(node, *shape, list, keepdims));
}

/// The number of elements of a followed shape.
void infer_product(InferContext& context) {
  infer_reduce(context);
  const auto dims = dims_of(context, 0);
  const int64_t rank = rank_of(context, 0);
  const bool noop = !context.has_input(1) && context.node().attr_int("noop_with_empty_axes", 0) != 0;
  if (dims && rank == 1 && !noop) context.set_output_dims(0, {dim_product(*dims, 0, dims->size())});
}

// --- CumSum, CumProd ----------------------------------------------------------------------------------------------

struct Plus {
  static constexpr int kStart = 0;
  template <typename T>
  T operator()(T a, T b) const {
    return wrapping_add(a, b);
  }
};

struct Times {
  static constexpr int kStart = 1;
  template <typename T>
  T operator()(T a, T b) const {
    return wrapping_mul(a, b);
  }
};

/// One line of `size` elements `stride` apart (negative: from its end).
template <typename Op, typename T>
void accumulate_line(const T* from, T* to, int64_t size, int64_t stride, bool exclusive) {
  T total = static_cast<T>(Op::kStart);
  for (int64_t i = 0; i < size; ++i, from += stride, to += stride) {
    const T next = Op{}(total, *from);
    *to = exclusive ? total : next;
    total = next;
  }
}

template <typename Op>
void cumulative_reference(EvalContext& context) {
  const Node& node = context.node();
  const Tensor& given = context.input(0);
  const Tensor x = widened(given);
  const size_t axis = static_cast<size_t>(checked_axis(node, int_scalar(context, 1), x.rank()));
  const bool exclusive = node.attr_int("exclusive", 0) != 0, reverse = node.attr_int("reverse", 0) != 0;
  const int64_t size = x.dims()[axis], inner = count_between(x.dims(), axis + 1, x.dims().size());
  Tensor y = make_output(node, x.dtype(), x.dims());
  dispatch(NumberTypes{}, node, x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* from = x.data<T>();
    T* to = y.mutable_data<T>();
    for (int64_t line = 0; x.count() > 0 && line < x.count() / size; ++line) {
      int64_t first = line / inner * size * inner + line % inner;
      if (reverse) first += (size - 1) * inner;
      accumulate_line<Op>(from + first, to + first, size, reverse ? -inner : inner, exclusive);
    }
  });
  context.set_output(0, narrowed(std::move(y), given.dtype()));
}

template <typename Op, typename Types = NumberTypes>
constexpr OpDef row(std::string_view name, void (*infer)(InferContext&) = infer_reduce) {
  return {"", name, OpKind::reduction, 1, 2, 1, 1, "keepdims noop_with_empty_axes", infer, reduce_reference<Op, Types>};
}

constexpr OpDef kReductionRows[] = {
    {"", "CumProd", OpKind::other, 2, 2, 1, 1, "exclusive reverse", infer_same, cumulative_reference<Times>},
    {"", "CumSum", OpKind::other, 2, 2, 1, 1, "exclusive reverse", infer_same, cumulative_reference<Plus>},
    row<L1>("ReduceL1"),
    row<L2>("ReduceL2"),
    row<LogSum>("ReduceLogSum"),
    row<LogSumExp>("ReduceLogSumExp"),
    row<Extreme<true>, NumberAndBoolTypes>("ReduceMax"),
    row<Mean>("ReduceMean"),
    row<Extreme<false>, NumberAndBoolTypes>("ReduceMin"),
    row<MultiplyAll>("ReduceProd", infer_product),
    row<AddAll>("ReduceSum"),
    row<SquareAll>("ReduceSumSquare"),
};

}  // namespace

std::span<const OpDef> reduction_ops() { return kReductionRows; }

}  // namespace lowbit
