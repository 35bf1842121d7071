// resample.h: the geometry and colour of decoded pictures: bilinear resizing with an antialiasing triangle, as the
// published preprocessing of most networks did it, centre crops and channel order.
#pragma once

#include <cstdint>
#include <vector>

#include "lowbit/data/preprocess.h"

namespace lowbit {

/// Interleaved channels, row-major: value(x, y, c) = values[(y * width + x) * channels + c].
template <typename T>
struct Picture {
  int64_t width = 0, height = 0, channels = 0;
  std::vector<T> values;
};

/// Resizes to width x height (both >= 1). Along each axis, first horizontally, an output pixel is the mean of the input
/// pixels weighted by a triangle around its centre whose half-width is max(1, input size / output size), normalised to
/// 1. uint8: both passes round half up to 8 bits, with weights of 22 fractional bits; float: no rounding of the kind.
/// Deterministic. Defined for uint8_t and float.
template <typename T>
Picture<T> resize_bilinear(const Picture<T>& picture, int64_t width, int64_t height);

/// The part [left, left + width) x [top, top + height), which must lie inside the picture.
template <typename T>
Picture<T> crop(const Picture<T>& picture, int64_t left, int64_t top, int64_t width, int64_t height);

enum class Color : uint8_t { rgb, bgr, grey };

/// From RGB or grey to `color`. Grey of RGB is the luma of ITU-R BT.601, for uint8
/// (19595 R + 38470 G + 7471 B + 32768) >> 16; colour of grey repeats it in every channel.
template <typename T>
Picture<T> to_color(Picture<T> picture, Color color);

}  // namespace lowbit
