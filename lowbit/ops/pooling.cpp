#include <cmath>
#include <limits>

#include "lowbit/ops/families.h"
#include "lowbit/ops/infer_helpers.h"
#include "lowbit/ops/op_helpers.h"
#include "lowbit/ops/pooling.h"

namespace lowbit {
namespace {

/// Calls f(offset within the plane) for each tap of the window at output position o.
template <typename F>
void for_each_tap(const std::array<WindowAxis, 3>& axes, const std::array<int64_t, 3>& o, F&& f) {
  const auto& [d, h, v] = axes;
  const auto [d0, d1] = d.taps(o[0]);
  const auto [h0, h1] = h.taps(o[1]);
  const auto [v0, v1] = v.taps(o[2]);
  for (int64_t kd = d0; kd < d1; ++kd)
    for (int64_t kh = h0; kh < h1; ++kh) {
      const int64_t row = (d.start(o[0]) + kd * d.dilation) * h.in + h.start(o[1]) + kh * h.dilation;
      for (int64_t kv = v0; kv < v1; ++kv) f(row * v.in + v.start(o[2]) + kv * v.dilation);
    }
}

/// Calls f(plane, output offset, output position) for each output.
template <typename F>
void for_each_window(const PoolGeometry& g, ThreadPool& threads, F f) {
  threads.parallel_for(g.planes, [&](int64_t plane) {
    int64_t at = plane * g.out_size();
    for (int64_t d = 0; d < g.axes[0].out; ++d)
      for (int64_t h = 0; h < g.axes[1].out; ++h)
        for (int64_t v = 0; v < g.axes[2].out; ++v) f(plane, at++, std::array<int64_t, 3>{d, h, v});
  });
}

void run_average(EvalContext& context) {
  run_widened(context, []<typename T>(EvalContext& c) {
    const PoolGeometry g = pool_geometry(c.node(), c.input(0).dims());
    const bool with_padding = c.node().attr_int("count_include_pad", 0) != 0;
    const T* x = typed_input<T>(c, 0);
    Tensor y = make_output(c.node(), c.input(0).dtype(), g.out);
    T* out = y.mutable_data<T>();
    for_each_window(g, c.threads(), [&](int64_t plane, int64_t at, const std::array<int64_t, 3>& o) {
      double sum = 0;
      int64_t count = 0;
      for_each_tap(g.axes, o, [&](int64_t i) {
        sum += x[plane * g.in_size() + i];
        ++count;
      });
      if (with_padding)
        count = padded_taps(g.axes[0], o[0]) * padded_taps(g.axes[1], o[1]) * padded_taps(g.axes[2], o[2]);
      out[at] = static_cast<T>(count > 0 ? sum / static_cast<double>(count) : 0.0);
    });
    c.set_output(0, std::move(y));
  });
}

/// Index of an element within its plane, counted with the last (storage_order 0) or the first axis fastest.
int64_t stored_index(const PoolGeometry& g, int64_t i, bool column_major) {
  if (!column_major) return i;
  const int64_t v = i % g.axes[2].in, h = i / g.axes[2].in % g.axes[1].in, d = i / g.axes[2].in / g.axes[1].in;
  // Axes that the node does not have are of size 1, so this order holds for one to three axes.
  return d + g.axes[0].in * (h + g.axes[1].in * v);
}

template <typename T>
void max_pool(EvalContext& c) {
  const PoolGeometry g = pool_geometry(c.node(), c.input(0).dims());
  const bool column_major = c.node().attr_int("storage_order", 0) != 0;
  const T* x = typed_input<T>(c, 0);
  Tensor y = make_output(c.node(), c.input(0).dtype(), g.out);
  T* out = y.mutable_data<T>();
  Tensor indices = make_output(c.node(), DType::int64, c.wants_output(1) ? g.out : Dims{0});
  int64_t* index = c.wants_output(1) ? indices.mutable_data<int64_t>() : nullptr;
  for_each_window(g, c.threads(), [&](int64_t plane, int64_t at, const std::array<int64_t, 3>& o) {
    T best = std::numeric_limits<T>::lowest();
    int64_t best_at = -1;
    for_each_tap(g.axes, o, [&](int64_t i) {
      const T value = x[plane * g.in_size() + i];
      if (best_at >= 0 && !(value > best)) return;
      best = value;
      best_at = i;
    });
    out[at] = best;
    if (index) index[at] = plane * g.in_size() + (best_at < 0 ? 0 : stored_index(g, best_at, column_major));
  });
  c.set_output(0, std::move(y));
  if (index) c.set_output(1, std::move(indices));
}

void run_max(EvalContext& context) {
  if (context.input(0).dtype() == DType::int8) return max_pool<int8_t>(context);
  if (context.input(0).dtype() == DType::uint8) return max_pool<uint8_t>(context);
  run_widened(context, []<typename T>(EvalContext& c) { max_pool<T>(c); });
}

int64_t lp_order(const Node& node) {
  const int64_t p = node.attr_int("p", 2);
  require(p >= 1, "p is {}", p);
  return p;
}

void run_lp(EvalContext& context) {
  run_widened(context, []<typename T>(EvalContext& c) {
    const PoolGeometry g = pool_geometry(c.node(), c.input(0).dims());
    const auto p = static_cast<double>(lp_order(c.node()));
    const T* x = typed_input<T>(c, 0);
    Tensor y = make_output(c.node(), c.input(0).dtype(), g.out);
    T* out = y.mutable_data<T>();
    for_each_window(g, c.threads(), [&](int64_t plane, int64_t at, const std::array<int64_t, 3>& o) {
      double sum = 0;
      for_each_tap(g.axes, o, [&](int64_t i) { sum += std::pow(std::abs(x[plane * g.in_size() + i]), p); });
      out[at] = static_cast<T>(std::pow(sum, 1.0 / p));
    });
    c.set_output(0, std::move(y));
  });
}

/// Reduces each plane to one number by reduce(first, count).
template <typename F>
void run_global(EvalContext& context, F reduce) {
  run_widened(context, [&]<typename T>(EvalContext& c) {
    const Dims& dims = c.input(0).dims();
    require(dims.size() >= 3, "the input {} has no spatial dimension", dims_text(dims));
    const int64_t size = count_between(dims, 2, dims.size());
    require(size > 0, "the planes of the input {} are empty", dims_text(dims));
    Dims out_dims(dims.size(), 1);
    out_dims[0] = dims[0], out_dims[1] = dims[1];
    Tensor y = make_output(c.node(), c.input(0).dtype(), out_dims);
    const T* x = typed_input<T>(c, 0);
    T* out = y.mutable_data<T>();
    c.threads().parallel_for(y.count(), [&](int64_t i) { out[i] = static_cast<T>(reduce(x + i * size, size)); });
    c.set_output(0, std::move(y));
  });
}

void run_global_average(EvalContext& context) {
  run_global(context, [](const auto* x, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += x[i];
    return sum / static_cast<double>(n);
  });
}

void run_global_max(EvalContext& context) {
  run_global(context, [](const auto* x, int64_t n) {
    auto best = x[0];
    for (int64_t i = 1; i < n; ++i) best = std::max(best, x[i]);
    return best;
  });
}

void run_global_lp(EvalContext& context) {
  const auto p = static_cast<double>(lp_order(context.node()));
  run_global(context, [p](const auto* x, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) sum += std::pow(std::abs(static_cast<double>(x[i])), p);
    return std::pow(sum, 1.0 / p);
  });
}

/// Dimensions of the tensor that was pooled, by the attributes alone; the indices of MaxUnpool count in it.
Dims unpool_dims(const Node& node, const Dims& x) {
  const std::vector<int64_t> kernel = node.attr_ints("kernel_shape");
  require(x.size() >= 3 && kernel.size() + 2 == x.size(), "kernel_shape has {} numbers for the input {}", kernel.size(),
          dims_text(x));
  const WindowRule rule(node, kernel);
  Dims out{x[0], x[1]};
  for (size_t i = 0; i < kernel.size(); ++i) out.push_back(rule.transposed_axis(i, x[i + 2], 0, -1).out);
  return out;
}

/// The same element's index in a tensor of other dimensions; -1 if it lies outside.
int64_t moved_index(int64_t index, const Dims& from, const Dims& to) {
  int64_t result = 0, step = 1;
  for (size_t i = from.size(); i-- > 0;) {
    const int64_t at = index % from[i];
    index /= from[i];
    if (at >= to[i]) return -1;
    result += at * step;
    step *= to[i];
  }
  return result;
}

void run_unpool(EvalContext& context) {
  run_widened(context, []<typename T>(EvalContext& c) {
    const std::vector<int64_t> index = int_values(c, 1);
    require_dims(c.input(1), c.input(0).dims(), "the indices");
    const Dims pooled = unpool_dims(c.node(), c.input(0).dims());
    const Dims out_dims = c.has_input(2) ? int_values(c, 2) : pooled;
    require(out_dims.size() == pooled.size(), "output_shape has {} numbers, but {} are needed", out_dims.size(),
            pooled.size());
    Tensor y = zero_output(c.node(), c.input(0).dtype(), out_dims);
    T* out = y.mutable_data<T>();
    const T* x = typed_input<T>(c, 0);
    const int64_t count = element_count(pooled);
    for (size_t i = 0; i < index.size(); ++i) {
      const int64_t to = index[i] >= 0 && index[i] < count ? moved_index(index[i], pooled, out_dims) : -1;
      require(to >= 0, "index {} is outside the output {}", index[i], dims_text(out_dims));
      out[to] = x[i];
    }
    c.set_output(0, std::move(y));
  });
}

/// Bounds [first, last) of bin i of n over `size` cells starting at `start`, clipped to the image.
std::array<int64_t, 2> roi_bin(int64_t i, int64_t n, int64_t start, int64_t size, int64_t limit) {
  const double step = static_cast<double>(size) / static_cast<double>(n);
  const auto first = static_cast<int64_t>(std::floor(static_cast<double>(i) * step)) + start;
  const auto last = static_cast<int64_t>(std::ceil(static_cast<double>(i + 1) * step)) + start;
  return {std::clamp<int64_t>(first, 0, limit), std::clamp<int64_t>(last, 0, limit)};
}

template <typename T>
T max_in(const T* image, int64_t width, const std::array<int64_t, 2>& rows, const std::array<int64_t, 2>& columns) {
  if (rows[0] >= rows[1] || columns[0] >= columns[1]) return 0;
  T best = std::numeric_limits<T>::lowest();
  for (int64_t h = rows[0]; h < rows[1]; ++h)
    for (int64_t w = columns[0]; w < columns[1]; ++w) best = std::max(best, image[h * width + w]);
  return best;
}

/// A coordinate of a region, which may be anything in the file.
int64_t roi_coordinate(double value) {
  require(std::abs(value) < 1e9, "a region has the coordinate {}", value);
  return static_cast<int64_t>(std::round(value));
}

void run_max_roi(EvalContext& context) {
  run_widened(context, []<typename T>(EvalContext& c) {
    const Tensor &x = c.input(0), &rois = c.input(1);
    const std::vector<int64_t> shape = c.node().attr_ints("pooled_shape");
    require(x.rank() == 4 && rois.rank() == 2 && rois.dim(1) == 5 && shape.size() == 2 && shape[0] > 0 && shape[1] > 0,
            "MaxRoiPool needs an image of rank 4, regions of 5 numbers and a pooled_shape of 2");
    const double scale = c.node().attr_float("spatial_scale", 1);
    const int64_t channels = x.dim(1), height = x.dim(2), width = x.dim(3);
    const T *image = typed_input<T>(c, 0), *roi = typed_input<T>(c, 1);
    Tensor y = make_output(c.node(), x.dtype(), {rois.dim(0), channels, shape[0], shape[1]});
    T* out = y.mutable_data<T>();
    for (int64_t r = 0; r < rois.dim(0); ++r, roi += 5) {
      const int64_t n = roi_coordinate(roi[0]);
      require(n >= 0 && n < x.dim(0), "a region names image {} of {}", n, x.dim(0));
      const int64_t left = roi_coordinate(roi[1] * scale), top = roi_coordinate(roi[2] * scale);
      const int64_t w = std::max<int64_t>(1, roi_coordinate(roi[3] * scale) - left + 1);
      const int64_t h = std::max<int64_t>(1, roi_coordinate(roi[4] * scale) - top + 1);
      for (int64_t ch = 0; ch < channels; ++ch)
        for (int64_t i = 0; i < shape[0]; ++i)
          for (int64_t j = 0; j < shape[1]; ++j)
            *out++ = max_in(image + (n * channels + ch) * height * width, width, roi_bin(i, shape[0], top, h, height),
                            roi_bin(j, shape[1], left, w, width));
    }
    c.set_output(0, std::move(y));
  });
}

void infer_pool(InferContext& context) {
  const Shape* x = context.input_shape(0);
  std::optional<Shape> out;
  if (x) {
    const std::vector<int64_t> kernel = context.node().attr_ints("kernel_shape");
    require(x->size() >= 3 && kernel.size() + 2 == x->size(), "kernel_shape has {} numbers for the input {}",
            kernel.size(), shape_text(*x));
    const WindowRule rule(context.node(), kernel);
    out = Shape{(*x)[0], (*x)[1]};
    for (size_t i = 0; i < kernel.size(); ++i)
      out->push_back(rule.out_dim(i, (*x)[i + 2], context.node().attr_int("ceil_mode", 0) != 0));
  }
  context.set_output(0, context.input_dtype(0), out);
  context.set_output(1, DType::int64, out);
}

void infer_global(InferContext& context) {
  std::optional<Shape> out = shape_of(context, 0);
  if (out) {
    require(out->size() >= 3, "the input {} has no spatial dimension", shape_text(*out));
    std::fill(out->begin() + 2, out->end(), Dim(1));
  }
  context.set_output(0, context.input_dtype(0), out);
}

void infer_unpool(InferContext& context) {
  if (context.has_input(2)) return context.set_output(0, context.input_dtype(0), dims_of(context, 2));
  const Shape* x = context.input_shape(0);
  const std::vector<int64_t> kernel = context.node().attr_ints("kernel_shape");
  if (!x || kernel.size() + 2 != x->size()) return context.set_output(0, context.input_dtype(0), std::nullopt);
  const WindowRule rule(context.node(), kernel);
  Shape out{(*x)[0], (*x)[1]};
  for (size_t i = 0; i < kernel.size(); ++i)
    out.push_back((*x)[i + 2].known() ? Dim(rule.transposed_axis(i, *(*x)[i + 2].size, 0, -1).out) : Dim());
  context.set_output(0, context.input_dtype(0), out);
}

void infer_max_roi(InferContext& context) {
  const std::vector<int64_t> shape = context.node().attr_ints("pooled_shape");
  require(shape.size() == 2, "pooled_shape has {} numbers, but 2 are needed", shape.size());
  context.set_output(0, context.input_dtype(0),
                     Shape{dim_or_unknown(context.input_shape(1), 0), dim_or_unknown(context.input_shape(0), 1),
                           Dim(shape[0]), Dim(shape[1])});
}

}  // namespace

