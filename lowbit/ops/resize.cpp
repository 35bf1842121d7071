#include <algorithm>
#include <cmath>
#include <numeric>

#include "lowbit/base/checked.h"
#include "lowbit/ops/families.h"
#include "lowbit/ops/infer_helpers.h"
#include "lowbit/ops/op_helpers.h"
#include "lowbit/ops/sampling.h"

namespace lowbit {
namespace {

/// One resized axis: output size, scale, and the part of the input (in units of its length) for tf_crop_and_resize.
struct ResizeAxis {
  int64_t in = 1, out = 1;
  double scale = 1, start = 0, end = 1;
  bool identity() const { return in == out && scale == 1; }
};

/// For one output position: `count` input positions from `first` on with weights; positions are clamped to the input.
struct Taps {
  std::vector<int64_t> positions;
  std::vector<double> weights;
  bool outside = false;  ///< the place is outside the input (tf_crop_and_resize)
};

double original_coordinate(const std::string& mode, const ResizeAxis& a, int64_t at) {
  const double x = static_cast<double>(at), in = static_cast<double>(a.in), out = static_cast<double>(a.out);
  const double half_pixel = (x + 0.5) / a.scale - 0.5;
  if (mode == "half_pixel") return half_pixel;
  if (mode == "half_pixel_symmetric") return in / 2 * (1 - out / (a.scale * in)) + half_pixel;
  if (mode == "pytorch_half_pixel") return a.out > 1 ? half_pixel : 0.0;
  // The length here is the real one, in * scale, not the number of outputs (they differ where scales are given).
  if (mode == "align_corners") return a.out > 1 ? x * (in - 1) / (a.scale * in - 1) : 0.0;
  if (mode == "asymmetric") return x / a.scale;
  if (mode == "tf_crop_and_resize")
    return a.out > 1 ? a.start * (in - 1) + x * (a.end - a.start) * (in - 1) / (out - 1)
                     : 0.5 * (a.start + a.end) * (in - 1);
  refuse("coordinate_transformation_mode '{}' is unknown", mode);
}

/// Attributes of a Resize node.
struct ResizeRule {
  std::string mode, coordinates, nearest;
  double cubic_a, extrapolation;
  bool antialias, exclude_outside;

  explicit ResizeRule(const Node& node)
      : mode(node.attr_string("mode", "nearest")),
        coordinates(node.attr_string("coordinate_transformation_mode", "half_pixel")),
        nearest(node.attr_string("nearest_mode", "round_prefer_floor")),
        cubic_a(node.attr_float("cubic_coeff_a", -0.75f)),
        extrapolation(node.attr_float("extrapolation_value", 0)),
        antialias(node.attr_int("antialias", 0) != 0),
        exclude_outside(node.attr_int("exclude_outside", 0) != 0) {
    require(mode == "nearest" || mode == "linear" || mode == "cubic", "mode '{}' is none of nearest, linear, cubic",
            mode);
  }

  int64_t nearest_position(double x) const {
    if (nearest == "round_prefer_floor") return static_cast<int64_t>(std::ceil(x - 0.5));
    if (nearest == "round_prefer_ceil") return static_cast<int64_t>(std::floor(x + 0.5));
    if (nearest == "floor") return static_cast<int64_t>(std::floor(x));
    if (nearest == "ceil") return static_cast<int64_t>(std::ceil(x));
    refuse("nearest_mode '{}' is unknown", nearest);
  }

  double weight(double distance) const {
    return mode == "linear" ? std::max(0.0, 1 - std::abs(distance)) : cubic_weight(distance, cubic_a);
  }

