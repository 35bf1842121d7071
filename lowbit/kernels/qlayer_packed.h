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

template <typename T>
[[gnu::always_inline]] inline const T* section(const void* packed, int64_t offset) {
  return reinterpret_cast<const T*>(static_cast<const char*>(packed) + offset);
}

}  // namespace
}  // namespace lowbit::kernels
