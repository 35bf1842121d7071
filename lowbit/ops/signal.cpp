#include "lowbit/ops/signal.h"

#include <cmath>
#include <complex>
#include <numbers>

#include "lowbit/ops/infer_helpers.h"
#include "lowbit/ops/op_helpers.h"

namespace lowbit {
namespace {

using Complex = std::complex<double>;

/// A transform of this length takes n^2 steps.
constexpr int64_t kMaxLength = int64_t{1} << 16;

/// The n-th roots of unity, exp(-2 pi i k / n) (conjugated for the inverse).
std::vector<Complex> roots(int64_t n, bool inverse) {
  std::vector<Complex> result;
  const double sign = inverse ? 2.0 : -2.0;
  for (int64_t k = 0; k < n; ++k)
    result.push_back(std::polar(1.0, sign * std::numbers::pi * static_cast<double>(k) / static_cast<double>(n)));
  return result;
}

/// Bin `k` of a signal by the definition.
Complex bin(const std::vector<Complex>& signal, const std::vector<Complex>& roots, int64_t k) {
  const auto n = static_cast<int64_t>(roots.size());
  Complex sum = 0;
  int64_t at = 0;
  for (const Complex& x : signal) {
    sum += x * roots[static_cast<size_t>(at)];
    at = (at + k) % n;
  }
  return sum;
}

struct DftLayout {
  int64_t axis, length, bins;
  bool inverse, onesided;
};

DftLayout dft_layout(const Node& node, const Dims& x, int64_t axis, int64_t length) {
  const auto rank = static_cast<int64_t>(x.size());
  require(rank >= 2 && (x.back() == 1 || x.back() == 2), "the signal {} must end in 1 (real) or 2 (complex)",
          dims_text(x));
  DftLayout layout{normalize_axis(axis, rank), length, length, node.attr_int("inverse", 0) != 0,
                   node.attr_int("onesided", 0) != 0};
  require(layout.axis != rank - 1, "the axis {} is that of the complex parts", axis);
  if (length < 0) {
    // Half a spectrum of n bins belongs to a signal of 2 (n - 1).
    const int64_t given = x[static_cast<size_t>(layout.axis)];
    layout.length = layout.inverse && layout.onesided ? 2 * (given - 1) : given;
  }
  require(layout.length >= 1 && layout.length <= kMaxLength, "a transform of length {}; 1 to {} are handled",
          layout.length, kMaxLength);
  layout.bins = layout.onesided && !layout.inverse ? layout.length / 2 + 1 : layout.length;
  return layout;
}

/// Real result of the onesided inverse: the missing half is the conjugate of the given one.
std::vector<Complex> completed(std::vector<Complex> half, int64_t length) {
  half.resize(static_cast<size_t>(length / 2 + 1));
  for (int64_t k = length / 2 + 1; k < length; ++k) half.push_back(std::conj(half[static_cast<size_t>(length - k)]));
  return half;
}

template <typename T>
void transform(EvalContext& c, const DftLayout& layout) {
  const Tensor& x = c.input(0);
  const bool real_output = layout.inverse && layout.onesided;
  const int64_t parts = x.dims().back(), out_parts = real_output ? 1 : 2;
  Dims dims = x.dims();
  dims[static_cast<size_t>(layout.axis)] = layout.bins;
  dims.back() = out_parts;
  Tensor y = make_output(c.node(), x.dtype(), dims);
  const T* in = typed_input<T>(c, 0);
  T* out = y.mutable_data<T>();
  AxisView view = axis_view(x.dims(), layout.axis);
  view.inner /= parts;
  const std::vector<Complex> table = roots(layout.length, layout.inverse);
  const double scale = layout.inverse ? 1.0 / static_cast<double>(layout.length) : 1.0;
  c.threads().parallel_for(view.outer * view.inner, [&](int64_t line) {
    const int64_t o = line / view.inner, i = line % view.inner;
    std::vector<Complex> signal(static_cast<size_t>(std::min(view.length, layout.length)));
    for (size_t t = 0; t < signal.size(); ++t) {
      const T* at = in + ((o * view.length + static_cast<int64_t>(t)) * view.inner + i) * parts;
      signal[t] = {static_cast<double>(at[0]), parts == 2 ? static_cast<double>(at[1]) : 0.0};
    }
    if (real_output) signal = completed(std::move(signal), layout.length);
    for (int64_t k = 0; k < layout.bins; ++k) {
      const Complex value = bin(signal, table, k) * scale;
      T* to = out + ((o * layout.bins + k) * view.inner + i) * out_parts;
      to[0] = static_cast<T>(value.real());
      if (out_parts == 2) to[1] = static_cast<T>(value.imag());
    }
  });
  c.set_output(0, std::move(y));
}

/// w[i] = a - b cos(2 pi i / n) + c cos(4 pi i / n); n is the size, or the size less one if not periodic.
void run_window(EvalContext& context, double a, double b, double c) {
  const int64_t size = int_scalar(context, 0);
  require(size >= 0, "the window has the size {}", size);
  const bool periodic = context.node().attr_int("periodic", 1) != 0;
  const double n = static_cast<double>(std::max<int64_t>(1, periodic ? size : size - 1));
  Tensor y = make_output(context.node(), DType::float64, {size});
  double* out = y.mutable_data<double>();
  for (int64_t i = 0; i < size; ++i) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(i) / n;
    out[i] = a - b * std::cos(angle) + c * std::cos(2 * angle);
  }
  context.set_output(0, y.cast(dtype_from_onnx(context.node(), context.node().attr_int("output_datatype", 1))));
}

}  // namespace

