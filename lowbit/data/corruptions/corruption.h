// corruption.h: data as they are on a bad day: kinds of damage at strengths 1 to 5, made on the fly from a seed, for
// measuring how a network and its low-bit form stand it. Pictures are damaged after resizing and cropping, as 8-bit
// pixels of the size that the network sees. The kinds and their parameters follow Hendrycks, Dietterich, "Benchmarking
// Neural Network Robustness to Common Corruptions and Perturbations", ICLR 2019, arXiv:1903.12261, as far as they need
// no pictures of their own; arrays (sensors, audio features) have kinds of their own.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "lowbit/base/random.h"
#include "lowbit/core/tensor.h"
#include "lowbit/data/resample.h"

namespace lowbit {

inline constexpr int kStrengths = 5;

/// One sample of an array: value(t, c) = values[t * channels + c]; the first dimension of the sample is time.
struct Signal {
  std::span<float> values;
  int64_t steps = 1, channels = 1;
};

/// A kind of damage. `strength` is 1 to 5. Pictures hold 0..255 and are rounded and clamped afterwards.
struct Corruption {
  std::string_view name, summary;
  void (*picture)(Picture<float>& picture, int strength, Random& random);  ///< null: a kind for arrays
  void (*signal)(Signal signal, int strength, Random& random);             ///< null: a kind for pictures
};

std::span<const Corruption> corruption_table();
/// Throws Error{bad_argument} with the nearest names.
const Corruption& find_corruption(std::string_view name);

struct CorruptionChoice {
  const Corruption* kind = nullptr;
  int strength = 1;
  uint64_t seed = 1;
};

/// Damages sample number `sample`: the same for every order and number of threads. A kind for arrays is an
/// Error{bad_argument}.
void corrupt(const CorruptionChoice& choice, uint64_t sample, Picture<uint8_t>& picture);
/// The same for row `row` of a float32 batch [N, ...]. A kind for pictures is an Error{bad_argument}.
void corrupt(const CorruptionChoice& choice, uint64_t sample, Tensor& batch, int64_t row);

/// Parameters are stated for pictures of 224 pixels; a smaller one stands less: lengths shrink by (side / 224)^0.75,
/// noise and the like by (side / 224)^0.5, where side is the shorter one (never above 1).
double length_factor(const Picture<float>& picture);
double noise_factor(const Picture<float>& picture);

}  // namespace lowbit
