// window.h: geometry of operators that slide a window over the spatial axes (convolution, pooling): strides, dilations,
// explicit and automatic padding, all checked.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "lowbit/ops/op.h"

namespace lowbit {

/// One spatial axis with everything resolved.
struct WindowAxis {
  int64_t in = 1, out = 1, kernel = 1, stride = 1, dilation = 1, pad_begin = 0, pad_end = 0;

  int64_t extent() const { return (kernel - 1) * dilation + 1; }
  /// Input position of tap 0 at an output position; negative inside the padding.
  int64_t start(int64_t o) const { return o * stride - pad_begin; }
  /// The taps [first, last) that lie inside the input at an output position.
  std::array<int64_t, 2> taps(int64_t o) const {
    const int64_t at = start(o);
    const int64_t first = at < 0 ? (-at + dilation - 1) / dilation : 0;
    const int64_t last = at >= in ? 0 : std::min(kernel, (in - at + dilation - 1) / dilation);
    return {std::min(first, kernel), std::max(std::min(first, kernel), last)};
  }
};

/// The attributes of a node, before the sizes of its input are known.
class WindowRule {
 public:
  /// Reads strides, dilations, pads, auto_pad; `kernel` has one size per spatial axis. Throws Error{bad_file} unless
  /// everything is positive (pads: not negative), below 2^31, and there is one number per axis.
  WindowRule(const Node& node, std::vector<int64_t> kernel);

  size_t rank() const { return kernel_.size(); }
  /// Resolves one axis. With ceil_mode the last window may start inside the input and end outside. Throws
  /// Error{bad_file} if the window does not fit once.
  WindowAxis axis(size_t i, int64_t in, bool ceil_mode = false) const;
  /// The transposed direction: `in` is the size of the small side; `out` of the result the large one. Pads are those of
  /// the convolution it transposes. `output_size` < 0: by the formula.
  WindowAxis transposed_axis(size_t i, int64_t in, int64_t output_padding, int64_t output_size) const;
  /// Output size if the input size is known.
  Dim out_dim(size_t i, const Dim& in, bool ceil_mode = false) const {
    return in.known() ? Dim(axis(i, *in.size, ceil_mode).out) : Dim();
  }

 private:
  enum class AutoPad { none, same_upper, same_lower, valid };
  AutoPad auto_pad_ = AutoPad::none;
  std::vector<int64_t> kernel_, strides_, dilations_, pads_;
};

/// The axes of at most three spatial dimensions, right-aligned, the missing ones of size 1. Throws Error{unsupported}
/// for more.
std::array<WindowAxis, 3> three_axes(const std::vector<WindowAxis>& axes);

}  // namespace lowbit
