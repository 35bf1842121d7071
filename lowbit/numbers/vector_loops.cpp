#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lowbit/numbers/vector_loops.cpp"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include "lowbit/numbers/vector_loops.h"

HWY_BEFORE_NAMESPACE();
namespace lowbit::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using IntTag = hn::ScalableTag<int32_t>;

/// Calls body(i) for each whole vector and tail(i, count) once for the rest.
template <class Body, class Tail>
HWY_INLINE void for_vectors(int64_t n, const Body& body, const Tail& tail) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(FloatTag()));
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) body(i);
  if (i < n) tail(i, static_cast<size_t>(n - i));
}

/// The tail as one whole vector on padded copies, so that it takes the same instructions as the body.
template <class In, class Out, class Body>
HWY_INLINE void through_padding(const In* in, Out* out, size_t count, const Body& body) {
  HWY_ALIGN In from[hn::MaxLanes(FloatTag())] = {};
  HWY_ALIGN Out to[hn::MaxLanes(FloatTag())];
  for (size_t k = 0; k < count; ++k) from[k] = in[k];
  body(from, to);
  for (size_t k = 0; k < count; ++k) out[k] = to[k];
}

void linear_encode_vectors(float scale, int32_t zero_point, int32_t low, int32_t high, const float* x, int64_t n,
                           int32_t* codes) {
  const FloatTag df;
  const IntTag di;
  const auto vscale = hn::Set(df, scale);
  const auto vlow = hn::Set(df, static_cast<float>(low - zero_point));
  const auto vhigh = hn::Set(df, static_cast<float>(high - zero_point));
  const auto vzero_point = hn::Set(di, zero_point);
  const auto step = [&](const float* from, int32_t* to) HWY_ATTR {
    const auto ratio = hn::Div(hn::LoadU(df, from), vscale);
    const auto number = hn::IfThenZeroElse(hn::IsNaN(ratio), ratio);
    const auto clamped = hn::Min(hn::Max(number, vlow), vhigh);
    hn::StoreU(hn::Add(hn::NearestInt(clamped), vzero_point), di, to);
  };
  for_vectors(
      n, [&](int64_t i) HWY_ATTR { step(x + i, codes + i); },
      [&](int64_t i, size_t count) HWY_ATTR { through_padding(x + i, codes + i, count, step); });
}

void linear_decode_vectors(float scale, int32_t zero_point, const int32_t* codes, int64_t n, float* y) {
  const FloatTag df;
  const IntTag di;
  const auto vscale = hn::Set(df, scale);
  const auto vzero_point = hn::Set(di, zero_point);
  const auto step = [&](const int32_t* from, float* to) HWY_ATTR {
    hn::StoreU(hn::Mul(hn::ConvertTo(df, hn::Sub(hn::LoadU(di, from), vzero_point)), vscale), df, to);
  };
  for_vectors(
      n, [&](int64_t i) HWY_ATTR { step(codes + i, y + i); },
      [&](int64_t i, size_t count) HWY_ATTR { through_padding(codes + i, y + i, count, step); });
}

void divide_vectors(const float* x, float divisor, int64_t n, float* y) {
  const FloatTag df;
  const auto vdivisor = hn::Set(df, divisor);
  const auto step = [&](const float* from, float* to)
                        HWY_ATTR { hn::StoreU(hn::Div(hn::LoadU(df, from), vdivisor), df, to); };
  for_vectors(
      n, [&](int64_t i) HWY_ATTR { step(x + i, y + i); },
      [&](int64_t i, size_t count) HWY_ATTR { through_padding(x + i, y + i, count, step); });
}

void small_float_encode_vectors(const SmallFloatShape& shape, float scale, const float* x, int64_t n, int32_t* codes) {
  const FloatTag df;
  const IntTag di;
  constexpr int kBias = 127, kMantissa = 23;
  const auto vscale = hn::Set(df, scale), largest = hn::Set(df, shape.largest);
  const auto lowest = hn::Set(di, shape.lowest_exponent + kBias);
  const auto inverse = hn::Set(di, 2 * kBias + shape.mantissa_bits);
  const auto sign = hn::Set(di, 1 << shape.sign_shift);
  const auto without_sign = hn::Set(di, shape.negative_zero ? -1 : 0);  // the highest magnitude that has none
  const auto step = [&](const float* from, int32_t* to) HWY_ATTR {
    const auto ratio = hn::Div(hn::LoadU(df, from), vscale);
    const auto number = hn::IfThenZeroElse(hn::IsNaN(ratio), ratio);
    const auto magnitude = hn::Min(hn::Abs(number), largest);
    // The step of the binade that the magnitude is in is 2^(exponent - mantissa_bits); dividing by it is exact.
    const auto exponent = hn::Max(hn::ShiftRight<kMantissa>(hn::BitCast(di, magnitude)), lowest);
    const auto steps_per_one = hn::BitCast(df, hn::ShiftLeft<kMantissa>(hn::Sub(inverse, exponent)));
    const auto steps = hn::NearestInt(hn::Mul(magnitude, steps_per_one));
    // A full binade of steps carries into the exponent by itself.
    const auto pattern = hn::Add(hn::ShiftLeftSame(hn::Sub(exponent, lowest), shape.mantissa_bits), steps);
    const auto negative = hn::And(hn::Lt(hn::BitCast(di, number), hn::Zero(di)), hn::Gt(pattern, without_sign));
    hn::StoreU(hn::Or(pattern, hn::IfThenElseZero(negative, sign)), di, to);
  };
  for_vectors(
      n, [&](int64_t i) HWY_ATTR { step(x + i, codes + i); },
      [&](int64_t i, size_t count) HWY_ATTR { through_padding(x + i, codes + i, count, step); });
}

