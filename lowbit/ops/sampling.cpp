#include "lowbit/ops/sampling.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "lowbit/base/checked.h"
#include "lowbit/ops/infer_helpers.h"
#include "lowbit/ops/op_helpers.h"
#include "lowbit/ops/window.h"

namespace lowbit {

double cubic_weight(double t, double a) {
  t = std::abs(t);
  if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  if (t < 2) return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a;
  return 0;
}

namespace {

/// Reflects x into [low, high], as a mirror at both ends would.
double reflect(double x, double low, double high) {
  const double range = high - low;
  if (range <= 0) return low;
  const double folded = std::fmod(std::abs(x - low), 2 * range);
  return low + (folded > range ? 2 * range - folded : folded);
}

/// How GridSample treats coordinates; the spatial axes of one image are `sizes`.
struct GridRule {
  std::string mode, padding;
  bool align;

  explicit GridRule(const Node& node)
      : mode(node.attr_string("mode", "linear")),
        padding(node.attr_string("padding_mode", "zeros")),
        align(node.attr_int("align_corners", 0) != 0) {
    if (mode == "bilinear") mode = "linear";
    if (mode == "bicubic") mode = "cubic";
    require(mode == "linear" || mode == "nearest" || mode == "cubic", "mode '{}' is none of linear, nearest, cubic",
            mode);
    require(padding == "zeros" || padding == "border" || padding == "reflection",
            "padding_mode '{}' is none of zeros, border, reflection", padding);
  }

