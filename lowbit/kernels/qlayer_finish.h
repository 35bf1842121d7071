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

/// Constants of one block of channels for its results.
struct Finish {
  const QOutput* out;
  const float* factors;  ///< in the order of the lanes
  const double* scales;
  int64_t channels;  ///< real ones
  bool small;        ///< see QPackedHeader::factors_small
};

/// x: accumulators times factors, not above the layer's highest code -> the sum with the other operand, limited.
template <typename P, int V>
[[gnu::always_inline]] inline void add_residual(const QResidual& add, const QOutput& layer, const uint8_t* const* other,
                                                int rows, typename P::Floats* x) {
  const auto bottom = P::splat(static_cast<float>(layer.low - layer.zero_point));
  const auto zero = P::splat(static_cast<float>(layer.zero_point));
  const uint8_t shift = add.other_type == Code::s8 ? 128 : 0;
  const auto other_zero = P::splat(static_cast<float>(shift));
  const auto r_a = P::splat(add.r_a), r_b = P::splat(add.r_b), f = P::splat(add.f);
  const auto low = P::splat(static_cast<float>(add.low)), high = P::splat(static_cast<float>(add.high));
  typename P::Ints codes[4];
  P::unpack(P::flip(P::template load<V>(other, rows), P::splat_bytes(shift)), codes);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const auto mine = P::add(P::round(P::max(x[i], bottom)), zero);
    const auto its = P::sub(P::to_floats(codes[i]), other_zero);
    const auto y = add.layer_first ? P::fma(mine, r_a, P::fma(its, r_b, f)) : P::fma(its, r_a, P::fma(mine, r_b, f));
    x[i] = P::min(P::max(y, low), high);
  }
}

/// Four vectors of sums, 4 / V rows of V vectors, -> bytes. Row i of `rows` goes to to[i], the residual's codes come
/// from other[i].
template <typename P, int V>
[[gnu::always_inline]] inline void finish_bytes(const Finish& f, const typename P::Ints* sums, int rows,
                                                uint8_t* const* to, const uint8_t* const* other) {
  const QOutput& out = *f.out;
  const QResidual* add = out.residual;
  const int32_t shift = out.type == Code::s8 ? 128 : 0;
  const int32_t low = add ? add->low : out.low, high = add ? add->high : out.high;
  typename P::Ints codes[4];
  typename P::Floats x[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) x[i] = P::mul(P::to_floats(sums[i]), P::load_floats(f.factors + i % V * P::kLanes));
  if (!f.small || add) {
    const auto top = P::splat(static_cast<float>(out.high - out.zero_point));
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) x[i] = P::min(x[i], top);
  }
  if (add) add_residual<P, V>(*add, out, other, rows, x);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) codes[i] = P::to_ints(x[i]);
  auto bytes = P::pack(codes, P::splat_words(static_cast<int16_t>(add ? shift : out.zero_point + shift)));
  bytes = P::min_bytes(bytes, P::splat_bytes(static_cast<uint8_t>(high + shift)));
  bytes = P::max_bytes(bytes, P::splat_bytes(static_cast<uint8_t>(low + shift)));
  bytes = P::flip(bytes, P::splat_bytes(static_cast<uint8_t>(shift)));
  P::template store<V>(bytes, to, rows, f.channels);
}

/// One row of sums in the order of the lanes -> outputs that are not bytes.
template <typename P>
[[gnu::noinline]] void finish_wide(const Finish& b, int vectors, const int32_t* sums, char* y) {
  const QOutput& out = *b.out;
  const auto low = static_cast<float>(out.low - out.zero_point), high = static_cast<float>(out.high - out.zero_point);
  constexpr float kShift = 12582912.0f;               // 1.5 * 2^23: rounds by addition, ties to even
  for (int i = 0; i < vectors * P::kLanes; i += 4) {  // four lanes are four consecutive channels
    const int64_t c = channel_of_lane(vectors, i / P::kLanes, i % P::kLanes);
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