void bfloat16_encode_vectors(const float* x, int64_t n, int32_t* codes) {
  const FloatTag df;
  const IntTag di;
  const auto largest = hn::Set(df, 0x1.fep127f), lowest = hn::Neg(largest);
  const auto one = hn::Set(di, 1), below_half = hn::Set(di, 0x7fff), pattern = hn::Set(di, 0xffff);
  const auto step = [&](const float* from, int32_t* to) HWY_ATTR {
    const auto loaded = hn::LoadU(df, from);
    const auto number = hn::IfThenZeroElse(hn::IsNaN(loaded), loaded);
    const auto bits = hn::BitCast(di, hn::Min(hn::Max(number, lowest), largest));
    const auto odd = hn::And(hn::ShiftRight<16>(bits), one);
    const auto rounded = hn::Add(hn::Add(bits, below_half), odd);
    hn::StoreU(hn::And(hn::ShiftRight<16>(rounded), pattern), di, to);
  };
  for_vectors(
      n, [&](int64_t i) HWY_ATTR { step(x + i, codes + i); },
      [&](int64_t i, size_t count) HWY_ATTR { through_padding(x + i, codes + i, count, step); });
}

void float16_decode_vectors(const int32_t* codes, int64_t n, float* y) {
  const FloatTag df;
  const IntTag di;
  constexpr int kUp = 23 - 10, kSign = 16;
  const auto magnitude_bits = hn::Set(di, 0x7fff), sign_bit = hn::Set(di, 0x8000);
  // A half's exponent and mantissa as those of a float are 2^112 too small, for subnormal ones too; the product is
  // exact. Infinities and NaN get the float's highest exponent.
  const auto raise = hn::Set(df, 0x1p112f);
  const auto above_finite = hn::Set(di, 0x7bff), highest = hn::Set(di, 0x7f800000);
  const auto step = [&](const int32_t* from, float* to) HWY_ATTR {
    const auto code = hn::LoadU(di, from);
    const auto magnitude = hn::And(code, magnitude_bits);
    const auto value = hn::Mul(hn::BitCast(df, hn::ShiftLeft<kUp>(magnitude)), raise);
    const auto special = hn::IfThenElseZero(hn::Gt(magnitude, above_finite), highest);
    const auto sign = hn::ShiftLeft<kSign>(hn::And(code, sign_bit));
    hn::StoreU(hn::BitCast(df, hn::Or(hn::Or(hn::BitCast(di, value), special), sign)), df, to);
  };
  for_vectors(
      n, [&](int64_t i) HWY_ATTR { step(codes + i, y + i); },
      [&](int64_t i, size_t count) HWY_ATTR { through_padding(codes + i, y + i, count, step); });
}

/// Few thresholds are all compared, which takes no load that depends on another.
void few_thresholds_encode_vectors(const float* thresholds, int64_t count, const int32_t* code_of, bool counting,
                                   const float* x, int64_t n, int32_t* codes) {
  const FloatTag df;
  const IntTag di;
  const auto first = hn::Set(di, code_of[0]), one = hn::Set(di, 1);
  const auto step = [&](const float* from, int32_t* to) HWY_ATTR {
    const auto loaded = hn::LoadU(df, from);
    const auto value = hn::IfThenZeroElse(hn::IsNaN(loaded), loaded);
    auto index = hn::Zero(di);
    for (int64_t k = 0; k + 1 < count; ++k) {
      const auto above = hn::RebindMask(di, hn::Gt(value, hn::Set(df, thresholds[k])));
      index = hn::Add(index, hn::IfThenElseZero(above, one));
    }
    hn::StoreU(counting ? hn::Add(index, first) : hn::GatherIndex(di, code_of, index), di, to);
  };
  for_vectors(
      n, [&](int64_t i) HWY_ATTR { step(x + i, codes + i); },
      [&](int64_t i, size_t rest) HWY_ATTR { through_padding(x + i, codes + i, rest, step); });
}

