#include "lowbit/ops/convolution.h"

#include <cmath>

#include "lowbit/ops/families.h"
#include "lowbit/ops/op_helpers.h"
#include "lowbit/ops/quantize.h"

namespace lowbit {
namespace {

/// Calls emit(offset, channel, sum) for every output element: sum over the window of (x - x_zero) * (w - w_zero).
/// w_zeros: one per output channel.
template <typename Acc, typename X, typename W, typename Emit>
void convolve(const ConvGeometry& g, ThreadPool& threads, const X* x, const W* w, Acc x_zero,
              const std::vector<Acc>& w_zeros, Emit emit) {
  const WindowAxis &d = g.axes[0], &h = g.axes[1], &v = g.axes[2];
  const int64_t channels = g.groups * g.out_channels, kernel = g.kernel_size(), in_size = g.in_size();
  const auto sum_at = [&](const X* image, const W* filter, Acc w_zero, int64_t od, int64_t oh, int64_t ov) {
    const auto [d0, d1] = d.taps(od);
    const auto [h0, h1] = h.taps(oh);
    const auto [v0, v1] = v.taps(ov);
    Acc sum = 0;
    for (int64_t c = 0; c < g.in_channels; ++c)
      for (int64_t kd = d0; kd < d1; ++kd)
        for (int64_t kh = h0; kh < h1; ++kh) {
          const int64_t row = (d.start(od) + kd * d.dilation) * h.in + h.start(oh) + kh * h.dilation;
          const X* from = image + c * in_size + row * v.in + v.start(ov);
          const W* tap = filter + c * kernel + (kd * h.kernel + kh) * v.kernel;
          for (int64_t kv = v0; kv < v1; ++kv)
            sum += (static_cast<Acc>(from[kv * v.dilation]) - x_zero) * (static_cast<Acc>(tap[kv]) - w_zero);
        }
    return sum;
  };
  threads.parallel_for(g.batch * channels, [&](int64_t plane) {
    const int64_t n = plane / channels, m = plane % channels, group = m / g.out_channels;
    const X* image = x + (n * g.groups + group) * g.in_channels * in_size;
    const W* filter = w + m * g.in_channels * kernel;
    int64_t offset = plane * g.out_size();
    for (int64_t od = 0; od < d.out; ++od)
      for (int64_t oh = 0; oh < h.out; ++oh)
        for (int64_t ov = 0; ov < v.out; ++ov, ++offset)
          emit(offset, m, sum_at(image, filter, w_zeros[static_cast<size_t>(m)], od, oh, ov));
  });
}

void check_bias(const Tensor* bias, int64_t channels) {
  if (bias) require_dims(*bias, {channels}, "the bias");
}

void run_conv(EvalContext& context) {
  run_widened(context, []<typename T>(EvalContext& c) {
    const Tensor &x = c.input(0), &w = c.input(1);
    const ConvGeometry g = conv_geometry(c.node(), x.dims(), w.dims());
    const int64_t channels = g.groups * g.out_channels;
    const Tensor* bias = c.optional_input(2);
    check_bias(bias, channels);
    const T* b = optional_typed_input<T>(c, 2);
    Tensor y = make_output(c.node(), x.dtype(), g.output_dims());
    T* out = y.mutable_data<T>();
    const std::vector<double> no_zeros(static_cast<size_t>(channels), 0.0);
    convolve<double>(g, c.threads(), typed_input<T>(c, 0), typed_input<T>(c, 1), 0.0, no_zeros,
                     [&](int64_t i, int64_t m, double sum) { out[i] = static_cast<T>(b ? sum + b[m] : sum); });
    c.set_output(0, std::move(y));
  });
}

/// Integer sums of a convolution of 8-bit inputs; emit(offset, channel, sum). x, w at the given input positions.
template <typename Emit>
void convolve_integer(EvalContext& context, const ConvGeometry& g, const Tensor& x, const Tensor& w,
                      const Tensor* x_zero, const Tensor* w_zero, Emit emit) {
  const int64_t zero = x_zero ? scalar_int(*x_zero, "the zero point of the input") : 0;
  const std::vector<int64_t> zeros = channel_zeros(w_zero, g.groups * g.out_channels);
  with_codes8(context.node(), x, [&](auto* px) {
    with_codes8(context.node(), w,
                [&](auto* pw) { convolve<int64_t>(g, context.threads(), px, pw, zero, zeros, emit); });
  });
}

void run_conv_integer(EvalContext& context) {
  const Tensor &x = context.input(0), &w = context.input(1);
  const ConvGeometry g = conv_geometry(context.node(), x.dims(), w.dims());
  Tensor y = make_output(context.node(), DType::int32, g.output_dims());
  int32_t* out = y.mutable_data<int32_t>();
  convolve_integer(context, g, x, w, context.optional_input(2), context.optional_input(3),
                   [&](int64_t i, int64_t, int64_t sum) { out[i] = static_cast<int32_t>(sum); });
  context.set_output(0, std::move(y));
}

void run_qlinear_conv(EvalContext& context) {
  const Tensor &x = context.input(0), &w = context.input(3);
  const ConvGeometry g = conv_geometry(context.node(), x.dims(), w.dims());
  const int64_t channels = g.groups * g.out_channels;
  const Tensor* bias = context.optional_input(8);
  check_bias(bias, channels);
  const std::vector<int64_t> b = bias ? to_int64(*bias) : std::vector<int64_t>(static_cast<size_t>(channels), 0);
  const Requantizer requantize(context, {.x_scale = 1, .w_scale = 4, .y_scale = 6, .y_zero = 7}, channels);
  Tensor y = make_output(context.node(), context.input(7).dtype(), g.output_dims());
  with_mutable_codes8(context.node(), y, [&](auto* out) {
    convolve_integer(context, g, x, w, &context.input(2), &context.input(5), [&](int64_t i, int64_t m, int64_t sum) {
      requantize(sum + b[static_cast<size_t>(m)], m, out[i]);
    });
  });
  context.set_output(0, std::move(y));
}

/// Gathers: every output element sums the inputs that a convolution would have spread to it.
template <typename T>
void transpose_plane(const ConvGeometry& g, const T* x, const T* w, double bias, T* y) {
  const WindowAxis &d = g.axes[0], &h = g.axes[1], &v = g.axes[2];
  const int64_t in_size = g.in_size(), kernel = g.kernel_size();
  std::vector<double> plane(static_cast<size_t>(g.out_size()), bias);
  for (int64_t c = 0; c < g.in_channels; ++c) {
    const T* image = x + c * in_size;
    const T* filter = w + c * g.out_channels * kernel;
    for (int64_t i = 0; i < in_size; ++i) {
      const int64_t iv = i % v.in, ih = i / v.in % h.in, id = i / v.in / h.in;
      for (int64_t k = 0; k < kernel; ++k) {
        const int64_t kv = k % v.kernel, kh = k / v.kernel % h.kernel, kd = k / v.kernel / h.kernel;
        const int64_t od = id * d.stride + kd * d.dilation - d.pad_begin;
        const int64_t oh = ih * h.stride + kh * h.dilation - h.pad_begin;
        const int64_t ov = iv * v.stride + kv * v.dilation - v.pad_begin;
        if (od < 0 || od >= d.out || oh < 0 || oh >= h.out || ov < 0 || ov >= v.out) continue;
        plane[static_cast<size_t>((od * h.out + oh) * v.out + ov)] += static_cast<double>(image[i]) * filter[k];
      }
    }
  }
  for (size_t i = 0; i < plane.size(); ++i) y[i] = static_cast<T>(plane[i]);
}

void run_conv_transpose(EvalContext& context) {
  run_widened(context, []<typename T>(EvalContext& c) {
    const Tensor &x = c.input(0), &w = c.input(1);
    const ConvGeometry g = conv_transpose_geometry(c.node(), x.dims(), w.dims());
    const int64_t channels = g.groups * g.out_channels;
    const Tensor* bias = c.optional_input(2);
    check_bias(bias, channels);
    Tensor y = make_output(c.node(), x.dtype(), g.output_dims());
    const T *px = typed_input<T>(c, 0), *pw = typed_input<T>(c, 1), *b = optional_typed_input<T>(c, 2);
    T* out = y.mutable_data<T>();
    c.threads().parallel_for(g.batch * channels, [&](int64_t plane) {
      const int64_t n = plane / channels, m = plane % channels, group = m / g.out_channels;
      const T* image = px + (n * g.groups + group) * g.in_channels * g.in_size();
      const T* filter = pw + (group * g.in_channels * g.out_channels + m % g.out_channels) * g.kernel_size();
      transpose_plane(g, image, filter, b ? static_cast<double>(b[m]) : 0.0, out + plane * g.out_size());
    });
    c.set_output(0, std::move(y));
  });
}

/// Output dims with what is known; x and w are the positions of input and weights.
void infer_conv_at(InferContext& context, size_t x_at, size_t w_at, DType type) {
  const Shape *x = context.input_shape(x_at), *w = context.input_shape(w_at);
  if (!x || !w) return context.set_output(0, type, std::nullopt);
  require(x->size() >= 3 && x->size() == w->size(), "the weights {} do not fit the input {}", shape_text(*w),
          shape_text(*x));
  const auto xd = concrete(*x), wd = concrete(*w);
  if (xd && wd) return context.set_output(0, type, to_shape(conv_geometry(context.node(), *xd, *wd).output_dims()));
  Shape out(x->size());
  out[0] = (*x)[0];
  out[1] = (*w)[0];
  const auto kernel = concrete(Shape(w->begin() + 2, w->end()));
  const std::vector<int64_t> stated = context.node().attr_ints("kernel_shape");
  if (kernel || stated.size() + 2 == x->size()) {
    const WindowRule rule(context.node(), kernel ? *kernel : stated);
    for (size_t i = 0; i < rule.rank(); ++i) out[i + 2] = rule.out_dim(i, (*x)[i + 2]);
  }
  context.set_output(0, type, std::move(out));
}

void infer_conv(InferContext& context) { infer_conv_at(context, 0, 1, context.input_dtype(0)); }
void infer_conv_integer(InferContext& context) { infer_conv_at(context, 0, 1, DType::int32); }
void infer_qlinear_conv(InferContext& context) { infer_conv_at(context, 0, 3, context.input_dtype(7)); }

void infer_conv_transpose(InferContext& context) {
  const Shape *x = context.input_shape(0), *w = context.input_shape(1);
  if (!x || !w) return context.set_output(0, context.input_dtype(0), std::nullopt);
  require(x->size() >= 3 && x->size() == w->size(), "the weights {} do not fit the input {}", shape_text(*w),
          shape_text(*x));
  const auto wd = concrete(*w);
  Shape out(x->size());
  if (wd) {
    // Unknown sizes are replaced for the calculation and stay unknown in the result.
    Dims xd;
    for (size_t i = 0; i < x->size(); ++i) xd.push_back((*x)[i].size.value_or(i == 1 ? (*wd)[0] : 1));
    bool known = true;
    for (size_t i = 2; i < x->size(); ++i) known = known && (*x)[i].known();
    if (known) out = to_shape(conv_transpose_geometry(context.node(), xd, *wd).output_dims());
    out[1] = Dim((*wd)[1] * std::max<int64_t>(1, context.node().attr_int("group", 1)));
  }
  out[0] = (*x)[0];
  context.set_output(0, context.input_dtype(0), std::move(out));
}

constexpr std::string_view kConvAttributes = "auto_pad dilations group kernel_shape pads strides";

}  // namespace

std::span<const OpDef> convolution_ops() {
  static const OpDef rows[] = {
      {"", "Conv", OpKind::compute, 2, 3, 1, 1, kConvAttributes, infer_conv, run_conv},
      {"", "ConvInteger", OpKind::compute, 2, 4, 1, 1, kConvAttributes, infer_conv_integer, run_conv_integer},
      {"", "ConvTranspose", OpKind::compute, 2, 3, 1, 1,
       "auto_pad dilations group kernel_shape output_padding output_shape pads strides", infer_conv_transpose,
       run_conv_transpose},
      {"", "QLinearConv", OpKind::compute, 8, 9, 1, 1, kConvAttributes, infer_qlinear_conv, run_qlinear_conv},
  };
  return rows;
}

}  // namespace lowbit
