// Conv, ConvTranspose (by its float form), Gemm and MatMul with constant weights in integers.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "lowbit/kernels/gemm_i16.h"
#include "lowbit/ops/convolution.h"
#include "lowbit/runtime/layer.h"
#include "lowbit/runtime/steps/steps.h"

namespace lowbit {
namespace {

constexpr int64_t kRowsPerTask = 64;
/// Groups with fewer output channels than this are computed directly: a matrix product of 16 columns would be mostly
/// padding.
constexpr int64_t kDirectChannels = 4;

DType output_dtype(const IntegerLayer& layer) { return layer.output ? code_dtype(*layer.output) : DType::float32; }

/// Takes the weights out of the layer: one copy of them is enough.
std::vector<std::vector<int16_t>> pack_groups(IntegerLayer& layer, int64_t groups) {
  const int64_t per_group = layer.channels / groups;
  std::vector<std::vector<int16_t>> packed(static_cast<size_t>(groups));
  for (int64_t g = 0; g < groups; ++g) {
    packed[static_cast<size_t>(g)].resize(kernels::gemm_packed_size(per_group, layer.k));
    kernels::gemm_pack(layer.weights.data() + g * per_group * layer.k, per_group, layer.k, layer.k,
                       packed[static_cast<size_t>(g)].data());
  }
  layer.weights = {};
  return packed;
}

/// Codes minus the zero point as int16.
std::vector<int16_t> centred(const Tensor& codes, int32_t zero_point, ThreadPool& threads) {
  std::vector<int16_t> result(static_cast<size_t>(codes.count()));
  threads.parallel_blocks(codes.count(), 1 << 15, [&](int64_t begin, int64_t end) {
    std::vector<int32_t> chunk(static_cast<size_t>(end - begin));
    load_codes(codes, begin, end - begin, chunk.data());
    for (int64_t i = begin; i < end; ++i)
      result[static_cast<size_t>(i)] = static_cast<int16_t>(chunk[static_cast<size_t>(i - begin)] - zero_point);
  });
  return result;
}

/// Rows [first, last) of the unrolled input of one image and group: row = output position, k in the order
/// [channel][kernel position].
void unroll(const ConvGeometry& g, const int16_t* x, int64_t first, int64_t last, int64_t row_length, int16_t* rows) {
  const auto& [d, h, w] = g.axes;
  for (int64_t p = first; p < last; ++p) {
    const int64_t ow = p % w.out, oh = p / w.out % h.out, od = p / w.out / h.out;
    int16_t* row = rows + (p - first) * row_length;
    for (int64_t c = 0; c < g.in_channels; ++c)
      for (int64_t kd = 0; kd < d.kernel; ++kd)
        for (int64_t kh = 0; kh < h.kernel; ++kh) {
          const int64_t zd = d.start(od) + kd * d.dilation, zh = h.start(oh) + kh * h.dilation;
          if (zd < 0 || zd >= d.in || zh < 0 || zh >= h.in) {
            row = std::fill_n(row, w.kernel, int16_t{0});
            continue;
          }
          const int16_t* line = x + ((c * d.in + zd) * h.in + zh) * w.in;
          for (int64_t kw = 0; kw < w.kernel; ++kw) {
            const int64_t zw = w.start(ow) + kw * w.dilation;
            *row++ = zw >= 0 && zw < w.in ? line[zw] : int16_t{0};
          }
        }
  }
}

/// One output channel computed tap by tap over whole lines: for depthwise and other small groups.
template <typename Acc>
void direct_channel(const ConvGeometry& g, const int16_t* x, const int16_t* weights, Acc bias, std::vector<Acc>& acc) {
  const auto& [d, h, w] = g.axes;
  acc.assign(static_cast<size_t>(g.out_size()), bias);
  for (int64_t c = 0; c < g.in_channels; ++c)
    for (int64_t kd = 0; kd < d.kernel; ++kd)
      for (int64_t kh = 0; kh < h.kernel; ++kh)
        for (int64_t kw = 0; kw < w.kernel; ++kw) {
          const Acc weight = *weights++;
          if (weight == 0) continue;
          for (int64_t od = 0; od < d.out; ++od)
            for (int64_t oh = 0; oh < h.out; ++oh) {
              const int64_t zd = d.start(od) + kd * d.dilation, zh = h.start(oh) + kh * h.dilation;
              if (zd < 0 || zd >= d.in || zh < 0 || zh >= h.in) continue;
              const int64_t shift = kw * w.dilation - w.pad_begin;
              const int64_t begin = shift < 0 ? (-shift + w.stride - 1) / w.stride : 0;
              const int64_t end = w.in - shift <= 0 ? 0 : std::min(w.out, (w.in - shift - 1) / w.stride + 1);
              const int16_t* line = x + ((c * d.in + zd) * h.in + zh) * w.in + shift;
              Acc* y = acc.data() + (od * h.out + oh) * w.out;
              for (int64_t ow = begin; ow < end; ++ow) y[ow] += weight * static_cast<Acc>(line[ow * w.stride]);
            }
        }
}

struct ConvStep {
  IntegerLayer layer;
  std::vector<std::vector<int16_t>> packed;  ///< by group; empty: direct
  ValueId x, y;
  const Node* node;
  Dims weight_dims;