/// A branch-free search, all lanes at once. `counting`: code_of[i] = code_of[0] + i.
void threshold_encode_vectors(const float* thresholds, int64_t count, const int32_t* code_of, bool counting,
                              const float* x, int64_t n, int32_t* codes) {
  const FloatTag df;
  const IntTag di;
  const auto first = hn::Set(di, code_of[0]);
  const auto step = [&](const float* from, int32_t* to) HWY_ATTR {
    const auto loaded = hn::LoadU(df, from);
    const auto value = hn::IfThenZeroElse(hn::IsNaN(loaded), loaded);
    auto index = hn::Zero(di);
    for (int64_t half = count / 2; half >= 1; half /= 2) {
      const auto probe = hn::GatherIndex(df, thresholds + half - 1, index);
      const auto above = hn::RebindMask(di, hn::Gt(value, probe));
      index = hn::Add(index, hn::IfThenElseZero(above, hn::Set(di, static_cast<int32_t>(half))));
    }
    hn::StoreU(counting ? hn::Add(index, first) : hn::GatherIndex(di, code_of, index), di, to);
  };
  for_vectors(
      n, [&](int64_t i) HWY_ATTR { step(x + i, codes + i); },
      [&](int64_t i, size_t rest) HWY_ATTR { through_padding(x + i, codes + i, rest, step); });
}

void lookup_decode_vectors(const float* values, int32_t first, int64_t count, const int32_t* codes, int64_t n,
                           float* y) {
  const FloatTag df;
  const IntTag di;
  const auto vfirst = hn::Set(di, first);
  const auto vlast = hn::Set(di, first + static_cast<int32_t>(count - 1));
  const auto step = [&](const int32_t* from, float* to) HWY_ATTR {
    const auto code = hn::Min(hn::Max(hn::LoadU(di, from), vfirst), vlast);
    hn::StoreU(hn::GatherIndex(df, values, hn::Sub(code, vfirst)), df, to);
  };
  for_vectors(
      n, [&](int64_t i) HWY_ATTR { step(codes + i, y + i); },
      [&](int64_t i, size_t rest) HWY_ATTR { through_padding(codes + i, y + i, rest, step); });
}

}  // namespace lowbit::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <limits>

namespace lowbit {

HWY_EXPORT(linear_encode_vectors);
HWY_EXPORT(linear_decode_vectors);
HWY_EXPORT(divide_vectors);
HWY_EXPORT(small_float_encode_vectors);
HWY_EXPORT(bfloat16_encode_vectors);
HWY_EXPORT(float16_decode_vectors);
HWY_EXPORT(few_thresholds_encode_vectors);
HWY_EXPORT(threshold_encode_vectors);
HWY_EXPORT(lookup_decode_vectors);

void linear_encode_loop(LinearParams params, CodeRange range, const float* x, int64_t n, int32_t* codes) {
  HWY_DYNAMIC_DISPATCH(linear_encode_vectors)(params.scale, params.zero_point, range.min, range.max, x, n, codes);
}

void linear_decode_loop(LinearParams params, const int32_t* codes, int64_t n, float* y) {
  HWY_DYNAMIC_DISPATCH(linear_decode_vectors)(params.scale, params.zero_point, codes, n, y);
}

void divide_loop(const float* x, float divisor, int64_t n, float* y) {
  HWY_DYNAMIC_DISPATCH(divide_vectors)(x, divisor, n, y);
}

void small_float_encode_loop(const SmallFloatShape& shape, float scale, const float* x, int64_t n, int32_t* codes) {
  HWY_DYNAMIC_DISPATCH(small_float_encode_vectors)(shape, scale, x, n, codes);
}

void bfloat16_encode_loop(const float* x, int64_t n, int32_t* codes) {
  HWY_DYNAMIC_DISPATCH(bfloat16_encode_vectors)(x, n, codes);
}

void float16_decode_loop(const int32_t* codes, int64_t n, float* y) {
  HWY_DYNAMIC_DISPATCH(float16_decode_vectors)(codes, n, y);
}

void threshold_encode_loop(const float* thresholds, int64_t count, const int32_t* code_of, const float* x, int64_t n,
                           int32_t* codes) {
  constexpr int64_t kFew = 32;
  bool counting = true;
  for (int64_t k = 0; k < count && thresholds[k] < std::numeric_limits<float>::infinity(); ++k)
    counting = counting && code_of[k + 1] == code_of[k] + 1;
  if (count <= kFew)
    HWY_DYNAMIC_DISPATCH(few_thresholds_encode_vectors)(thresholds, count, code_of, counting, x, n, codes);
  else
    HWY_DYNAMIC_DISPATCH(threshold_encode_vectors)(thresholds, count, code_of, counting, x, n, codes);
}

void lookup_decode_loop(const float* values, int32_t first, int64_t count, const int32_t* codes, int64_t n, float* y) {
  HWY_DYNAMIC_DISPATCH(lookup_decode_vectors)(values, first, count, codes, n, y);
}

}  // namespace lowbit
#endif