  /// From [-1, 1] to pixels.
  double pixel(double v, int64_t size) const {
    const auto n = static_cast<double>(size);
    return align ? (v + 1) / 2 * (n - 1) : ((v + 1) * n - 1) / 2;
  }
  /// A pixel position after padding; nothing if it reads zero.
  std::optional<int64_t> place(double x, int64_t size) const {
    const auto last = static_cast<double>(size - 1);
    if (padding == "border") x = std::clamp(x, 0.0, last);
    if (padding == "reflection") x = align ? reflect(x, 0, last) : std::clamp(reflect(x, -0.5, last + 0.5), 0.0, last);
    if (!(x >= 0 && x <= last)) return std::nullopt;
    return static_cast<int64_t>(x);
  }
};

struct AxisTap {
  std::optional<int64_t> position;
  double weight;
};

std::vector<AxisTap> axis_taps(const GridRule& rule, double coordinate, int64_t size) {
  double x = rule.pixel(coordinate, size);
  // What is far outside or not a number reads the padding.
  if (!(std::abs(x) < 1e12)) x = std::isnan(x) ? -1 : std::copysign(1e12, x);
  if (rule.mode == "nearest") return {{rule.place(std::nearbyint(x), size), 1.0}};
  const double base = std::floor(x);
  std::vector<AxisTap> taps;
  const int first = rule.mode == "linear" ? 0 : -1, last = rule.mode == "linear" ? 1 : 2;
  for (int i = first; i <= last; ++i) {
    const double distance = x - base - i;
    const double w = rule.mode == "linear" ? 1 - std::abs(distance) : cubic_weight(distance, -0.75);
    taps.push_back({rule.place(base + i, size), w});
  }
  return taps;
}

/// Value of an image of up to three axes (leading ones of size 1) at the product of the taps.
template <typename T>
double sample(const T* image, const std::array<int64_t, 3>& sizes, const std::array<std::vector<AxisTap>, 3>& taps) {
  double sum = 0;
  for (const AxisTap& d : taps[0])
    for (const AxisTap& h : taps[1])
      for (const AxisTap& w : taps[2])
        if (d.position && h.position && w.position)
          sum +=
              d.weight * h.weight * w.weight * image[(*d.position * sizes[1] + *h.position) * sizes[2] + *w.position];
  return sum;
}

void check_grid(const Dims& x, const Dims& grid) {
  require(x.size() >= 3 && x.size() <= 5 && grid.size() == x.size() && grid[0] == x[0] &&
              grid.back() == static_cast<int64_t>(x.size()) - 2,
          "the grid {} does not fit the input {}", dims_text(grid), dims_text(x));
}

}  // namespace

void run_grid_sample(EvalContext& context) {
  run_widened(
      context,
      []<typename T>(EvalContext& c) {
        const Dims &x = c.input(0).dims(), &grid = c.input(1).dims();
        check_grid(x, grid);
        const GridRule rule(c.node());
        const size_t axes = x.size() - 2;
        std::array<int64_t, 3> sizes{1, 1, 1};
        std::copy(x.begin() + 2, x.end(), sizes.end() - static_cast<std::ptrdiff_t>(axes));
        require(checked_product(sizes) > 0, "the input {} is empty", dims_text(x));
        Dims out_dims{x[0], x[1]};
        out_dims.insert(out_dims.end(), grid.begin() + 1, grid.end() - 1);
        Tensor y = make_output(c.node(), c.input(0).dtype(), out_dims);
        const T *px = typed_input<T>(c, 0), *pg = typed_input<T>(c, 1);
        T* out = y.mutable_data<T>();
        const int64_t places = count_between(grid, 1, grid.size() - 1), image = checked_product(sizes), channels = x[1];
        c.threads().parallel_for(x[0] * places, [&](int64_t i) {
          const int64_t n = i / places, at = i % places;
          std::array<std::vector<AxisTap>, 3> taps;
          for (auto& one : taps) one = {{int64_t{0}, 1.0}};
          // The grid holds x first, that is the last axis.
          for (size_t k = 0; k < axes; ++k)
            taps[2 - k] = axis_taps(
                rule, static_cast<double>(pg[i * static_cast<int64_t>(axes) + static_cast<int64_t>(k)]), sizes[2 - k]);
          for (int64_t m = 0; m < channels; ++m)
            out[(n * channels + m) * places + at] =
                static_cast<T>(sample(px + (n * channels + m) * image, sizes, taps));
        });
        c.set_output(0, std::move(y));
      },
      0);
}

void infer_grid_sample(InferContext& context) {
  const Shape *x = context.input_shape(0), *grid = context.input_shape(1);
  if (!x || !grid || x->size() < 3 || grid->size() != x->size())
    return context.set_output(0, context.input_dtype(0), std::nullopt);
  Shape out{(*x)[0], (*x)[1]};
  out.insert(out.end(), grid->begin() + 1, grid->end() - 1);
  context.set_output(0, context.input_dtype(0), std::move(out));
}

void run_affine_grid(EvalContext& context) {
  run_widened(context, []<typename T>(EvalContext& c) {
    const std::vector<int64_t> size = int_values(c, 1);
    require(size.size() == 4 || size.size() == 5, "size has {} numbers, but 4 or 5 are needed", size.size());
    const bool align = c.node().attr_int("align_corners", 0) != 0;
    const auto axes = static_cast<int64_t>(size.size()) - 2;
    require_dims(c.input(0), {size[0], axes, axes + 1}, "theta");
    Dims dims{size[0]};
    dims.insert(dims.end(), size.begin() + 2, size.end());
    dims.push_back(axes);
    Tensor y = make_output(c.node(), c.input(0).dtype(), dims);
    const T* theta = typed_input<T>(c, 0);
    T* out = y.mutable_data<T>();
    const int64_t places = y.count() / std::max<int64_t>(1, size[0] * axes);
    for (int64_t i = 0; i < size[0] * places; ++i) {
      const T* matrix = theta + i / places * axes * (axes + 1);
      int64_t rest = i % places;
      double coordinate[3] = {};
      for (int64_t k = 0; k < axes; ++k) {
        const int64_t n = size[static_cast<size_t>(axes + 1 - k)];
        const auto at = static_cast<double>(rest % n), length = static_cast<double>(n);
        rest /= n;
        coordinate[k] = align ? (n > 1 ? 2 * at / (length - 1) - 1 : 0.0) : (2 * at + 1) / length - 1;
      }
      for (int64_t row = 0; row < axes; ++row) {
        double sum = matrix[row * (axes + 1) + axes];
        for (int64_t k = 0; k < axes; ++k) sum += matrix[row * (axes + 1) + k] * coordinate[k];
        out[i * axes + row] = static_cast<T>(sum);
      }
    }
    c.set_output(0, std::move(y));
  });
}

void infer_affine_grid(InferContext& context) {
  const auto size = dims_of(context, 1);
  if (!size || size->size() < 4) return context.set_output(0, context.input_dtype(0), std::nullopt);
  Shape out{(*size)[0]};
  out.insert(out.end(), size->begin() + 2, size->end());
  out.push_back(Dim(static_cast<int64_t>(size->size()) - 2));
  context.set_output(0, context.input_dtype(0), std::move(out));
}

namespace {

/// Sampling along one axis of a region: clamped positions and weights of the two neighbours; nothing outside.
struct RoiTap {
  int64_t low = 0, high = 0;
  double low_weight = 0, high_weight = 0;
};

RoiTap roi_tap(double x, int64_t size) {
  if (x < -1.0 || x > static_cast<double>(size)) return {};
  x = std::max(x, 0.0);
  const int64_t low = std::min(static_cast<int64_t>(x), size - 1), high = std::min(low + 1, size - 1);
  const double ratio = low == size - 1 ? 0.0 : x - static_cast<double>(low);
  return {low, high, 1 - ratio, ratio};
}

struct RoiRule {
  int64_t height, width, ratio;
  double scale, offset;
  bool average;