void run_dft(EvalContext& context) {
  run_widened(context, []<typename T>(EvalContext& c) {
    const int64_t length = c.has_input(1) ? int_scalar(c, 1) : -1;
    require(!c.has_input(1) || length >= 1, "dft_length is {}", length);
    const int64_t axis = c.has_input(2) ? int_scalar(c, 2) : -2;
    transform<T>(c, dft_layout(c.node(), c.input(0).dims(), axis, length));
  });
}

void infer_dft(InferContext& context) {
  std::optional<Shape> out = shape_of(context, 0);
  // Length and axis are mostly constants, but only the rank is certain here.
  if (out) out = Shape(out->size());
  context.set_output(0, context.input_dtype(0), out);
}

void run_stft(EvalContext& context) {
  run_widened(context, []<typename T>(EvalContext& c) {
    const Tensor& x = c.input(0);
    require(x.rank() == 3 && (x.dim(2) == 1 || x.dim(2) == 2), "the signal {} is not batch x length x parts",
            dims_text(x.dims()));
    const int64_t step = int_scalar(c, 1), parts = x.dim(2);
    const T* window = optional_typed_input<T>(c, 2);
    const int64_t frame = c.has_input(3) ? int_scalar(c, 3) : window ? c.input(2).count() : 0;
    require(step >= 1 && frame >= 1 && frame <= std::min(kMaxLength, x.dim(1)),
            "frames of {} every {} in a signal of {}", frame, step, x.dim(1));
    if (window) require_dims(c.input(2), {frame}, "the window");
    const bool onesided = c.node().attr_int("onesided", 1) != 0;
    const int64_t frames = (x.dim(1) - frame) / step + 1, bins = onesided ? frame / 2 + 1 : frame;
    Tensor y = make_output(c.node(), x.dtype(), {x.dim(0), frames, bins, 2});
    const T* in = typed_input<T>(c, 0);
    T* out = y.mutable_data<T>();
    const std::vector<Complex> table = roots(frame, /*inverse=*/false);
    c.threads().parallel_for(x.dim(0) * frames, [&](int64_t i) {
      const T* from = in + (i / frames * x.dim(1) + i % frames * step) * parts;
      std::vector<Complex> signal(static_cast<size_t>(frame));
      for (int64_t t = 0; t < frame; ++t) {
        const double w = window ? static_cast<double>(window[t]) : 1.0;
        signal[static_cast<size_t>(t)] = {w * from[t * parts], parts == 2 ? w * from[t * parts + 1] : 0.0};
      }
      for (int64_t k = 0; k < bins; ++k) {
        const Complex value = bin(signal, table, k);
        out[(i * bins + k) * 2] = static_cast<T>(value.real());
        out[(i * bins + k) * 2 + 1] = static_cast<T>(value.imag());
      }
    });
    c.set_output(0, std::move(y));
  });
}

void run_hann_window(EvalContext& context) { run_window(context, 0.5, 0.5, 0); }
/// 25/46 and 21/46 are the standard's constants.
void run_hamming_window(EvalContext& context) { run_window(context, 25.0 / 46.0, 21.0 / 46.0, 0); }
void run_blackman_window(EvalContext& context) { run_window(context, 0.42, 0.5, 0.08); }

void infer_window(InferContext& context) {
  const auto size = dims_of(context, 0);
  context.set_output(0, dtype_from_onnx(context.node(), context.node().attr_int("output_datatype", 1)),
                     Shape{size && size->size() == 1 ? (*size)[0] : Dim()});
}

}  // namespace lowbit
