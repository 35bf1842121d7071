#include <algorithm>
#include <string_view>

#include "lowbit/ops/accelerated_rows.h"
#include "lowbit/ops/convolution.h"
#include "lowbit/ops/dispatch.h"
#include "lowbit/ops/onednn.h"

namespace lowbit {

const dnnl::engine& onednn::cpu_engine() {
  static const dnnl::engine engine = [] {
    dnnl::set_primitive_cache_capacity(1024);
    return dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return engine;
}

namespace {

using dnnl::memory;
using onednn::kFloat;
using onednn::plain_tag;
using Tag = memory::format_tag;

/// In which order a convolution works on activations.
enum class Layout {
  plain,    ///< as they are
  blocked,  ///< reordered to oneDNN's own and back
  last,     ///< given and wanted as [H, W, C]
};

/// A convolution of one image.
class ImageConvolution {
 public:
  ImageConvolution(const ConvGeometry& g, Layout layout, bool relu) {
    memory::dims x{1, g.groups * g.in_channels}, y{1, g.groups * g.out_channels};
    memory::dims strides, dilations, begins, ends;
    if (g.groups > 1)
      weights_ = {g.groups, g.out_channels, g.in_channels};
    else
      weights_ = {g.out_channels, g.in_channels};
    for (const WindowAxis& axis : g.spatial) {
      x.push_back(axis.in);
      y.push_back(axis.out);
      weights_.push_back(axis.kernel);
      strides.push_back(axis.stride);
      dilations.push_back(axis.dilation - 1);
      begins.push_back(axis.pad_begin);
      ends.push_back(axis.pad_end);
    }
    x_ = memory::desc(x, kFloat, layout == Layout::last ? Tag::acdb : plain_tag(x.size()));
    y_ = memory::desc(y, kFloat, layout == Layout::last ? Tag::acdb : plain_tag(y.size()));
    bias_ = memory::desc({g.groups * g.out_channels}, kFloat, Tag::a);
    const memory::desc any_w(weights_, kFloat, Tag::any);
    const memory::desc any_x(x, kFloat, Tag::any), any_y(y, kFloat, Tag::any);
    const bool blocked = layout == Layout::blocked;
    const dnnl::convolution_forward::desc description(dnnl::prop_kind::forward_inference,
                                                      dnnl::algorithm::convolution_direct, blocked ? any_x : x_, any_w,
                                                      bias_, blocked ? any_y : y_, strides, dilations, begins, ends);
    dnnl::primitive_attr attributes = onednn::own_scratchpad();
    if (relu) {
      dnnl::post_ops after;
      after.append_eltwise(1, dnnl::algorithm::eltwise_relu, 0, 0);
      attributes.set_post_ops(after);
    }
    primitive_desc_ = {description, attributes, onednn::cpu_engine()};
    primitive_ = dnnl::convolution_forward(primitive_desc_);
  }

  /// Whether oneDNN has only its slow reference for this case.
  bool is_slow() const {
    return std::string_view(primitive_desc_.impl_info_str()).find("ref") != std::string_view::npos;
  }

  /// The weights in the layout that the primitive wants; may refer to `w`.
  memory prepare_weights(const float* w, ThreadPool& threads) const {
    const memory::desc from(weights_, kFloat, plain_tag(weights_.size())), to = primitive_desc_.weights_desc();
    const int64_t step = 64;  // output channels: a multiple of every block size
    if (weights_.size() != 4 || weights_[0] % step != 0 || from == to) return reordered(from, w, to);
    memory result(to, onednn::cpu_engine());
    threads.parallel_for(weights_[0] / step, [&](int64_t part) {
      const onednn::SingleThread single;
      memory::dims dims = weights_, offsets(4, 0);
      dims[0] = step;
      offsets[0] = part * step;
      memory source(from.submemory_desc(dims, offsets), onednn::cpu_engine(), const_cast<float*>(w));
      memory target(to.submemory_desc(dims, offsets), onednn::cpu_engine(), result.get_data_handle());
      dnnl::stream stream(onednn::cpu_engine());
      dnnl::reorder(source, target).execute(stream, source, target);
      stream.wait();
    });
    return result;
  }

  void run(const float* x, const memory& weights, const float* bias, float* y) const {
    dnnl::stream stream(onednn::cpu_engine());
    const memory source = reordered(x_, x, primitive_desc_.src_desc());
    const bool direct = primitive_desc_.dst_desc() == y_;
    memory plain(y_, onednn::cpu_engine(), y);
    memory target = direct ? plain : memory(primitive_desc_.dst_desc(), onednn::cpu_engine());
    const memory scratchpad(primitive_desc_.scratchpad_desc(), onednn::cpu_engine());
    primitive_.execute(stream, {{DNNL_ARG_SRC, source},
                                {DNNL_ARG_SCRATCHPAD, scratchpad},
                                {DNNL_ARG_WEIGHTS, weights},
                                {DNNL_ARG_BIAS, memory(bias_, onednn::cpu_engine(), const_cast<float*>(bias))},
                                {DNNL_ARG_DST, target}});
    if (!direct) dnnl::reorder(target, plain).execute(stream, target, plain);
    stream.wait();
  }

 private:
  static memory reordered(const memory::desc& from, const float* data, const memory::desc& to) {
    memory given(from, onednn::cpu_engine(), const_cast<float*>(data));
    if (from == to) return given;
    memory result(to, onednn::cpu_engine());
    dnnl::stream stream(onednn::cpu_engine());
    dnnl::reorder(given, result).execute(stream, given, result);
    stream.wait();
    return result;
  }

  memory::dims weights_;
  memory::desc x_, y_, bias_;
  dnnl::convolution_forward::primitive_desc primitive_desc_;
  dnnl::convolution_forward primitive_;
};

/// A 1x1 convolution with stride 1 is a matrix product on the layout as it is; for everything else reordering to
/// oneDNN's own layout and back pays.
bool is_product(const ConvGeometry& g) {
  const bool pointwise = std::all_of(g.spatial.begin(), g.spatial.end(), [](const WindowAxis& axis) {
    return axis.kernel == 1 && axis.stride == 1 && axis.pad_begin == 0 && axis.pad_end == 0;
  });
  return g.groups == 1 && pointwise;
}

/// Dims of an activation in the order ONNX means.
Dims logical_dims(const Tensor& x, bool channels_last) {
  const Dims& d = x.dims();
  return channels_last ? Dims{d[0], d[3], d[1], d[2]} : d;
}

bool run_conv(FastContext& context) {
  const Tensor &x = context.input(0), &w = context.input(1);
  const Tensor* bias = context.optional_input(2);
  if (x.dtype() != DType::float32 || w.dtype() != DType::float32 || (bias && bias->dtype() != DType::float32))
    return false;
  const bool last = context.channels_last;
  const ConvGeometry g = conv_geometry(context.node(), logical_dims(x, last), w.dims());
  const Dims out_dims = g.output_dims();
  const int64_t channels = g.groups * g.out_channels;
  if (element_count(out_dims) == 0 || x.count() == 0 || w.count() == 0) return false;
  if (bias && bias->dims() != Dims{channels}) return false;
  const std::vector<float> zeros(bias ? 0 : static_cast<size_t>(channels), 0.0f);
  const float* b = bias ? bias->data<float>() : zeros.data();
  const Dims stored = last ? Dims{out_dims[0], out_dims[2], out_dims[3], out_dims[1]} : out_dims;
  Tensor y = make_output(context.node(), DType::float32, stored);
  try {
    const onednn::SingleThread single;
    const Layout layout = last ? Layout::last : is_product(g) ? Layout::plain : Layout::blocked;
    const ImageConvolution convolution(g, layout, context.relu);
    if (last && convolution.is_slow()) return false;
    const memory weights = convolution.prepare_weights(w.data<float>(), context.threads());
    const float* from = x.data<float>();
    float* to = y.mutable_data<float>();
    const int64_t in_step = g.groups * g.in_channels * g.in_size(), out_step = channels * g.out_size();
    context.threads().parallel_for(g.batch, [&](int64_t n) {
      const onednn::SingleThread inner;
      convolution.run(from + n * in_step, weights, b, to + n * out_step);
    });
  } catch (const dnnl::error&) {
    return false;  // a geometry that oneDNN does not cover
  }
  context.set_output(0, std::move(y));
  return true;
}

}  // namespace

std::span<const AcceleratedRow> accelerated_convolutions() {
  static constexpr AcceleratedRow kRows[] = {{"Conv", run_conv, /*channels_last=*/true, /*relu=*/true}};
  return kRows;
}

}  // namespace lowbit
