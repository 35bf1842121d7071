#include <algorithm>
#include <limits>
#include <span>

#include "lowbit/ops/accelerated_rows.h"
#include "lowbit/ops/dispatch.h"
#include "lowbit/ops/pooling.h"

namespace lowbit {
namespace {

struct Largest {
  static constexpr float kStart = std::numeric_limits<float>::lowest();
  static float join(float a, float b) { return b > a ? b : a; }
};

struct Total {
  static constexpr float kStart = 0;
  static float join(float a, float b) { return a + b; }
};

/// Joins the taps of one row of outputs: first over whole input rows, which the compiler vectorises, then along the
/// joined row.
template <typename Join>
void pool_row(const PoolGeometry& g, const float* plane, int64_t od, int64_t oh, std::vector<float>& joined, float* y) {
  const auto& [d, h, v] = g.axes;
  const auto [d0, d1] = d.taps(od);
  const auto [h0, h1] = h.taps(oh);
  std::fill(joined.begin(), joined.end(), Join::kStart);
  float* row = joined.data();
  for (int64_t kd = d0; kd < d1; ++kd)
    for (int64_t kh = h0; kh < h1; ++kh) {
      const float* from = plane + ((d.start(od) + kd * d.dilation) * h.in + h.start(oh) + kh * h.dilation) * v.in;
      for (int64_t i = 0; i < v.in; ++i) row[i] = Join::join(row[i], from[i]);
    }
  for (int64_t ov = 0; ov < v.out; ++ov) {
    const auto [v0, v1] = v.taps(ov);
    float result = Join::kStart;
    for (int64_t kv = v0; kv < v1; ++kv) result = Join::join(result, row[v.start(ov) + kv * v.dilation]);
    y[ov] = result;
  }
}

/// Calls finish(row of outputs, od, oh) after each row.
template <typename Join, typename Finish>
void pool(EvalContext& context, const PoolGeometry& g, Finish finish) {
  const float* x = context.input(0).data<float>();
  Tensor y = make_output(context.node(), DType::float32, g.out);
  float* out = y.mutable_data<float>();
  const WindowAxis &d = g.axes[0], &h = g.axes[1], &v = g.axes[2];
  context.threads().parallel_for(g.planes, [&](int64_t plane) {
    std::vector<float> joined(static_cast<size_t>(v.in));
    float* to = out + plane * g.out_size();
    for (int64_t od = 0; od < d.out; ++od)
      for (int64_t oh = 0; oh < h.out; ++oh, to += v.out) {
        pool_row<Join>(g, x + plane * g.in_size(), od, oh, joined, to);
        finish(to, od, oh);
      }
  });
  context.set_output(0, std::move(y));
}

/// Joins the taps of one output position, all channels at once.
template <typename Join>
void pool_pixel(const WindowAxis& h, const WindowAxis& v, int64_t channels, const float* image, int64_t oh, int64_t ov,
                float* y) {
  const auto [h0, h1] = h.taps(oh);
  const auto [v0, v1] = v.taps(ov);
  std::fill_n(y, channels, Join::kStart);
  for (int64_t kh = h0; kh < h1; ++kh)
    for (int64_t kv = v0; kv < v1; ++kv) {
      const float* from = image + ((h.start(oh) + kh * h.dilation) * v.in + v.start(ov) + kv * v.dilation) * channels;
      for (int64_t c = 0; c < channels; ++c) y[c] = Join::join(y[c], from[c]);
    }
}

/// x [N, H, W, C]. Calls finish(pixel, oh, ov) after each output position.
template <typename Join, typename Finish>
void pool_last(FastContext& context, Finish finish) {
  const Tensor& x = context.input(0);
  const int64_t images = x.dim(0), channels = x.dim(3), in_size = x.dim(1) * x.dim(2) * channels;
  const PoolGeometry g = pool_geometry(context.node(), {images, channels, x.dim(1), x.dim(2)});
  const WindowAxis &h = g.axes[1], &v = g.axes[2];
  Tensor y = make_output(context.node(), DType::float32, {images, h.out, v.out, channels});
  const float* from = x.data<float>();
  float* out = y.mutable_data<float>();
  context.threads().parallel_for(images * h.out, [&](int64_t row) {
    float* to = out + row * v.out * channels;
    for (int64_t ov = 0; ov < v.out; ++ov, to += channels) {
      pool_pixel<Join>(h, v, channels, from + row / h.out * in_size, row % h.out, ov, to);
      finish(std::span(to, static_cast<size_t>(channels)), row % h.out, ov);
    }
  });
  context.set_output(0, std::move(y));
}

bool run_max(FastContext& context) {
  if (context.input(0).dtype() != DType::float32 || context.wants_output(1)) return false;
  if (context.channels_last) {
    pool_last<Largest>(context, [](std::span<float>, int64_t, int64_t) {});
    return true;
  }
  pool<Largest>(context, pool_geometry(context.node(), context.input(0).dims()), [](float*, int64_t, int64_t) {});
  return true;
}

/// For each output position of an axis the number of taps that the mean divides by.
std::vector<float> tap_counts(const WindowAxis& axis, bool with_padding) {
  std::vector<float> counts;
  for (int64_t o = 0; o < axis.out; ++o) {
    const auto [first, last] = axis.taps(o);
    counts.push_back(static_cast<float>(with_padding ? padded_taps(axis, o) : last - first));
  }
  return counts;
}

bool run_average(FastContext& context) {
  if (context.input(0).dtype() != DType::float32) return false;
  const Dims& given = context.input(0).dims();
  const PoolGeometry g =
      pool_geometry(context.node(), context.channels_last ? Dims{given[0], given[3], given[1], given[2]} : given);
  const bool with_padding = context.node().attr_int("count_include_pad", 0) != 0;
  std::array<std::vector<float>, 3> counts;
  for (size_t i = 0; i < 3; ++i) counts[i] = tap_counts(g.axes[i], with_padding);
  if (context.channels_last) {
    pool_last<Total>(context, [&](std::span<float> pixel, int64_t oh, int64_t ov) {
      const float count = counts[1][static_cast<size_t>(oh)] * counts[2][static_cast<size_t>(ov)];
      for (float& sum : pixel) sum = count > 0 ? sum / count : 0.0f;
    });
    return true;
  }
  pool<Total>(context, g, [&](float* row, int64_t od, int64_t oh) {
    const float outer = counts[0][static_cast<size_t>(od)] * counts[1][static_cast<size_t>(oh)];
    for (size_t i = 0; i < counts[2].size(); ++i) {
      const float count = outer * counts[2][i];
      row[i] = count > 0 ? row[i] / count : 0.0f;
    }
  });
  return true;
}

/// x [N, H, W, C] only; planes that lie together are the reference's.
bool run_global_average(FastContext& context) {
  const Tensor& x = context.input(0);
  if (!context.channels_last || x.dtype() != DType::float32 || x.count() == 0) return false;
  const int64_t channels = x.dim(3), pixels = x.dim(1) * x.dim(2);
  Tensor y = make_output(context.node(), DType::float32, {x.dim(0), 1, 1, channels});
  const float* from = x.data<float>();
  float* out = y.mutable_data<float>();
  context.threads().parallel_for(x.dim(0), [&](int64_t image) {
    std::vector<double> sums(static_cast<size_t>(channels));
    const float* pixel = from + image * pixels * channels;
    for (int64_t i = 0; i < pixels; ++i, pixel += channels)
      for (size_t c = 0; c < sums.size(); ++c) sums[c] += static_cast<double>(pixel[c]);
    for (size_t c = 0; c < sums.size(); ++c)
      out[image * channels + static_cast<int64_t>(c)] = static_cast<float>(sums[c] / static_cast<double>(pixels));
  });
  context.set_output(0, std::move(y));
  return true;
}

}  // namespace

std::span<const AcceleratedRow> accelerated_pools() {
  static constexpr AcceleratedRow kRows[] = {{"AveragePool", run_average, /*channels_last=*/true},
                                             {"GlobalAveragePool", run_global_average, /*channels_last=*/true},
                                             {"MaxPool", run_max, /*channels_last=*/true}};
  return kRows;
}

}  // namespace lowbit