  void run(Frame& frame) const {
    const Tensor& input = frame.at(x);
    const ConvGeometry g = conv_geometry(*node, input.dims(), weight_dims);
    Tensor out = Tensor::uninitialized(output_dtype(layer), g.output_dims());
    const std::vector<int16_t> values = centred(input, layer.input_zero_point, frame.threads);
    const int64_t images = g.batch * g.groups, image = g.in_channels * g.in_size();
    std::vector<int64_t> clipped(static_cast<size_t>(std::max<int64_t>(images, 1)), 0);
    std::byte* raw = out.mutable_raw();
    const bool counts = frame.clipped != nullptr;
    if (packed.empty()) {
      frame.threads.parallel_for(images, [&](int64_t i) {
        for (int64_t c = 0; c < g.out_channels; ++c)
          if (layer.needs_64_bits())
            direct<int64_t>(g, values.data() + i * image, i, c, raw, out.dtype(),
                            counts ? &clipped[static_cast<size_t>(i)] : nullptr);
          else
            direct<int32_t>(g, values.data() + i * image, i, c, raw, out.dtype(),
                            counts ? &clipped[static_cast<size_t>(i)] : nullptr);
      });
    } else {
      const int64_t row_length = kernels::gemm_padded_k(layer.k),
                    tasks = (g.out_size() + kRowsPerTask - 1) / kRowsPerTask;
      clipped.assign(static_cast<size_t>(images * tasks), 0);
      frame.threads.parallel_for(images * tasks, [&](int64_t t) {
        const int64_t i = t / tasks, first = t % tasks * kRowsPerTask,
                      last = std::min(first + kRowsPerTask, g.out_size()), group = i % g.groups;
        std::vector<int16_t> rows(static_cast<size_t>((last - first) * row_length));
        unroll(g, values.data() + i * image, first, last, row_length, rows.data());
        run_layer_rows(layer, packed[static_cast<size_t>(group)], group * g.out_channels, g.out_channels, last - first,
                       rows.data(), {raw, out.dtype(), i * g.out_channels * g.out_size() + first, 1, g.out_size()},
                       counts ? &clipped[static_cast<size_t>(t)] : nullptr);
      });
    }
    if (int64_t* total = frame.clipped_at(y)) *total += std::accumulate(clipped.begin(), clipped.end(), int64_t{0});
    frame.set(y, std::move(out));
  }

  template <typename Acc>
  void direct(const ConvGeometry& g, const int16_t* image, int64_t i, int64_t c, std::byte* raw, DType dtype,
              int64_t* clipped) const {
    const int64_t channel = i % g.groups * g.out_channels + c;
    std::vector<Acc> acc;
    direct_channel<Acc>(g, image, layer.weights.data() + channel * layer.k,
                        layer.bias.empty() ? Acc{0} : static_cast<Acc>(layer.bias[static_cast<size_t>(channel)]), acc);
    finish_rows(layer, acc.data(), 1, channel, g.out_size(), 1,
                {raw, dtype, (i * g.out_channels + c) * g.out_size(), 1, 1}, clipped);
  }
};

/// [rows][k] codes times the packed weights.
struct MatrixStep {
  IntegerLayer layer;
  std::vector<int16_t> packed;
  ValueId x, y;