std::span<const OpDef> pooling_ops() {
  static const OpDef rows[] = {
      {"", "AveragePool", OpKind::reduction, 1, 1, 1, 1,
       "auto_pad ceil_mode count_include_pad dilations kernel_shape pads strides", infer_pool, run_average},
      {"", "GlobalAveragePool", OpKind::reduction, 1, 1, 1, 1, "", infer_global, run_global_average},
      {"", "GlobalLpPool", OpKind::reduction, 1, 1, 1, 1, "p", infer_global, run_global_lp},
      {"", "GlobalMaxPool", OpKind::movement, 1, 1, 1, 1, "", infer_global, run_global_max},
      {"", "LpPool", OpKind::reduction, 1, 1, 1, 1, "auto_pad ceil_mode dilations kernel_shape p pads strides",
       infer_pool, run_lp},
      {"", "MaxPool", OpKind::movement, 1, 1, 1, 2,
       "auto_pad ceil_mode dilations kernel_shape pads storage_order strides", infer_pool, run_max},
      {"", "MaxRoiPool", OpKind::movement, 2, 2, 1, 1, "pooled_shape spatial_scale", infer_max_roi, run_max_roi},
      {"", "MaxUnpool", OpKind::movement, 2, 3, 1, 1, "kernel_shape pads strides", infer_unpool, run_unpool},
  };
  return rows;
}

}  // namespace lowbit
