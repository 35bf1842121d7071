// convolution.h: checked geometry of Conv and ConvTranspose, shared by the references and the fast versions.
#pragma once

#include <array>

#include "lowbit/ops/window.h"

namespace lowbit {

/// x [batch, groups * in_channels, spatial], w [groups * out_channels, in_channels, kernel] (Conv) or
/// [groups * in_channels, out_channels, kernel] (ConvTranspose); channels are those of one group.
struct ConvGeometry {
  int64_t batch = 0, groups = 1, in_channels = 0, out_channels = 0;
  std::vector<WindowAxis> spatial;  ///< as many as the node has; transposed: in = small side, out = large side
  std::array<WindowAxis, 3> axes;   ///< the same for kernels of three axes

  Dims output_dims() const;
  int64_t in_size() const { return axes[0].in * axes[1].in * axes[2].in; }
  int64_t out_size() const { return axes[0].out * axes[1].out * axes[2].out; }
  int64_t kernel_size() const { return axes[0].kernel * axes[1].kernel * axes[2].kernel; }
};

/// Throws Error{bad_file} where node, input and weights do not fit, Error{unsupported} above three spatial axes.
ConvGeometry conv_geometry(const Node& node, const Dims& x, const Dims& w);
ConvGeometry conv_transpose_geometry(const Node& node, const Dims& x, const Dims& w);

}  // namespace lowbit
