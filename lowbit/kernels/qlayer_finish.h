// qlayer_finish.h: from sums in registers to outputs: requantization, limits, residual addition, narrowing, storing.
// Shared by the tiles and the depthwise kernels of all instruction sets; inside the room only, everything is static.
#pragma once

#include "lowbit/kernels/qlayer_packed.h"

namespace lowbit::kernels {
namespace {

/// The order of channels inside a block of `vectors` vectors: lane l of vector v holds this channel. Narrowing four
/// vectors with the pack instructions, which work inside 128-bit parts, then leaves the channels in order.
[[gnu::always_inline]] inline int64_t channel_of_lane(int vectors, int v, int l) {
  return (l / 4) * 4 * vectors + v * 4 + l % 4;
}

/// Vectors made once per call: loading one is cheaper than spreading a number.
struct FinishVectors {
  alignas(64) int16_t zero[32];
  alignas(64) uint8_t low[64], high[64], flip[64];
};

[[maybe_unused]] void make_finish_vectors(const QOutput& out, FinishVectors& vectors) {
  const int32_t shift = out.type == Code::s8 ? 128 : 0;
  const QResidual* add = out.residual;
  const int32_t zero = add ? shift : out.zero_point + shift;
  for (int16_t& x : vectors.zero) x = static_cast<int16_t>(zero);
  __builtin_memset(vectors.low, (add ? add->low : out.low) + shift, 64);
  __builtin_memset(vectors.high, (add ? add->high : out.high) + shift, 64);
  __builtin_memset(vectors.flip, shift, 64);
}

/// Constants of one block of channels for its results.
struct Finish {
  const QOutput* out;
  const float* factors;  ///< in the order of the lanes
  const double* scales;
  int64_t channels;  ///< real ones
  bool small;        ///< see QPackedHeader::factors_small
  const FinishVectors* vectors;
};

/// x: accumulators times factors, not above the layer's highest code -> the sum with the other operand, limited.
template <typename P>
[[gnu::always_inline]] inline void add_residual(const QResidual& add, const QOutput& layer, typename P::Bytes other,
                                                typename P::Floats* x) {
  const auto bottom = P::splat(static_cast<float>(layer.low - layer.zero_point));
  const auto zero = P::splat(static_cast<float>(layer.zero_point));
  const uint8_t shift = add.other_type == Code::s8 ? 128 : 0;
  const auto other_zero = P::splat(static_cast<float>(shift));
  const auto r_a = P::splat(add.r_a), r_b = P::splat(add.r_b), f = P::splat(add.f);
  const auto low = P::splat(static_cast<float>(add.low)), high = P::splat(static_cast<float>(add.high));
  typename P::Ints codes[4];
  P::unpack(P::flip(other, P::splat_bytes(shift)), codes);
  unroll<4>(LOWBIT_EACH(i) {
    const auto mine = P::add(P::round(P::max(x[i], bottom)), zero);
    const auto its = P::sub(P::to_floats(codes[i]), other_zero);
    const auto y = add.layer_first ? P::fma(mine, r_a, P::fma(its, r_b, f)) : P::fma(its, r_a, P::fma(mine, r_b, f));
    x[i] = P::min(P::max(y, low), high);
  });
}

/// Four vectors of sums times four of factors -> bytes of codes, in the order of P::pack. `other()` loads the
/// residual's codes in that order.
template <typename P, typename LoadOther>
[[gnu::always_inline]] inline typename P::Bytes finish_bytes(const Finish& f, const typename P::Ints* sums,
                                                             const typename P::Floats* factors, LoadOther other) {
  const QOutput& out = *f.out;
  const QResidual* add = out.residual;
  typename P::Ints codes[4];
  typename P::Floats x[4];
  unroll<4>(LOWBIT_EACH(i) { x[i] = P::mul(P::to_floats(sums[i]), factors[i]); });
  if (!f.small || add) {
    const auto top = P::splat(static_cast<float>(out.high - out.zero_point));
    unroll<4>(LOWBIT_EACH(i) { x[i] = P::min(x[i], top); });
  }
  if (add) add_residual<P>(*add, out, other(), x);
  unroll<4>(LOWBIT_EACH(i) { codes[i] = P::to_ints(x[i]); });
  const FinishVectors& c = *f.vectors;
  const auto bytes = P::min_bytes(P::pack(codes, P::load_words(c.zero)), P::load_block(c.high));
  return P::flip(P::max_bytes(bytes, P::load_block(c.low)), P::load_block(c.flip));
}

/// One row of sums in the order of `vectors` vectors of kLanes lanes -> outputs that are not bytes.
template <int kLanes>
[[gnu::noinline]] void finish_wide(const Finish& b, int vectors, const int32_t* sums, char* y) {
  const QOutput& out = *b.out;
  const auto low = static_cast<float>(out.low - out.zero_point), high = static_cast<float>(out.high - out.zero_point);
  constexpr float kShift = 12582912.0f;            // 1.5 * 2^23: rounds by addition, ties to even
  for (int i = 0; i < vectors * kLanes; i += 4) {  // four lanes are four consecutive channels
    const int64_t c = channel_of_lane(vectors, i / kLanes, i % kLanes);
    const int64_t n = smaller(4, b.channels - c);
    for (int64_t j = 0; j < n; ++j) {
      const int32_t acc = sums[i + j];
      if (out.type == Code::s32) {
        reinterpret_cast<int32_t*>(y)[c + j] = acc;
      } else if (out.type == Code::f32) {
        reinterpret_cast<float*>(y)[c + j] = static_cast<float>(static_cast<double>(acc) * b.scales[i + j]);
      } else {
        float x = static_cast<float>(acc) * b.factors[i + j];
        x = x > low ? x : low;
        x = x < high ? x : high;
        reinterpret_cast<int16_t*>(y)[c + j] =
            static_cast<int16_t>(static_cast<int32_t>((x + kShift) - kShift) + out.zero_point);
      }
    }
  }
}

}  // namespace
}  // namespace lowbit::kernels
