// qlayer_packed.h: what the packed forms of all layer kernels begin with. Inside the room only. Everything is static:
// each file that includes it has its own copy, compiled with its own flags.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lowbit/kernels/qlayer.h"

namespace lowbit::kernels {

/// First bytes of a packed layer. Offsets are in bytes from the header, multiples of kAlignment.
struct alignas(64) QPackedHeader {
  int64_t bias_offset;    ///< int32 [padded channels]
  int64_t factor_offset;  ///< float [padded channels] for code outputs, double for f32
  int64_t weight_offset;
  int32_t zero_point;  ///< z_x
  Code input;
  uint8_t factors_small;  ///< no accumulator times its factor reaches 2^30: conversion to int32 never overflows
};

namespace {

[[gnu::always_inline]] inline int64_t round_up(int64_t n, int64_t multiple) {
  return (n + multiple - 1) / multiple * multiple;
}
[[gnu::always_inline]] inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
[[gnu::always_inline]] inline int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

/// A number that is known to the compiler.
template <int N>
struct Index {
  [[gnu::always_inline]] constexpr operator int() const { return N; }
};

/// f(0), f(1) ... f(N - 1) with numbers that are constants from the start, so that arrays of vectors which they index
/// become registers (loops that are unrolled later leave such arrays in memory).
template <int N, int I = 0, typename F>
[[gnu::always_inline]] inline void unroll(F f) {
  if constexpr (I < N) {
    f(Index<I>{});
    unroll<N, I + 1>(f);
  }
}
#define LOWBIT_EACH(i) [&](auto i) __attribute__((always_inline))

/// Offsets of the sections for `channels` (padded) channels; the size of the whole with `weight_bytes` of weights.
[[maybe_unused]] size_t lay_out(int64_t channels, Code output, size_t weight_bytes, QPackedHeader* header) {
  const int64_t bias = sizeof(QPackedHeader), factors = bias + round_up(channels * 4, kAlignment);
  const int64_t weights = factors + round_up(channels * (output == Code::f32 ? 8 : 4), kAlignment);
  if (header) {
    header->bias_offset = bias;
    header->factor_offset = factors;
    header->weight_offset = weights;
  }
  return static_cast<size_t>(weights) + (weight_bytes + kAlignment - 1) / kAlignment * kAlignment;
}

/// Whether a packed layer begins with the header of lay_out().
[[maybe_unused]] bool is_laid_out(int64_t channels, Code output, const void* packed) {
  QPackedHeader wanted;
  lay_out(channels, output, 0, &wanted);
  const auto& found = *static_cast<const QPackedHeader*>(packed);
  return found.bias_offset == wanted.bias_offset && found.factor_offset == wanted.factor_offset &&
         found.weight_offset == wanted.weight_offset && (found.input == Code::u8 || found.input == Code::s8);
}

template <typename T>
[[gnu::always_inline]] inline const T* section(const void* packed, int64_t offset) {
  return reinterpret_cast<const T*>(static_cast<const char*>(packed) + offset);
}

/// Weight codes of output channel o in the order of a gathered row: one at a time, calling put(position, code).
template <typename Put>
[[gnu::always_inline]] inline void for_each_weight(const QLayerShape& s, const QLayerWeights& w, int64_t o, Put put) {
  int64_t at = 0;
  for (int64_t y = 0; y < s.kernel_h; ++y)
    for (int64_t x = 0; x < s.kernel_w; ++x)
      for (int64_t i = 0; i < s.group_in(); ++i, ++at)
        put(at, w.codes[o * w.stride_out + i * w.stride_in + y * w.stride_y + x * w.stride_x]);
}

/// What kernels add to every input code to get the unsigned or signed bytes that they multiply.
template <typename P>
[[gnu::always_inline]] inline int32_t input_shift(Code input) {
  if (P::kMultiplies == Code::u8) return input == Code::s8 ? 128 : 0;
  if (P::kMultiplies == Code::s8) return input == Code::u8 ? -128 : 0;
  return 0;
}

/// Bias with the zero point folded in, modulo 2^32 (the true sum fits), and whether this channel's results are small.
template <typename P>
bool fold_channel(const QLayerShape& s, const QLayerWeights& w, int64_t o, int32_t* bias, float factor) {
  int64_t sum = 0, reach = 0;
  const int64_t low = w.input == Code::u8 ? 0 : -128, high = w.input == Code::u8 ? 255 : 127;
  const int64_t span = larger(high - w.zero_point_in, w.zero_point_in - low);
  for_each_weight(s, w, o, [&](int64_t, int8_t code) {
    sum += code;
    reach += code < 0 ? -code : code;
  });
  const int64_t b = w.bias ? w.bias[o] : 0;
  *bias = static_cast<int32_t>(static_cast<uint32_t>(b - (w.zero_point_in + input_shift<P>(w.input)) * sum));
  return static_cast<double>((b < 0 ? -b : b) + reach * span) * static_cast<double>(factor) < 1073741824.0;
}

}  // namespace
}  // namespace lowbit::kernels
