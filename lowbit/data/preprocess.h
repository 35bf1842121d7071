// preprocess.h: from a decoded picture to the tensor that a model takes, written as key=value pairs in the order they are applied.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "lowbit/core/tensor.h"

namespace lowbit {

/// Decoded picture: 8 bits per channel, HWC, RGB or grey.
struct Image {
  int64_t width = 0, height = 0, channels = 0;
  std::vector<uint8_t> pixels;
};

struct Preprocess {
  struct Step {
    enum class Kind : uint8_t { color, short_side, resize, crop, range, mean, std, layout } kind;
    std::string text;             ///< color: rgb|bgr|grey; layout: nhwc|nchw
    std::vector<double> numbers;  ///< short: {N}; resize, crop: {W, H}; range: {A, B}; mean, std: per channel (or one for all)
  };
  std::vector<Step> steps;
};

/// "color=rgb,short=256,crop=224x224,range=0..255,mean=127.5:127.5:127.5,std=...,layout=nhwc", or the name of a file that holds it (one line or one pair a
/// line, # comments). Throws Error{bad_argument} naming the key and the nearest known one.
Preprocess parse_preprocess(const std::string& file_or_spec);
std::string to_string(const Preprocess& preprocess);

/// float32 [H, W, C] or [C, H, W] (layout; default nhwc), without a batch dimension.
Tensor apply_preprocess(const Preprocess& preprocess, const Image& image);

/// JPEG or PNG by content, at most `max_pixels`. Throws Error{bad_file} naming `path`.
Image decode_image(Bytes bytes, const std::string& path, int64_t max_pixels = 100'000'000);

}  // namespace lowbit
