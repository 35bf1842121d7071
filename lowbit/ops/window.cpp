#include "lowbit/ops/window.h"

#include "lowbit/ops/op_helpers.h"

namespace lowbit {
namespace {

constexpr int64_t kLimit = int64_t{1} << 31;

void check_range(std::string_view what, const std::vector<int64_t>& numbers, size_t count, int64_t least) {
  require(numbers.size() == count, "{} has {} numbers, but {} are needed", what, numbers.size(), count);
  for (int64_t n : numbers) require(n >= least && n < kLimit, "{} holds {}, which makes no sense", what, n);
}

}  // namespace

WindowRule::WindowRule(const Node& node, std::vector<int64_t> kernel) : kernel_(std::move(kernel)) {
  const size_t rank = kernel_.size();
  strides_ = node.attr_ints("strides", std::vector<int64_t>(rank, 1));
  dilations_ = node.attr_ints("dilations", std::vector<int64_t>(rank, 1));
  pads_ = node.attr_ints("pads", std::vector<int64_t>(2 * rank, 0));
  check_range("the kernel shape", kernel_, rank, 1);
  check_range("strides", strides_, rank, 1);
  check_range("dilations", dilations_, rank, 1);
  check_range("pads", pads_, 2 * rank, 0);
  for (size_t i = 0; i < rank; ++i)
    require((kernel_[i] - 1) < kLimit / dilations_[i], "kernel {} with dilation {} is too large", kernel_[i],
            dilations_[i]);
  const std::string mode = node.attr_string("auto_pad", "NOTSET");
  if (mode == "SAME_UPPER")
    auto_pad_ = AutoPad::same_upper;
  else if (mode == "SAME_LOWER")
    auto_pad_ = AutoPad::same_lower;
  else if (mode == "VALID")
    auto_pad_ = AutoPad::valid;
  else
    require(mode == "NOTSET" || mode.empty(), "auto_pad '{}' is none of NOTSET, SAME_UPPER, SAME_LOWER, VALID", mode);
}

WindowAxis WindowRule::axis(size_t i, int64_t in, bool ceil_mode) const {
  require(in >= 0 && in < kLimit, "a spatial dimension is {}", in);
  WindowAxis axis{in, 0, kernel_[i], strides_[i], dilations_[i], 0, 0};
  if (auto_pad_ == AutoPad::none) {
    axis.pad_begin = pads_[i];
    axis.pad_end = pads_[i + rank()];
  } else if (auto_pad_ != AutoPad::valid) {
    const int64_t out = (in + axis.stride - 1) / axis.stride;
    const int64_t total = std::max<int64_t>(0, (out - 1) * axis.stride + axis.extent() - in);
    axis.pad_begin = auto_pad_ == AutoPad::same_upper ? total / 2 : total - total / 2;
    axis.pad_end = total - axis.pad_begin;
  }
  const int64_t room = in + axis.pad_begin + axis.pad_end - axis.extent();
  require(room >= 0, "the window of {} does not fit into the input of {} with padding {} + {}", axis.extent(), in,
          axis.pad_begin, axis.pad_end);
  axis.out = room / axis.stride + 1;
  // A window that would start in the padding behind the input is left out.
  if (ceil_mode && room % axis.stride != 0 && axis.start(axis.out) < in) ++axis.out;
  return axis;
}

WindowAxis WindowRule::transposed_axis(size_t i, int64_t in, int64_t output_padding, int64_t output_size) const {
  require(in >= 1 && in < kLimit, "a spatial dimension is {}", in);
  require(output_padding >= 0 && output_padding < kLimit, "output_padding holds {}", output_padding);
  require(output_size < kLimit, "output_shape holds {}", output_size);
  WindowAxis axis{in, 0, kernel_[i], strides_[i], dilations_[i], 0, 0};
  const int64_t full = axis.stride * (in - 1) + output_padding + axis.extent();
  const bool same = auto_pad_ == AutoPad::same_upper || auto_pad_ == AutoPad::same_lower;
  if (output_size < 0 && same) output_size = in * axis.stride;
  if (output_size < 0) {
    axis.pad_begin = auto_pad_ == AutoPad::none ? pads_[i] : 0;
    axis.pad_end = auto_pad_ == AutoPad::none ? pads_[i + rank()] : 0;
    axis.out = full - axis.pad_begin - axis.pad_end;
  } else {
    const int64_t total = std::max<int64_t>(0, full - output_size);
    axis.pad_begin = auto_pad_ == AutoPad::same_upper ? total / 2 : total - total / 2;
    axis.pad_end = total - axis.pad_begin;
    axis.out = output_size;
  }
  require(axis.out >= 1, "the padding {} + {} leaves no output", axis.pad_begin, axis.pad_end);
  return axis;
}

std::array<WindowAxis, 3> three_axes(const std::vector<WindowAxis>& axes) {
  if (axes.size() > 3) unsupported("{} spatial dimensions; this build handles at most 3", axes.size());
  std::array<WindowAxis, 3> result;
  std::copy(axes.begin(), axes.end(), result.end() - static_cast<std::ptrdiff_t>(axes.size()));
  return result;
}

}  // namespace lowbit
