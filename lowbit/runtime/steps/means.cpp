// Average pooling and means in integers: the sum of codes is exact, one rounding at the end.
#include <algorithm>

#include <fmt/format.h>

#include "lowbit/ops/window.h"
#include "lowbit/runtime/steps/steps.h"

namespace lowbit {
namespace {

/// Spatial means and windows over a [planes][spatial] view of a [N, C, ...] tensor.
struct MeanStep {
  ValueId x, y;
  int32_t zero_point;
  float input_scale, output_scale;
  OutputCodes codes;
  DType dtype;
  bool keep_dims = true;
  const Node* window = nullptr;  ///< AveragePool; null: the mean over everything spatial

  int32_t mean(int64_t sum, int64_t n) const {
    return requantize(sum, input_scale / (output_scale * static_cast<float>(n)), codes);
  }

  void run(Frame& frame) const {
    const Tensor& input = frame.at(x);
    const int64_t planes = input.dim(0) * input.dim(1), size = planes > 0 ? input.count() / planes : 0;
    std::vector<int32_t> values(static_cast<size_t>(input.count()));
    load_codes(input, 0, input.count(), values.data());
    for (int32_t& value : values) value -= zero_point;
    Dims dims{input.dim(0), input.dim(1)};
    std::vector<int32_t> results;
    if (window) {
      pool(frame, input, values, planes, size, dims, results);
    } else {
      if (keep_dims) dims.resize(input.dims().size(), 1);
      for (int64_t p = 0; p < planes; ++p) {
        int64_t sum = 0;
        for (int64_t i = 0; i < size; ++i) sum += values[static_cast<size_t>(p * size + i)];
        results.push_back(mean(sum, size));
      }
    }
    Tensor out = Tensor::uninitialized(dtype, dims);
    store_codes(results.data(), 0, out.count(), out);
    frame.set(y, std::move(out));
  }

  void pool(Frame& frame, const Tensor& input, const std::vector<int32_t>& values, int64_t planes, int64_t size,
            Dims& dims, std::vector<int32_t>& results) const {
    const WindowRule rule(*window, window->attr_ints("kernel_shape"));
    const bool ceil_mode = window->attr_int("ceil_mode", 0) != 0,
               count_pads = window->attr_int("count_include_pad", 0) != 0;
    std::vector<WindowAxis> spatial;
    for (size_t i = 0; i < rule.rank(); ++i) {
      spatial.push_back(rule.axis(i, input.dim(static_cast<int64_t>(i) + 2), ceil_mode));
      dims.push_back(spatial.back().out);
    }
    const auto axes = three_axes(spatial);
    const auto& [d, h, w] = axes;
    const int64_t out_size = d.out * h.out * w.out;
    results.resize(static_cast<size_t>(planes * out_size));
    // The number of padded positions that count: those inside the padded input.
    const auto counted = [&](const WindowAxis& axis, int64_t o) {
      const auto [first, last] = axis.taps(o);
      if (!count_pads) return last - first;
      int64_t n = 0;
      for (int64_t k = 0; k < axis.kernel; ++k) n += axis.start(o) + k * axis.dilation < axis.in + axis.pad_end;
      return n;
    };
    frame.threads.parallel_for(planes, [&](int64_t p) {
      const int32_t* plane = values.data() + p * size;
      int64_t at = p * out_size;
      for (int64_t od = 0; od < d.out; ++od)
        for (int64_t oh = 0; oh < h.out; ++oh)
          for (int64_t ow = 0; ow < w.out; ++ow) {
            int64_t sum = 0;
            const auto [d0, d1] = d.taps(od);
            const auto [h0, h1] = h.taps(oh);
            const auto [w0, w1] = w.taps(ow);
            for (int64_t kd = d0; kd < d1; ++kd)
              for (int64_t kh = h0; kh < h1; ++kh)
                for (int64_t kw = w0; kw < w1; ++kw)
                  sum += plane[((d.start(od) + kd * d.dilation) * h.in + h.start(oh) + kh * h.dilation) * w.in +
                               w.start(ow) + kw * w.dilation];
            const int64_t n = counted(d, od) * counted(h, oh) * counted(w, ow);
            results[static_cast<size_t>(at++)] = mean(sum, std::max<int64_t>(n, 1));
          }
    });
  }
};

/// True if ReduceMean runs over all spatial axes of a [N, C, spatial...] value.
bool reduces_spatial(const Graph& graph, const Node& node) {
  const auto& shape = graph.value(node.inputs[0]).shape;
  const Tensor* axes = graph.constant(node.input(1));
  if (!shape || shape->size() < 3 || !axes) return false;
  const int64_t rank = static_cast<int64_t>(shape->size());
  std::vector<int64_t> wanted, given;
  for (int64_t a = 2; a < rank; ++a) wanted.push_back(a);
  for (int64_t a : to_int64(*axes)) given.push_back(a < 0 ? a + rank : a);
  std::sort(given.begin(), given.end());
  return given == wanted;
}

}  // namespace

std::optional<Step> make_mean_step(const LowerContext& context, int32_t n, std::string& why) {
  const Node& node = context.graph.nodes[static_cast<size_t>(n)];
  const Quantization *x = context.per_tensor(node.input(0)), *y = context.per_tensor(node.output());
  if (!x) return why = "its input stays float", std::nullopt;
  if (!y) return why = "its result stays float", std::nullopt;
  if (node.is("ReduceMean") && !reduces_spatial(context.graph, node))
    return why = "it is no mean over the spatial axes", std::nullopt;
  MeanStep made{node.inputs[0],
                node.outputs[0],
                x->linear_at(0).zero_point,
                x->linear_at(0).scale,
                y->linear_at(0).scale,
                output_codes(*y, {}),
                code_dtype(*y),
                node.attr_int("keepdims", 1) != 0,
                node.is("AveragePool") ? &node : nullptr};
  Step step;
  step.inputs = {made.x};
  step.outputs = {made.y};
  step.nodes = {n};
  step.info.integer = true;
  step.info.kernel = fmt::format("mean {} -> {}", to_string(x->format), to_string(y->format));
  step.run = [shared = std::make_shared<const MeanStep>(std::move(made))](Frame& frame) { shared->run(frame); };
  return step;
}

}  // namespace lowbit