  Taps taps(const ResizeAxis& a, int64_t at) const {
    Taps result;
    const double x = original_coordinate(coordinates, a, at);
    require(std::abs(x) < 1e15, "an output position maps to the input position {}", x);
    result.outside = coordinates == "tf_crop_and_resize" && (x < 0 || x > static_cast<double>(a.in - 1));
    if (mode == "nearest") {
      result.positions = {std::clamp<int64_t>(nearest_position(x), 0, a.in - 1)};
      result.weights = {1.0};
      return result;
    }
    // When shrinking with antialias the filter is stretched to cover all inputs of an output.
    const double stretch = antialias ? std::min(a.scale, 1.0) : 1.0, reach = (mode == "linear" ? 1 : 2) / stretch;
    const double base = std::floor(x), ratio = x - base;
    const auto first = static_cast<int64_t>(std::floor(-reach)) + 1;
    require(-first < 4 * a.in + 16, "the scale {} is too small for {} inputs", a.scale, a.in);
    for (int64_t i = first; i < 2 - first; ++i) {
      const int64_t position = static_cast<int64_t>(base) + i;
      const bool inside = position >= 0 && position < a.in;
      if (exclude_outside && !inside) continue;
      result.positions.push_back(std::clamp<int64_t>(position, 0, a.in - 1));
      result.weights.push_back(weight(stretch * (static_cast<double>(i) - ratio)));
    }
    const double sum = std::accumulate(result.weights.begin(), result.weights.end(), 0.0);
    if ((antialias || exclude_outside) && sum != 0)
      for (double& w : result.weights) w /= sum;
    return result;
  }
};

/// Rounds half up, as the standard says for keep_aspect_ratio_policy.
int64_t round_half_up(double x) { return static_cast<int64_t>(std::floor(x + 0.5)); }

/// Sizes of the axes that are resized, in the order of `axes`.
void apply_sizes(const Node& node, const std::vector<int64_t>& sizes, const std::vector<int64_t>& axes,
                 std::vector<ResizeAxis>& result) {
  require(sizes.size() == axes.size(), "sizes has {} numbers for {} axes", sizes.size(), axes.size());
  const std::string policy = node.attr_string("keep_aspect_ratio_policy", "stretch");
  const bool larger = policy == "not_smaller", keep = larger || policy == "not_larger";
  require(keep || policy == "stretch", "keep_aspect_ratio_policy '{}' is unknown", policy);
  std::vector<double> ratios;
  for (size_t i = 0; i < axes.size(); ++i) {
    ResizeAxis& axis = result[static_cast<size_t>(axes[i])];
    require(sizes[i] >= 0 && axis.in > 0, "an axis of {} cannot get the size {}", axis.in, sizes[i]);
    ratios.push_back(static_cast<double>(sizes[i]) / static_cast<double>(axis.in));
  }
  if (ratios.empty()) return;
  const double common =
      larger ? *std::max_element(ratios.begin(), ratios.end()) : *std::min_element(ratios.begin(), ratios.end());
  for (size_t i = 0; i < axes.size(); ++i) {
    ResizeAxis& axis = result[static_cast<size_t>(axes[i])];
    axis.scale = keep ? common : ratios[i];
    axis.out = keep ? round_half_up(common * static_cast<double>(axis.in)) : sizes[i];
  }
}

void apply_scales(const std::vector<double>& scales, const std::vector<int64_t>& axes,
                  std::vector<ResizeAxis>& result) {
  require(scales.size() == axes.size(), "scales has {} numbers for {} axes", scales.size(), axes.size());
  for (size_t i = 0; i < axes.size(); ++i) {
    ResizeAxis& axis = result[static_cast<size_t>(axes[i])];
    require(scales[i] > 0 && scales[i] < 1e9, "a scale is {}", scales[i]);
    axis.scale = scales[i];
    axis.out = static_cast<int64_t>(std::floor(static_cast<double>(axis.in) * scales[i]));
  }
}

std::vector<double> to_doubles(const Tensor& tensor) {
  const Tensor wide = tensor.cast(DType::float64);
  return {wide.values<double>().begin(), wide.values<double>().end()};
}

std::vector<int64_t> resized_axes(const Node& node, int64_t rank) {
  std::vector<int64_t> all(static_cast<size_t>(rank));
  std::iota(all.begin(), all.end(), 0);
  return checked_axes(node, node.attr_ints("axes", all), rank);
}

/// scales and sizes: null if absent or empty.
std::vector<ResizeAxis> resize_axes(const Node& node, const Dims& x, const Tensor* scales,
                                    const std::vector<int64_t>* sizes) {
  const std::vector<int64_t> axes = resized_axes(node, static_cast<int64_t>(x.size()));
  std::vector<ResizeAxis> result;
  for (int64_t n : x) result.push_back({n, n});
  if (sizes)
    apply_sizes(node, *sizes, axes, result);
  else if (scales)
    apply_scales(to_doubles(*scales), axes, result);
  else
    refuse("Resize needs scales or sizes");
  return result;
}

void apply_roi(const EvalContext& c, std::vector<ResizeAxis>& result) {
  if (c.node().attr_string("coordinate_transformation_mode", "") != "tf_crop_and_resize") return;
  const std::vector<int64_t> axes = resized_axes(c.node(), static_cast<int64_t>(result.size()));
  const std::vector<double> roi = to_doubles(c.input(1));
  require(roi.size() == 2 * axes.size(), "roi has {} numbers for {} axes", roi.size(), axes.size());
  for (size_t i = 0; i < axes.size(); ++i) {
    result[static_cast<size_t>(axes[i])].start = roi[i];
    result[static_cast<size_t>(axes[i])].end = roi[axes.size() + i];
  }
}

/// y[o, j, i] = sum over the taps of j of x[o, tap, i].
void resize_one_axis(ThreadPool& threads, const std::vector<double>& x, std::vector<double>& y, int64_t outer,
                     const ResizeAxis& axis, int64_t inner, const ResizeRule& rule) {
  std::vector<Taps> table;
  for (int64_t j = 0; j < axis.out; ++j) table.push_back(rule.taps(axis, j));
  y.assign(static_cast<size_t>(outer * axis.out * inner), 0.0);
  threads.parallel_for(outer * axis.out, [&](int64_t row) {
    const int64_t o = row / axis.out, j = row % axis.out;
    const Taps& taps = table[static_cast<size_t>(j)];
    double* to = y.data() + row * inner;
    for (size_t k = 0; k < taps.positions.size(); ++k) {
      const double* from = x.data() + (o * axis.in + taps.positions[k]) * inner;
      const double w = taps.weights[k];
      for (int64_t i = 0; i < inner; ++i) to[i] += w * from[i];
    }
  });
}

/// Outputs whose place is outside the input on any axis get the extrapolation value.
void extrapolate(const std::vector<ResizeAxis>& axes, const ResizeRule& rule, std::vector<double>& y) {
  int64_t inner = static_cast<int64_t>(y.size()), outer = 1;
  for (const ResizeAxis& axis : axes) {
    inner /= std::max<int64_t>(1, axis.out);
    for (int64_t j = 0; j < axis.out && !axis.identity(); ++j) {
      if (!rule.taps(axis, j).outside) continue;
      for (int64_t o = 0; o < outer; ++o)
        std::fill_n(y.begin() + (o * axis.out + j) * inner, inner, rule.extrapolation);
    }
    outer *= axis.out;
  }
}

void run_resize(EvalContext& context) {
  const Node& node = context.node();
  const Tensor& x = context.input(0);
  const Tensor* scales = context.has_input(2) && context.input(2).count() > 0 ? &context.input(2) : nullptr;
  std::vector<int64_t> sizes;
  const bool by_size = context.has_input(3) && context.input(3).count() > 0;
  if (by_size) sizes = int_values(context, 3);
  std::vector<ResizeAxis> axes = resize_axes(node, x.dims(), scales, by_size ? &sizes : nullptr);
  const ResizeRule rule(node);
  apply_roi(context, axes);
  Dims out_dims;
  for (const ResizeAxis& axis : axes) out_dims.push_back(axis.out);
  Tensor y = make_output(node, DType::float64, out_dims);
  if (y.count() == 0) return context.set_output(0, y.cast(x.dtype()));
  require(x.count() > 0, "an empty input {} cannot be resized to {}", dims_text(x.dims()), dims_text(out_dims));
  std::vector<double> values = to_doubles(x), next;
  // Shrinking axes first would be cheaper; the order does not matter for the result beyond rounding in double.
  for (size_t i = 0; i < axes.size(); ++i) {
    const bool cropped = rule.coordinates == "tf_crop_and_resize" && (axes[i].start != 0 || axes[i].end != 1);
    if (axes[i].identity() && !cropped) continue;
    resize_one_axis(context.threads(), values, next, count_between(out_dims, 0, i), axes[i],
                    count_between(x.dims(), i + 1, axes.size()), rule);
    values.swap(next);
  }
  if (rule.coordinates == "tf_crop_and_resize") extrapolate(axes, rule, values);
  if (is_integer(x.dtype()))
    for (double& v : values) v = std::nearbyint(v);
  std::copy(values.begin(), values.end(), y.mutable_data<double>());
  context.set_output(0, y.cast(x.dtype()));
}

void infer_resize(InferContext& context) {
  const Shape* x = context.input_shape(0);
  if (!x) return context.set_output(0, context.input_dtype(0), std::nullopt);
  const auto dims = concrete(*x);
  const Tensor* scales = context.input_constant(2);
  if (scales && scales->count() == 0) scales = nullptr;
  const auto sizes = ints_of(context, 3);
  const bool by_size = sizes && !sizes->empty();
  Shape out(x->size());
  if (dims && (scales || by_size)) {
    const auto axes = resize_axes(context.node(), *dims, scales, by_size ? &*sizes : nullptr);
    for (size_t i = 0; i < out.size(); ++i) out[i] = Dim(axes[i].out);
  } else if (scales && !context.has_input(3)) {
    // A scale of one keeps a symbolic dimension, usually the batch.
    const std::vector<double> factors = to_doubles(*scales);
    const std::vector<int64_t> axes = resized_axes(context.node(), static_cast<int64_t>(x->size()));
    out = *x;
    for (size_t i = 0; i < axes.size() && i < factors.size(); ++i) {
      Dim& dim = out[static_cast<size_t>(axes[i])];
      if (factors[i] == 1) continue;
      dim = dim.known() ? Dim(static_cast<int64_t>(std::floor(static_cast<double>(*dim.size) * factors[i]))) : Dim();
    }
  }
  context.set_output(0, context.input_dtype(0), std::move(out));
}

}  // namespace

std::span<const OpDef> resize_ops() {
  static const OpDef rows[] = {
      {"", "AffineGrid", OpKind::other, 2, 2, 1, 1, "align_corners", infer_affine_grid, run_affine_grid},
      {"", "Col2Im", OpKind::other, 3, 3, 1, 1, "dilations pads strides", infer_col2im, run_col2im},
      {"", "GridSample", OpKind::other, 2, 2, 1, 1, "align_corners mode padding_mode", infer_grid_sample,
       run_grid_sample},
      {"", "Resize", OpKind::other, 1, 4, 1, 1,
       "antialias axes coordinate_transformation_mode cubic_coeff_a exclude_outside extrapolation_value "
       "keep_aspect_ratio_policy mode nearest_mode",
       infer_resize, run_resize},
      {"", "RoiAlign", OpKind::other, 3, 3, 1, 1,
       "coordinate_transformation_mode mode output_height output_width sampling_ratio spatial_scale", infer_roi_align,
       run_roi_align},
  };
  return rows;
}

}  // namespace lowbit
