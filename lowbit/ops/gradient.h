// gradient.h: derivatives of single operators, for methods that learn. Reverse mode: given the gradient of some loss by
// a node's result, those by its inputs. Only what trained networks are made of has a row; everything else has none, and
// who learns says so. On the calling thread alone: callers spread samples over threads.
#pragma once

#include <vector>

#include "lowbit/core/graph.h"

namespace lowbit {

struct GradientContext {
  const Node& node;
  std::vector<const Tensor*> inputs;  ///< as the node saw them, float32; null where absent
  const Tensor& output;               ///< its first result
  const Tensor& gradient;             ///< dL / d output, of its shape
  std::vector<char> wanted;           ///< by input: whether dL / d input is asked for
};

/// Whether gradients() knows the operator.
bool has_gradient(const Node& node);

/// dL / d input of every input that is wanted and can carry one; undefined tensors elsewhere. At a kink (Relu at 0, the
/// ends of Clip) the gradient is that of the flat side; of equal maxima of a window the first gets all.
/// Throws Error{unsupported} where has_gradient() is false, and for convolutions that oneDNN does not cover.
std::vector<Tensor> gradients(const GradientContext& context);

/// Convolution: dL/dx [as x] and dL/dw [as w], each undefined unless wanted.
struct ConvGradients {
  Tensor x, w;
};
ConvGradients conv_gradients(const Node& node, const Tensor& x, const Tensor& w, const Tensor& gradient, bool want_x,
                             bool want_w);

}  // namespace lowbit
