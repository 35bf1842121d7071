#include "lowbit/data/resample.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

namespace lowbit {
namespace {

constexpr int kWeightBits = 22;

/// The inputs [first, first + weights.size()) of one output pixel. 8-bit pixels are weighted by fixed-point numbers,
/// so that their sums are exact.
template <typename T>
struct Tap {
  using Weight = std::conditional_t<std::is_same_v<T, uint8_t>, int32_t, double>;
  int64_t first = 0;
  std::vector<Weight> weights;
};

template <typename T>
std::vector<Tap<T>> make_taps(int64_t input, int64_t output) {
  const double scale = static_cast<double>(input) / static_cast<double>(output);
  const double half_width = std::max(1.0, scale);
  std::vector<Tap<T>> taps(static_cast<size_t>(output));
  std::vector<double> exact;
  for (int64_t i = 0; i < output; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    // Input pixels count by their centres, which lie at .5, hence the rounding of both ends.
    const int64_t begin = std::max<int64_t>(0, static_cast<int64_t>(center - half_width + 0.5));
    const int64_t end = std::min<int64_t>(input, static_cast<int64_t>(center + half_width + 0.5));
    exact.clear();
    double sum = 0;
    for (int64_t x = begin; x < end; ++x) {
      exact.push_back(std::max(0.0, 1.0 - std::abs((static_cast<double>(x) + 0.5 - center) / half_width)));
      sum += exact.back();
    }
    Tap<T>& tap = taps[static_cast<size_t>(i)];
    tap.first = begin;
    for (double weight : exact) {
      if constexpr (std::is_same_v<T, uint8_t>)
        tap.weights.push_back(static_cast<int32_t>(std::floor(weight / sum * (1 << kWeightBits) + 0.5)));
      else
        tap.weights.push_back(weight / sum);
    }
  }
  return taps;
}

/// sum of weights[k] * from[k * stride], rounded to T.
template <typename T>
T weighted(const T* from, int64_t stride, const Tap<T>& tap) {
  if constexpr (std::is_same_v<T, uint8_t>) {
    int32_t sum = 1 << (kWeightBits - 1);
    for (const int32_t weight : tap.weights) {
      sum += weight * *from;
      from += stride;
    }
    return static_cast<uint8_t>(std::clamp(sum >> kWeightBits, 0, 255));
  } else {
    double sum = 0;
    for (const double weight : tap.weights) {
      sum += weight * static_cast<double>(*from);
      from += stride;
    }
    return static_cast<T>(sum);
  }
}

template <typename T>
Picture<T> sized(int64_t width, int64_t height, int64_t channels) {
  return {width, height, channels, std::vector<T>(static_cast<size_t>(width * height * channels))};
}

template <typename T>
Picture<T> resize_rows(const Picture<T>& picture, int64_t width) {
  Picture<T> out = sized<T>(width, picture.height, picture.channels);
  const std::vector<Tap<T>> taps = make_taps<T>(picture.width, width);
  T* to = out.values.data();
  for (int64_t y = 0; y < picture.height; ++y) {
    const T* row = picture.values.data() + y * picture.width * picture.channels;
    for (const Tap<T>& tap : taps)
      for (int64_t c = 0; c < picture.channels; ++c)
        *to++ = weighted(row + tap.first * picture.channels + c, picture.channels, tap);
  }
  return out;
}

template <typename T>
Picture<T> resize_columns(const Picture<T>& picture, int64_t height) {
  Picture<T> out = sized<T>(picture.width, height, picture.channels);
  const std::vector<Tap<T>> taps = make_taps<T>(picture.height, height);
  const int64_t row = picture.width * picture.channels;
  T* to = out.values.data();
  for (const Tap<T>& tap : taps) {
    const T* from = picture.values.data() + tap.first * row;
    for (int64_t x = 0; x < row; ++x) *to++ = weighted(from + x, row, tap);
  }
  return out;
}

template <typename T>
T luma(T red, T green, T blue) {
  if constexpr (std::is_same_v<T, uint8_t>)
    return static_cast<uint8_t>((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16);
  else
    return static_cast<T>((red * 19595.0 + green * 38470.0 + blue * 7471.0) / 65536.0);
}

}  // namespace

template <typename T>
Picture<T> resize_bilinear(const Picture<T>& picture, int64_t width, int64_t height) {
  if (width == picture.width) return height == picture.height ? picture : resize_columns(picture, height);
  Picture<T> rows = resize_rows(picture, width);
  return height == picture.height ? rows : resize_columns(rows, height);
}

template <typename T>
Picture<T> crop(const Picture<T>& picture, int64_t left, int64_t top, int64_t width, int64_t height) {
  Picture<T> out = sized<T>(width, height, picture.channels);
  for (int64_t y = 0; y < height; ++y) {
    const T* from = picture.values.data() + ((top + y) * picture.width + left) * picture.channels;
    std::copy_n(from, width * picture.channels, out.values.data() + y * width * picture.channels);
  }
  return out;
}

template <typename T>
Picture<T> to_color(Picture<T> picture, Color color) {
  const int64_t channels = color == Color::grey ? 1 : 3;
  if (picture.channels == channels) {
    if (color == Color::bgr)
      for (size_t i = 0; i < picture.values.size(); i += 3) std::swap(picture.values[i], picture.values[i + 2]);
    return picture;
  }
  Picture<T> out = sized<T>(picture.width, picture.height, channels);
  const T* from = picture.values.data();
  for (size_t pixel = 0; pixel < static_cast<size_t>(picture.width * picture.height); ++pixel) {
    if (channels == 1)
      out.values[pixel] = luma(from[pixel * 3], from[pixel * 3 + 1], from[pixel * 3 + 2]);
    else
      std::fill_n(out.values.data() + pixel * 3, 3, from[pixel]);
  }
  return out;
}

template Picture<uint8_t> resize_bilinear(const Picture<uint8_t>&, int64_t, int64_t);
template Picture<float> resize_bilinear(const Picture<float>&, int64_t, int64_t);
template Picture<uint8_t> crop(const Picture<uint8_t>&, int64_t, int64_t, int64_t, int64_t);
template Picture<float> crop(const Picture<float>&, int64_t, int64_t, int64_t, int64_t);
template Picture<uint8_t> to_color(Picture<uint8_t>, Color);
template Picture<float> to_color(Picture<float>, Color);

}  // namespace lowbit
