// preprocess.h: from a decoded picture to the tensor that a model takes, written as key=value pairs in the order they
// are applied.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "lowbit/core/tensor.h"

namespace lowbit {

template <typename T>
struct Picture;  // resample.h

/// Decoded picture: 8 bits per channel, HWC, RGB or grey.
struct Image {
  int64_t width = 0, height = 0, channels = 0;
  std::vector<uint8_t> pixels;
};

struct Preprocess {
  struct Step {
    enum class Kind : uint8_t { color, short_side, resize, crop, range, mean, std, layout } kind;
    std::string text;  ///< color: rgb|bgr|grey; layout: nhwc|nchw
    std::vector<double>
        numbers;  ///< short: {N}; resize, crop: {W, H}; range: {A, B}; mean, std: per channel (or one for all)
  };
  std::vector<Step> steps;
};

/// "color=rgb,short=256,crop=224x224,range=0..255,mean=127.5:127.5:127.5,std=...,layout=nhwc", or the name of a file
/// that holds it (one line or one pair a line, # comments). Every key at most once. Throws Error{bad_argument} naming
/// the key and the nearest known ones, or the value and what it must be; Error{bad_file} if the file cannot be read.
Preprocess parse_preprocess(const std::string& file_or_spec);
/// The spec that parse_preprocess() turns into the same steps.
std::string to_string(const Preprocess& preprocess);

/// float32 [H, W, C] or [C, H, W] (layout; default nhwc), without a batch dimension. Steps are applied in their order:
///   color        without this step pictures become rgb; grey is the ITU-R BT.601 luma
///   short=N      the shorter side becomes N, the longer one floor(N * long / short); bilinear, antialiased
///   resize=WxH   bilinear, antialiased, whatever the aspect
///   crop=WxH     the centre; the left and top border are (size - crop) / 2, rounded half to even
///   range=A..B   v -> A + v * (B - A) / 255
///   mean, std    v -> v - mean, v -> v / std
/// Until the first of range, mean and std, pixels are 8-bit integers, as in PIL and OpenCV; from there on float32.
/// Throws Error{bad_argument} if a crop is larger than the picture or the numbers do not fit the channels;
/// Error{bad_file} if the resized picture would have more than 100 million pixels.
/// `edit`, if given, changes the pixels before the first of range, mean and std, or at the end: it may not change the
/// size.
Tensor apply_preprocess(const Preprocess& preprocess, const Image& image,
                        const std::function<void(Picture<uint8_t>&)>& edit = {});

enum class PictureKind : uint8_t { none, jpeg, png };
/// What the first bytes say.
PictureKind picture_kind(Bytes bytes);

/// JPEG or PNG by content, at most `max_pixels`; nothing is allocated before that is checked. JPEG: grey, colour and
/// CMYK; orientation tags and colour profiles are ignored. PNG: 1 to 16 bits (of 16 the high byte counts), grey,
/// colour and palette; alpha is dropped, not blended. Truncated or damaged data are errors, never made-up pixels.
/// Thread-safe. Throws Error{bad_file} naming `path`.
Image decode_image(Bytes bytes, const std::string& path, int64_t max_pixels = 100'000'000);

}  // namespace lowbit
