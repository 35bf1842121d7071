#include <algorithm>

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
using Tag = memory::format_tag;

constexpr auto kFloat = memory::data_type::f32;

/// Row-major layout of rank 3 to 6 (oneDNN's plain tags).
Tag plain_tag(size_t rank) {
  constexpr Tag kTags[] = {Tag::a, Tag::ab, Tag::abc, Tag::abcd, Tag::abcde, Tag::abcdef};
  return kTags[rank - 1];
}

/// A convolution of one image.
class ImageConvolution {
 public:
  ImageConvolution(const ConvGeometry& g, bool blocked) {
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
    x_ = memory::desc(x, kFloat, plain_tag(x.size()));
    y_ = memory::desc(y, kFloat, plain_tag(y.size()));
    bias_ = memory::desc({g.groups * g.out_channels}, kFloat, Tag::a);
    const memory::desc any_w(weights_, kFloat, Tag::any);
    const memory::desc any_x(x, kFloat, Tag::any), any_y(y, kFloat, Tag::any);
    const dnnl::convolution_forward::desc description(dnnl::prop_kind::forward_inference,
                                                      dnnl::algorithm::convolution_direct, blocked ? any_x : x_, any_w,
                                                      bias_, blocked ? any_y : y_, strides, dilations, begins, ends);
    primitive_desc_ = {description, onednn::own_scratchpad(), onednn::cpu_engine()};
    primitive_ = dnnl::convolution_forward(primitive_desc_);
  }

  /// The weights in the layout that the primitive wants; may refer to `w`.
  memory prepare_weights(const float* w) const {
    return reordered({weights_, kFloat, plain_tag(weights_.size())}, w, primitive_desc_.weights_desc());
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

/// Whether reordering to oneDNN's own layout and back pays. A 1x1 convolution with stride 1 is a matrix product on the
/// layout as it is; everything else is much slower without.
bool prefers_blocked(const ConvGeometry& g) {
  const bool pointwise = std::all_of(g.spatial.begin(), g.spatial.end(), [](const WindowAxis& axis) {
    return axis.kernel == 1 && axis.stride == 1 && axis.pad_begin == 0 && axis.pad_end == 0;
  });
  return g.groups > 1 || !pointwise;
}

bool run_conv(EvalContext& context) {
  const Tensor &x = context.input(0), &w = context.input(1);
  const Tensor* bias = context.optional_input(2);
  if (x.dtype() != DType::float32 || w.dtype() != DType::float32 || (bias && bias->dtype() != DType::float32))
    return false;
  const ConvGeometry g = conv_geometry(context.node(), x.dims(), w.dims());
  const Dims out_dims = g.output_dims();
  const int64_t channels = g.groups * g.out_channels;
  if (element_count(out_dims) == 0 || x.count() == 0 || w.count() == 0) return false;
  if (bias && bias->dims() != Dims{channels}) return false;
  const std::vector<float> zeros(bias ? 0 : static_cast<size_t>(channels), 0.0f);
  const float* b = bias ? bias->data<float>() : zeros.data();
  Tensor y = make_output(context.node(), DType::float32, out_dims);
  try {
    const onednn::SingleThread single;
    const ImageConvolution convolution(g, prefers_blocked(g));
    const memory weights = convolution.prepare_weights(w.data<float>());
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
  static constexpr AcceleratedRow kRows[] = {{"Conv", run_conv}};
  return kRows;
}

}  // namespace lowbit
