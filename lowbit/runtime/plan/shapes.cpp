#include "lowbit/runtime/plan/shapes.h"

namespace lowbit::plan {

using kernels::QLayerShape;

QLayerShape conv_shape(const ConvGeometry& g) {
  const auto& [d, h, w] = g.axes;
  QLayerShape s;
  s.images = g.batch;
  s.height = h.in;
  s.width = w.in;
  s.in_channels = g.groups * g.in_channels;
  s.out_channels = g.groups * g.out_channels;
  s.groups = g.groups;
  s.kernel_h = h.kernel;
  s.kernel_w = w.kernel;
  s.stride_h = h.stride;
  s.stride_w = w.stride;
  s.dilation_h = h.dilation;
  s.dilation_w = w.dilation;
  s.pad_top = h.pad_begin;
  s.pad_left = w.pad_begin;
  s.out_height = h.out;
  s.out_width = w.out;
  return s;
}

}  // namespace lowbit::plan