  void run(Frame& frame) const {
    const Tensor& input = frame.at(x);
    if (input.rank() < 1 || input.dims().back() != layer.k)
      throw Error(ErrorCode::bad_argument, "the input " + dims_text(input.dims()) + " does not fit a weight of " +
                                               std::to_string(layer.k) + " rows");
    Dims dims = input.dims();
    dims.back() = layer.channels;
    Tensor out = Tensor::uninitialized(output_dtype(layer), dims);
    const int64_t rows = input.count() / layer.k, row_length = kernels::gemm_padded_k(layer.k),
                  tasks = (rows + kRowsPerTask - 1) / kRowsPerTask;
    std::vector<int64_t> clipped(static_cast<size_t>(tasks), 0);
    std::byte* raw = out.mutable_raw();
    frame.threads.parallel_for(tasks, [&](int64_t t) {
      const int64_t first = t * kRowsPerTask, count = std::min(kRowsPerTask, rows - first);
      std::vector<int32_t> codes(static_cast<size_t>(layer.k));
      std::vector<int16_t> a(static_cast<size_t>(count * row_length), 0);
      for (int64_t r = 0; r < count; ++r) {
        load_codes(input, (first + r) * layer.k, layer.k, codes.data());
        for (int64_t i = 0; i < layer.k; ++i)
          a[static_cast<size_t>(r * row_length + i)] =
              static_cast<int16_t>(codes[static_cast<size_t>(i)] - layer.input_zero_point);
      }
      run_layer_rows(layer, packed, 0, layer.channels, count, a.data(),
                     {raw, out.dtype(), first * layer.channels, layer.channels, 1},
                     frame.clipped ? &clipped[static_cast<size_t>(t)] : nullptr);
    });
    if (int64_t* total = frame.clipped_at(y)) *total += std::accumulate(clipped.begin(), clipped.end(), int64_t{0});
    frame.set(y, std::move(out));
  }
};

template <typename Made>
Step finish_step(const LowerContext& context, int32_t n, const FusedActivation& activation, Made made) {
  Step step;
  step.inputs = {made.x};
  step.outputs = {activation.output};
  step.nodes = {n};
  if (activation.node >= 0) step.nodes.push_back(activation.node);
  const Node& node = context.graph.nodes[static_cast<size_t>(n)];
  describe_layer(made.layer, *context.linear(node.input(0)), *context.linear(node.input(1)), node.op, step.info);
  step.run = [shared = std::make_shared<const Made>(std::move(made))](Frame& frame) { shared->run(frame); };
  return step;
}

}  // namespace

std::optional<Step> make_conv_step(const LowerContext& context, int32_t n, std::string& why) {
  const Node& node = context.graph.nodes[static_cast<size_t>(n)];
  const Tensor* weight = context.graph.constant(node.input(1));
  if (!weight || weight->rank() < 3) return why = "its weights are not constant", std::nullopt;
  const FusedActivation activation = fused_activation(context, node.outputs[0]);
  WeightOrder order;
  order.perm.resize(static_cast<size_t>(weight->rank()));
  std::iota(order.perm.begin(), order.perm.end(), int64_t{0});
  auto layer = make_integer_layer(context, node, node.input(2), order, activation, why);
  if (!layer) return std::nullopt;
  const int64_t groups = std::max<int64_t>(node.attr_int("group", 1), 1);
  if (layer->channels % groups != 0) return why = "its groups do not divide its channels", std::nullopt;
  ConvStep made{std::move(*layer), {}, node.inputs[0], activation.output, &node, weight->dims()};
  if (made.layer.channels / groups >= kDirectChannels) made.packed = pack_groups(made.layer, groups);
  return finish_step(context, n, activation, std::move(made));
}

std::optional<Step> make_matrix_step(const LowerContext& context, int32_t n, std::string& why) {
  const Node& node = context.graph.nodes[static_cast<size_t>(n)];
  const Tensor* weight = context.graph.constant(node.input(1));
  if (!weight || weight->rank() != 2) return why = "its second operand is no constant matrix", std::nullopt;
  const bool gemm = node.is("Gemm");
  if (gemm && (node.attr_float("alpha", 1) != 1 || node.attr_float("beta", 1) != 1 || node.attr_int("transA", 0) != 0))
    return why = "it scales or transposes its input", std::nullopt;
  const FusedActivation activation = fused_activation(context, node.outputs[0]);
  const WeightOrder order = gemm && node.attr_int("transB", 0) ? WeightOrder{{0, 1}, 1} : WeightOrder{{1, 0}, 1};
  const Tensor* bias = gemm ? context.graph.constant(node.input(2)) : nullptr;
  if (bias && bias->count() != 1 && bias->dims().back() != bias->count())
    return why = "its bias differs between rows", std::nullopt;
  auto layer = make_integer_layer(context, node, gemm ? node.input(2) : kNone, order, activation, why);
  if (!layer) return std::nullopt;
  MatrixStep made{std::move(*layer), {}, node.inputs[0], activation.output};
  made.packed = std::move(pack_groups(made.layer, 1)[0]);
  return finish_step(context, n, activation, std::move(made));
}

}  // namespace lowbit
