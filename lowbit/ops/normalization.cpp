#include <algorithm>
#include <cmath>

#include "lowbit/ops/broadcast.h"
#include "lowbit/ops/families.h"
#include "lowbit/ops/infer_helpers.h"
#include "lowbit/ops/op_helpers.h"
#include "lowbit/ops/softmax.h"

namespace lowbit {
namespace {

struct Moments {
  double mean, variance;
};

template <typename T>
Moments moments(const T* x, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += x[i];
  const double mean = sum / static_cast<double>(count);
  double squares = 0;
  for (int64_t i = 0; i < count; ++i) squares += (x[i] - mean) * (x[i] - mean);
  return {mean, squares / static_cast<double>(count)};
}

/// y = x * factor + shift over a run.
template <typename T>
void scale_run(const T* x, T* y, int64_t count, double factor, double shift) {
  for (int64_t i = 0; i < count; ++i) y[i] = static_cast<T>(x[i] * factor + shift);
}

/// Mean and variance of one channel over the batch.
template <typename T>
Moments channel_moments(const T* x, int64_t batch, int64_t channels, int64_t channel, int64_t size) {
  const double count = static_cast<double>(batch * size);
  double sum = 0, squares = 0;
  const auto each = [&](auto&& f) {
    for (int64_t n = 0; n < batch; ++n)
      for (int64_t i = 0; i < size; ++i) f(static_cast<double>(x[(n * channels + channel) * size + i]));
  };
  each([&](double v) { sum += v; });
  const double mean = sum / count;
  each([&](double v) { squares += (v - mean) * (v - mean); });
  return {mean, squares / count};
}

/// Statistics of the batch, and the running ones as outputs 1 and 2.
template <typename T>
std::vector<Moments> train_statistics(EvalContext& c, int64_t batch, int64_t channels, int64_t size) {
  const double momentum = c.node().attr_float("momentum", 0.9f);
  const T *x = typed_input<T>(c, 0), *old_mean = typed_input<T>(c, 3), *old_variance = typed_input<T>(c, 4);
  Tensor mean = make_output(c.node(), c.input(3).dtype(), {channels});
  Tensor variance = make_output(c.node(), c.input(4).dtype(), {channels});
  std::vector<Moments> result;
  for (int64_t m = 0; m < channels; ++m) {
    result.push_back(channel_moments(x, batch, channels, m, size));
    const auto mixed = [&](double old, double now) { return static_cast<T>(old * momentum + now * (1 - momentum)); };
    mean.mutable_data<T>()[m] = mixed(old_mean[m], result.back().mean);
    variance.mutable_data<T>()[m] = mixed(old_variance[m], result.back().variance);
  }
  c.set_output(1, std::move(mean));
  c.set_output(2, std::move(variance));
  return result;
}

void run_batch_norm(EvalContext& context) {
  run_widened(context, []<typename T>(EvalContext& c) {
    const Tensor& x = c.input(0);
    require(x.rank() >= 2, "the input {} has no channels", dims_text(x.dims()));
    const int64_t batch = x.dim(0), channels = x.dim(1), size = count_between(x.dims(), 2, x.dims().size());
    for (size_t i = 1; i < 5; ++i) require_dims(c.input(i), {channels}, fmt::format("input {}", i));
    const T *px = typed_input<T>(c, 0), *scale = typed_input<T>(c, 1), *bias = typed_input<T>(c, 2);
    const T *mean = typed_input<T>(c, 3), *variance = typed_input<T>(c, 4);
    std::vector<Moments> statistics;
    if (c.node().attr_int("training_mode", 0) != 0)
      statistics = train_statistics<T>(c, batch, channels, size);
    else
      for (int64_t m = 0; m < channels; ++m) statistics.push_back({mean[m], variance[m]});
    const double epsilon = c.node().attr_float("epsilon", 1e-5f);
    Tensor y = make_output(c.node(), x.dtype(), x.dims());
    T* out = y.mutable_data<T>();
    c.threads().parallel_for(batch * channels, [&](int64_t plane) {
      const auto m = static_cast<size_t>(plane % channels);
      const double factor = scale[m] / std::sqrt(statistics[m].variance + epsilon);
      scale_run(px + plane * size, out + plane * size, size, factor, bias[m] - statistics[m].mean * factor);
    });
    c.set_output(0, std::move(y));
  });
}

/// Normalizes blocks of channels: groups = channels gives InstanceNormalization.
template <typename T>
void normalize_groups(EvalContext& c, int64_t groups) {
  const Tensor& x = c.input(0);
  require(x.rank() >= 3, "the input {} has no spatial dimension", dims_text(x.dims()));
  const int64_t channels = x.dim(1), size = count_between(x.dims(), 2, x.dims().size());
  require(groups >= 1 && channels % groups == 0, "{} channels do not divide into {} groups", channels, groups);
  require_dims(c.input(1), {channels}, "the scale");
  require_dims(c.input(2), {channels}, "the bias");
  const T *px = typed_input<T>(c, 0), *scale = typed_input<T>(c, 1), *bias = typed_input<T>(c, 2);
  const double epsilon = c.node().attr_float("epsilon", 1e-5f);
  Tensor y = make_output(c.node(), x.dtype(), x.dims());
  T* out = y.mutable_data<T>();
  const int64_t each = channels / groups;
  c.threads().parallel_for(x.dim(0) * groups, [&](int64_t block) {
    const int64_t at = block * each * size, first = block % groups * each;
    const Moments found = moments(px + at, each * size);
    for (int64_t m = 0; m < each; ++m) {
      const double factor = scale[first + m] / std::sqrt(found.variance + epsilon);
      scale_run(px + at + m * size, out + at + m * size, size, factor, bias[first + m] - found.mean * factor);
    }
  });
  c.set_output(0, std::move(y));
}

void run_instance_norm(EvalContext& context) {
  require(context.input(0).rank() >= 3, "the input {} has no spatial dimension", dims_text(context.input(0).dims()));
  run_widened(context, []<typename T>(EvalContext& c) { normalize_groups<T>(c, c.input(0).dim(1)); });
}

void run_group_norm(EvalContext& context) {
  run_widened(context, []<typename T>(EvalContext& c) { normalize_groups<T>(c, c.node().attr_int("num_groups", 0)); });
}

/// y = (x - mean) / sqrt(variance + epsilon) * scale + bias over the dimensions from `axis` on; without centre: the
/// root mean square and no bias.
struct LayerNormRule {
  bool centre;
  size_t outputs;  ///< 3: also Mean and InvStdDev
};

/// A scale or bias spread to the normalized dimensions (they may broadcast).
template <typename T>
Tensor spread(EvalContext& c, size_t input, const Dims& dims, size_t axis) {
  const Tensor& given = c.input(input);
  const Dims inner(dims.begin() + static_cast<std::ptrdiff_t>(axis), dims.end());
  typed_input<T>(c, input);
  if (given.dims() == inner) return given;
  require(broadcast_dims(inner, given.dims()) == inner, "input {} with shape {} does not broadcast to {}", input,
          dims_text(given.dims()), dims_text(inner));
  Tensor result = make_output(c.node(), given.dtype(), inner);
  const Tensor zero = zero_output(c.node(), given.dtype(), {});
  broadcast_binary<T>(c.threads(), given, zero, inner, result.mutable_data<T>(), [](T a, T) { return a; });
  return result;
}

template <typename T>
void layer_norm(EvalContext& c, LayerNormRule rule) {
  const Tensor& x = c.input(0);
  const auto axis = static_cast<size_t>(normalize_axis(c.node().attr_int("axis", -1), x.rank()));
  const int64_t outer = count_between(x.dims(), 0, axis), inner = count_between(x.dims(), axis, x.dims().size());
  const double epsilon = c.node().attr_float("epsilon", 1e-5f);
  const Tensor scale = spread<T>(c, 1, x.dims(), axis);
  const Tensor bias = c.has_input(2) ? spread<T>(c, 2, x.dims(), axis) : Tensor();
  const T *px = typed_input<T>(c, 0), *ps = scale.data<T>(), *pb = bias.defined() ? bias.data<T>() : nullptr;
  Dims reduced = x.dims();
  std::fill(reduced.begin() + static_cast<std::ptrdiff_t>(axis), reduced.end(), 1);
  Tensor y = make_output(c.node(), x.dtype(), x.dims());
  Tensor means = make_output(c.node(), x.dtype(), reduced), inverses = make_output(c.node(), x.dtype(), reduced);
  T *out = y.mutable_data<T>(), *mean_out = means.mutable_data<T>(), *inverse_out = inverses.mutable_data<T>();
  c.threads().parallel_for(inner == 0 ? 0 : outer, [&](int64_t row) {
    const T* from = px + row * inner;
    T* to = out + row * inner;
    Moments found = moments(from, inner);
    if (!rule.centre) found = {0, found.variance + found.mean * found.mean};
    const double inverse = 1.0 / std::sqrt(found.variance + epsilon);
    for (int64_t i = 0; i < inner; ++i)
      to[i] = static_cast<T>((from[i] - found.mean) * inverse * ps[i] + (pb ? static_cast<double>(pb[i]) : 0.0));
    mean_out[row] = static_cast<T>(found.mean);
    inverse_out[row] = static_cast<T>(inverse);
  });
  c.set_output(0, std::move(y));
  if (rule.outputs < 3) return;
  c.set_output(1, std::move(means));
  c.set_output(2, std::move(inverses));
}

void run_layer_norm(EvalContext& context) {
  run_widened(context, []<typename T>(EvalContext& c) { layer_norm<T>(c, {.centre = true, .outputs = 3}); });
  // Mean and InvStdDev have the stash type, float32, whatever X is.
  for (size_t i = 1; i < context.outputs().size(); ++i)
    if (context.outputs()[i].defined() && context.node().attr_int("stash_type", 1) == 1)
      context.set_output(i, to_float32(context.outputs()[i]));
}

void run_rms_norm(EvalContext& context) {
  run_widened(context, []<typename T>(EvalContext& c) { layer_norm<T>(c, {.centre = false, .outputs = 1}); });
}

void run_lrn(EvalContext& context) {
  run_widened(context, []<typename T>(EvalContext& c) {
    const Tensor& x = c.input(0);
    require(x.rank() >= 2, "the input {} has no channels", dims_text(x.dims()));
    const int64_t channels = x.dim(1), size = count_between(x.dims(), 2, x.dims().size());
    const int64_t width = c.node().attr_int("size", 0);
    require(width >= 1, "size is {}", width);
    const double alpha = c.node().attr_float("alpha", 1e-4f), beta = c.node().attr_float("beta", 0.75f);
    const double bias = c.node().attr_float("bias", 1.0f);
    const int64_t before = (width - 1) / 2, after = width - 1 - before;
    const T* px = typed_input<T>(c, 0);
    Tensor y = make_output(c.node(), x.dtype(), x.dims());
    T* out = y.mutable_data<T>();
    c.threads().parallel_for(x.dim(0) * channels, [&](int64_t plane) {
      const int64_t m = plane % channels;
      const T* image = px + (plane - m) * size;
      const int64_t first = std::max<int64_t>(0, m - before),
                    last = std::min(channels - 1, after < channels ? m + after : channels - 1);
      for (int64_t i = 0; i < size; ++i) {
        double sum = 0;
        for (int64_t k = first; k <= last; ++k) sum += static_cast<double>(image[k * size + i]) * image[k * size + i];
        const double divisor = std::pow(bias + alpha / static_cast<double>(width) * sum, beta);
        out[plane * size + i] = static_cast<T>(image[m * size + i] / divisor);
      }
    });
    c.set_output(0, std::move(y));
  });
}

/// (x - mean) / (standard deviation + 1e-9) over the given axes; the constant is that of the standard's function body.
void run_mean_variance(EvalContext& context) {
  run_widened(context, []<typename T>(EvalContext& c) {
    const Tensor& x = c.input(0);
    const std::vector<int64_t> axes = checked_axes(c.node(), c.node().attr_ints("axes", {0, 2, 3}), x.rank());
    Dims kept = x.dims();
    for (int64_t axis : axes) kept[static_cast<size_t>(axis)] = 1;
    const BroadcastLoop loop = make_broadcast_loop(x.dims(), {&x.dims(), &kept});
    const T* px = typed_input<T>(c, 0);
    const auto groups = static_cast<size_t>(element_count(kept));
    std::vector<double> sums(groups, 0.0), squares(groups, 0.0);
    const double count = static_cast<double>(x.count()) / static_cast<double>(std::max<size_t>(1, groups));
    const auto each = [&](auto&& f) {
      for_each_run<2>(loop, 0, loop.runs, [&](int64_t at, const std::array<int64_t, 2>& offsets) {
        for (int64_t i = 0; i < loop.run; ++i) f(at + i, static_cast<size_t>(offsets[1] + i * loop.strides[1].back()));
      });
    };
    each([&](int64_t i, size_t g) { sums[g] += px[i]; });
    each([&](int64_t i, size_t g) { squares[g] += (px[i] - sums[g] / count) * (px[i] - sums[g] / count); });
    Tensor y = make_output(c.node(), x.dtype(), x.dims());
    T* out = y.mutable_data<T>();
    each([&](int64_t i, size_t g) {
      out[i] = static_cast<T>((px[i] - sums[g] / count) / (std::sqrt(squares[g] / count) + 1e-9));
    });
    c.set_output(0, std::move(y));
  });
}

void infer_batch_norm(InferContext& context) {
  infer_same(context);
  for (size_t i = 1; i < 3; ++i)
    context.set_output(i, context.input_dtype(i + 2), Shape{dim_or_unknown(context.input_shape(0), 1)});
}

void infer_layer_norm(InferContext& context) {
  infer_same(context);
  std::optional<Shape> reduced = shape_of(context, 0);
  if (reduced) {
    const size_t axis = infer_axis(context.node(), context.node().attr_int("axis", -1), reduced->size());
    std::fill(reduced->begin() + static_cast<std::ptrdiff_t>(axis), reduced->end(), Dim(1));
  }
  const DType stash = context.node().attr_int("stash_type", 1) == 1 ? DType::float32 : context.input_dtype(0);
  context.set_output(1, stash, reduced);
  context.set_output(2, stash, reduced);
}

}  // namespace

std::span<const OpDef> normalization_ops() {
  constexpr OpKind kKind = OpKind::reduction;
  static const OpDef rows[] = {
      {"", "BatchNormalization", kKind, 5, 5, 1, 3, "epsilon momentum training_mode", infer_batch_norm, run_batch_norm},
      {"", "GroupNormalization", kKind, 3, 3, 1, 1, "epsilon num_groups stash_type", infer_same, run_group_norm},
      {"", "Hardmax", kKind, 1, 1, 1, 1, "axis", infer_softmax, run_hardmax},
      {"", "InstanceNormalization", kKind, 3, 3, 1, 1, "epsilon", infer_same, run_instance_norm},
      {"", "LRN", kKind, 1, 1, 1, 1, "alpha beta bias size", infer_same, run_lrn},
      {"", "LayerNormalization", kKind, 2, 3, 1, 3, "axis epsilon stash_type", infer_layer_norm, run_layer_norm},
      {"", "LogSoftmax", kKind, 1, 1, 1, 1, "axis", infer_softmax, run_log_softmax},
      {"", "LpNormalization", kKind, 1, 1, 1, 1, "axis p", infer_softmax, run_lp_normalization},
      {"", "MeanVarianceNormalization", kKind, 1, 1, 1, 1, "axes", infer_same, run_mean_variance},
      {"", "RMSNormalization", kKind, 2, 2, 1, 1, "axis epsilon stash_type", infer_same, run_rms_norm},
      {"", "Softmax", kKind, 1, 1, 1, 1, "axis", infer_softmax, run_softmax},
  };
  return rows;
}

}  // namespace lowbit