  explicit RoiRule(const Node& node)
      : height(node.attr_int("output_height", 1)),
        width(node.attr_int("output_width", 1)),
        ratio(node.attr_int("sampling_ratio", 0)),
        scale(node.attr_float("spatial_scale", 1)),
        offset(node.attr_string("coordinate_transformation_mode", "half_pixel") == "half_pixel" ? 0.5 : 0.0),
        average(node.attr_string("mode", "avg") == "avg") {
    require(height > 0 && width > 0 && ratio >= 0 && ratio <= 1024, "output {}x{} with sampling_ratio {}", height,
            width, ratio);
  }

  int64_t samples(double bin) const {
    return ratio > 0 ? ratio : std::max<int64_t>(1, static_cast<int64_t>(std::ceil(bin)));
  }
};

/// One bin of one channel. The maximum is over the four weighted neighbours of each sample, as the standard's model
/// implementation has it.
template <typename T>
double roi_bin_value(const T* image, int64_t width, const std::vector<RoiTap>& rows, const std::vector<RoiTap>& columns,
                     bool average) {
  double sum = 0, best = -std::numeric_limits<double>::infinity();
  for (const RoiTap& r : rows)
    for (const RoiTap& c : columns) {
      const double parts[] = {
          r.low_weight * c.low_weight * image[r.low * width + c.low],
          r.low_weight * c.high_weight * image[r.low * width + c.high],
          r.high_weight * c.low_weight * image[r.high * width + c.low],
          r.high_weight * c.high_weight * image[r.high * width + c.high],
      };
      for (double part : parts) {
        sum += part;
        best = std::max(best, part);
      }
    }
  return average ? sum / static_cast<double>(rows.size() * columns.size()) : best;
}

std::vector<RoiTap> roi_taps(double start, double bin, int64_t index, int64_t samples, int64_t size) {
  std::vector<RoiTap> taps;
  for (int64_t i = 0; i < samples; ++i)
    taps.push_back(roi_tap(
        start + bin * static_cast<double>(index) + (static_cast<double>(i) + 0.5) * bin / static_cast<double>(samples),
        size));
  return taps;
}

}  // namespace

void run_roi_align(EvalContext& context) {
  run_widened(context, []<typename T>(EvalContext& c) {
    const Tensor &x = c.input(0), &rois = c.input(1);
    require(x.rank() == 4 && rois.rank() == 2 && rois.dim(1) == 4 && x.dim(2) > 0 && x.dim(3) > 0,
            "RoiAlign needs an image of rank 4 and regions of 4 numbers, not {} and {}", dims_text(x.dims()),
            dims_text(rois.dims()));
    require_dims(c.input(2), {rois.dim(0)}, "batch_indices");
    const std::vector<int64_t> images = int_values(c, 2);
    const RoiRule rule(c.node());
    const int64_t channels = x.dim(1), height = x.dim(2), width = x.dim(3);
    const T *px = typed_input<T>(c, 0), *pr = typed_input<T>(c, 1);
    Tensor y = make_output(c.node(), x.dtype(), {rois.dim(0), channels, rule.height, rule.width});
    T* out = y.mutable_data<T>();
    for (int64_t n : images) require(n >= 0 && n < x.dim(0), "a region names image {} of {}", n, x.dim(0));
    c.threads().parallel_for(rois.dim(0), [&](int64_t r) {
      double edge[4];
      for (int k = 0; k < 4; ++k) {
        edge[k] = pr[r * 4 + k] * rule.scale - rule.offset;
        require(std::abs(edge[k]) < 1e6, "a region has the coordinate {}", edge[k]);
      }
      double w = edge[2] - edge[0], h = edge[3] - edge[1];
      if (rule.offset == 0) w = std::max(w, 1.0), h = std::max(h, 1.0);
      const double bin_h = h / static_cast<double>(rule.height), bin_w = w / static_cast<double>(rule.width);
      for (int64_t i = 0; i < rule.height; ++i) {
        const auto rows = roi_taps(edge[1], bin_h, i, rule.samples(bin_h), height);
        for (int64_t j = 0; j < rule.width; ++j) {
          const auto columns = roi_taps(edge[0], bin_w, j, rule.samples(bin_w), width);
          for (int64_t m = 0; m < channels; ++m) {
            const T* image = px + (images[static_cast<size_t>(r)] * channels + m) * height * width;
            out[((r * channels + m) * rule.height + i) * rule.width + j] =
                static_cast<T>(roi_bin_value(image, width, rows, columns, rule.average));
          }
        }
      }
    });
    c.set_output(0, std::move(y));
  });
}

void infer_roi_align(InferContext& context) {
  const RoiRule rule(context.node());
  context.set_output(0, context.input_dtype(0),
                     Shape{dim_or_unknown(context.input_shape(1), 0), dim_or_unknown(context.input_shape(0), 1),
                           Dim(rule.height), Dim(rule.width)});
}

void run_col2im(EvalContext& context) {
  run_widened(context, []<typename T>(EvalContext& c) {
    const Tensor& x = c.input(0);
    const std::vector<int64_t> image = int_values(c, 1), block = int_values(c, 2);
    require(x.rank() == 3 && image.size() == block.size() && !image.empty(),
            "Col2Im needs a tensor of rank 3 and equally many image and block sizes");
    const WindowRule rule(c.node(), block);
    const int64_t taps = checked_product(block);
    std::vector<WindowAxis> axes;
    int64_t places = 1;
    for (size_t i = 0; i < image.size(); ++i) {
      axes.push_back(rule.axis(i, image[i]));
      places = checked_mul(places, axes.back().out);
    }
    require(x.dim(1) % taps == 0 && x.dim(2) == places, "the columns {} do not fit blocks of {} at {} places",
            dims_text(x.dims()), taps, places);
    const int64_t channels = x.dim(1) / taps, size = checked_product(image);
    Dims dims{x.dim(0), channels};
    dims.insert(dims.end(), image.begin(), image.end());
    Tensor y = zero_output(c.node(), x.dtype(), dims);
    const T* px = typed_input<T>(c, 0);
    T* out = y.mutable_data<T>();
    for (int64_t row = 0; row < x.dim(0) * channels * taps; ++row)
      for (int64_t place = 0; place < places; ++place) {
        int64_t tap = row % taps, rest = place, at = 0, step = 1;
        bool inside = true;
        for (size_t i = axes.size(); i-- > 0;) {
          const int64_t position = axes[i].start(rest % axes[i].out) + tap % axes[i].kernel * axes[i].dilation;
          rest /= axes[i].out;
          tap /= axes[i].kernel;
          inside = inside && position >= 0 && position < axes[i].in;
          at += position * step;
          step *= axes[i].in;
        }
        if (inside) out[row / taps * size + at] += px[row * places + place];
      }
    c.set_output(0, std::move(y));
  });
}

void infer_col2im(InferContext& context) {
  const auto image = dims_of(context, 1);
  const auto block = ints_of(context, 2);
  if (!image) return context.set_output(0, context.input_dtype(0), std::nullopt);
  const Shape* x = context.input_shape(0);
  Shape out{dim_or_unknown(x, 0), Dim()};
  const Dim rows = dim_or_unknown(x, 1);
  if (block && rows.known() && checked_product(*block) > 0) out[1] = Dim(*rows.size / checked_product(*block));
  out.insert(out.end(), image->begin(), image->end());
  context.set_output(0, context.input_dtype(0), std::move(out));
}

}  // namespace lowbit
