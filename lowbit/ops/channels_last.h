// channels_last.h: the order [N, H, W, C] in memory, in which the convolutions of oneDNN are fastest. The evaluator may
// keep values so between operators that can work on them; nobody else sees it. Functions on rank-4 tensors of any
// element type.
#pragma once

#include "lowbit/ops/op.h"

namespace lowbit {

/// [N, C, H, W] -> [N, H, W, C]. Tensors of lower rank are taken as [1 ..., dims], as broadcasting does.
Tensor to_channels_last(const Tensor& x, ThreadPool& threads);
/// [N, H, W, C] -> [N, C, H, W].
Tensor to_channels_first(const Tensor& x, ThreadPool& threads);

}  // namespace lowbit
