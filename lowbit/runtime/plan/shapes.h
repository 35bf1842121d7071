// shapes.h: geometry of the graph's operators as the kernels take it.
#pragma once

#include "lowbit/kernels/qlayer.h"
#include "lowbit/ops/convolution.h"

namespace lowbit::plan {

/// The shape of a Conv of at most two spatial axes, channels last.
kernels::QLayerShape conv_shape(const ConvGeometry& geometry);

}  // namespace lowbit::plan
