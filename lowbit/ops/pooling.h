// pooling.h: checked geometry of the pooling operators, shared by the references and the fast versions.
#pragma once

#include <array>
#include <vector>

#include "lowbit/ops/window.h"

namespace lowbit {

/// x [planes, spatial]; planes = batch * channels.
struct PoolGeometry {
  int64_t planes = 0;
  std::array<WindowAxis, 3> axes;  ///< right-aligned
  Dims out;

  int64_t in_size() const { return axes[0].in * axes[1].in * axes[2].in; }
  int64_t out_size() const { return axes[0].out * axes[1].out * axes[2].out; }
};

/// From kernel_shape and the window attributes. Throws Error{bad_file} where they do not fit the input.
PoolGeometry pool_geometry(const Node& node, const Dims& x);

/// Number of taps at one position of an axis inside the input enlarged by its padding (count_include_pad).
int64_t padded_taps(const WindowAxis& axis, int64_t o);

}  // namespace lowbit
