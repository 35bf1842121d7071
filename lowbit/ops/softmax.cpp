#include <algorithm>
#include <cmath>
#include <limits>

#include "lowbit/ops/infer_helpers.h"
#include "lowbit/ops/op_helpers.h"
#include "lowbit/ops/softmax.h"

namespace lowbit {
namespace {

/// Calls line(x, y, length, step) for every line along the axis.
template <typename T, typename F>
void for_each_line(EvalContext& c, F line) {
  const Tensor& x = c.input(0);
  // A scalar is one line of one element.
  const AxisView view = x.rank() == 0 ? AxisView{1, 1, 1} : axis_view(x.dims(), c.node().attr_int("axis", -1));
  const T* in = typed_input<T>(c, 0);
  Tensor y = make_output(c.node(), x.dtype(), x.dims());
  T* out = y.mutable_data<T>();
  const int64_t lines = view.length == 0 ? 0 : view.outer * view.inner;
  c.threads().parallel_blocks(lines, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, view.length)),
                              [&](int64_t first, int64_t last) {
                                for (int64_t i = first; i < last; ++i) {
                                  const int64_t at = i / view.inner * view.length * view.inner + i % view.inner;
                                  line(in + at, out + at, view.length, view.inner);
                                }
                              });
  c.set_output(0, std::move(y));
}

template <typename T>
T line_max(const T* x, int64_t length, int64_t step) {
  T best = x[0];
  for (int64_t i = 1; i < length; ++i) best = std::max(best, x[i * step]);
  return best;
}

}  // namespace

void run_softmax(EvalContext& context) {
  run_widened(context, []<typename T>(EvalContext& c) {
    for_each_line<T>(c, [](const T* x, T* y, int64_t length, int64_t step) {
      const T best = line_max(x, length, step);
      double sum = 0;
      for (int64_t i = 0; i < length; ++i) sum += y[i * step] = std::exp(x[i * step] - best);
      const double factor = 1.0 / sum;
      for (int64_t i = 0; i < length; ++i) y[i * step] = static_cast<T>(y[i * step] * factor);
    });
  });
}

void run_log_softmax(EvalContext& context) {
  run_widened(context, []<typename T>(EvalContext& c) {
    for_each_line<T>(c, [](const T* x, T* y, int64_t length, int64_t step) {
      const T best = line_max(x, length, step);
      double sum = 0;
      for (int64_t i = 0; i < length; ++i) sum += std::exp(x[i * step] - best);
      const double shift = static_cast<double>(best) + std::log(sum);
      for (int64_t i = 0; i < length; ++i) y[i * step] = static_cast<T>(x[i * step] - shift);
    });
  });
}

void run_hardmax(EvalContext& context) {
  run_widened(context, []<typename T>(EvalContext& c) {
    for_each_line<T>(c, [](const T* x, T* y, int64_t length, int64_t step) {
      int64_t best = 0;
      for (int64_t i = 0; i < length; ++i) {
        y[i * step] = 0;
        if (x[i * step] > x[best * step]) best = i;
      }
      y[best * step] = 1;
    });
  });
}

void run_lp_normalization(EvalContext& context) {
  const int64_t p = context.node().attr_int("p", 2);
  require(p == 1 || p == 2, "p is {}, but only 1 and 2 are defined", p);
  run_widened(context, [p]<typename T>(EvalContext& c) {
    for_each_line<T>(c, [p](const T* x, T* y, int64_t length, int64_t step) {
      double sum = 0;
      for (int64_t i = 0; i < length; ++i) {
        const double v = x[i * step];
        sum += p == 1 ? std::abs(v) : v * v;
      }
      const double norm = p == 1 ? sum : std::sqrt(sum);
      for (int64_t i = 0; i < length; ++i) y[i * step] = static_cast<T>(norm > 0 ? x[i * step] / norm : 0.0);
    });
  });
}

void infer_softmax(InferContext& context) {
  const int64_t rank = rank_of(context, 0);
  if (rank > 0) normalize_axis(context.node().attr_int("axis", -1), rank);
  infer_same(context);
}

}  // namespace lowbit
