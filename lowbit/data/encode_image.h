// encode_image.h: pixels to JPEG in memory.
#pragma once

#include <cstddef>
#include <vector>

#include "lowbit/data/resample.h"

namespace lowbit {

/// A JPEG of an RGB or grey picture; quality 1 to 100 as in libjpeg, colour at half resolution. Deterministic. Throws
/// Error{bad_argument} for another number of channels or a side above 65,500, Error{out_of_memory}.
std::vector<std::byte> encode_jpeg(const Picture<uint8_t>& picture, int quality);

}  // namespace lowbit
