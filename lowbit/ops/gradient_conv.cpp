// The gradients of convolutions, by oneDNN.
#include "lowbit/base/error.h"
#include "lowbit/ops/convolution.h"
#include "lowbit/ops/gradient.h"
#include "lowbit/ops/onednn.h"

namespace lowbit {
namespace {

using dnnl::memory;
using onednn::kFloat;
using onednn::plain_tag;
using Tag = memory::format_tag;

struct Shapes {
  memory::dims x, w, y, strides, dilations, begins, ends;

  Shapes(const ConvGeometry& g)
      : x{g.batch, g.groups * g.in_channels}, w{g.out_channels, g.in_channels}, y{g.batch, g.groups * g.out_channels} {
    if (g.groups > 1) w.insert(w.begin(), g.groups);
    for (const WindowAxis& axis : g.spatial) {
      x.push_back(axis.in);
      w.push_back(axis.kernel);
      y.push_back(axis.out);
      strides.push_back(axis.stride);
      dilations.push_back(axis.dilation - 1);
      begins.push_back(axis.pad_begin);
      ends.push_back(axis.pad_end);
    }
  }

  memory::desc any(const memory::dims& dims) const { return {dims, kFloat, Tag::any}; }
  memory::desc plain(const memory::dims& dims) const { return {dims, kFloat, plain_tag(dims.size())}; }
};

/// One pass: executes primitives on tensors in plain order, with copies in the layouts that oneDNN wants.
class Pass {
 public:
  memory in(const memory::desc& plain, const Tensor& tensor, const memory::desc& wanted) {
    memory given(plain, onednn::cpu_engine(), const_cast<float*>(tensor.data<float>()));
    if (plain == wanted) return given;
    memory result(wanted, onednn::cpu_engine());
    dnnl::reorder(given, result).execute(stream_, given, result);
    return result;
  }

  Tensor out(const memory::desc& plain, memory made, const Dims& dims) {
    Tensor result = Tensor::uninitialized(DType::float32, dims);
    memory target(plain, onednn::cpu_engine(), result.mutable_data<float>());
    dnnl::reorder(made, target).execute(stream_, made, target);
    stream_.wait();
    return result;
  }

  dnnl::stream& stream() { return stream_; }

 private:
  dnnl::stream stream_{onednn::cpu_engine()};
};

using Forward = dnnl::convolution_forward;

Forward::primitive_desc forward_of(const Shapes& s) {
  return {Forward::desc(dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct, s.any(s.x), s.any(s.w),
                        s.any(s.y), s.strides, s.dilations, s.begins, s.ends),
          onednn::own_scratchpad(), onednn::cpu_engine()};
}

Tensor by_input(const Shapes& s, const Tensor& w, const Tensor& gradient, const Dims& dims) {
  using Backward = dnnl::convolution_backward_data;
  const Backward::primitive_desc chosen(Backward::desc(dnnl::algorithm::convolution_direct, s.any(s.x), s.any(s.w),
                                                       s.any(s.y), s.strides, s.dilations, s.begins, s.ends),
                                        onednn::own_scratchpad(), onednn::cpu_engine(), forward_of(s));
  Pass pass;
  const memory weights = pass.in(s.plain(s.w), w, chosen.weights_desc());
  const memory from = pass.in(s.plain(s.y), gradient, chosen.diff_dst_desc());
  const memory made(chosen.diff_src_desc(), onednn::cpu_engine());
  const memory scratchpad(chosen.scratchpad_desc(), onednn::cpu_engine());
  Backward(chosen).execute(pass.stream(), {{DNNL_ARG_DIFF_DST, from},
                                           {DNNL_ARG_WEIGHTS, weights},
                                           {DNNL_ARG_DIFF_SRC, made},
                                           {DNNL_ARG_SCRATCHPAD, scratchpad}});
  return pass.out(s.plain(s.x), made, dims);
}

Tensor by_weights(const Shapes& s, const Tensor& x, const Tensor& gradient, const Dims& dims) {
  using Backward = dnnl::convolution_backward_weights;
  const Backward::primitive_desc chosen(Backward::desc(dnnl::algorithm::convolution_direct, s.any(s.x), s.any(s.w),
                                                       s.any(s.y), s.strides, s.dilations, s.begins, s.ends),
                                        onednn::own_scratchpad(), onednn::cpu_engine(), forward_of(s));
  Pass pass;
  const memory source = pass.in(s.plain(s.x), x, chosen.src_desc());
  const memory from = pass.in(s.plain(s.y), gradient, chosen.diff_dst_desc());
  const memory made(chosen.diff_weights_desc(), onednn::cpu_engine());
  const memory scratchpad(chosen.scratchpad_desc(), onednn::cpu_engine());
  Backward(chosen).execute(pass.stream(), {{DNNL_ARG_DIFF_DST, from},
                                           {DNNL_ARG_SRC, source},
                                           {DNNL_ARG_DIFF_WEIGHTS, made},
                                           {DNNL_ARG_SCRATCHPAD, scratchpad}});
  return pass.out(s.plain(s.w), made, dims);
}

}  // namespace

ConvGradients conv_gradients(const Node& node, const Tensor& x, const Tensor& w, const Tensor& gradient, bool want_x,
                             bool want_w) {
  const Shapes shapes(conv_geometry(node, x.dims(), w.dims()));
  const onednn::SingleThread single;
  ConvGradients result;
  try {
    if (want_x) result.x = by_input(shapes, w, gradient, x.dims());
    if (want_w) result.w = by_weights(shapes, x, gradient, w.dims());
  } catch (const dnnl::error&) {
    throw Error(ErrorCode::unsupported, "there is no gradient of this convolution", node.name);
  }
  return result;
}

}  // namespace lowbit
