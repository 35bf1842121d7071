#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>

#include "lowbit/kernels/float_math.h"

namespace lowbit::kernels::neon {
namespace {

struct F {
  float32x4_t v[4];
};
struct Mask {
  uint32x4_t v[4];
};

#define LOWBIT_LANES [[gnu::always_inline]] inline
template <typename Operation>
LOWBIT_LANES F each(Operation operation) {
  return {{operation(0), operation(1), operation(2), operation(3)}};
}
LOWBIT_LANES F load(const float* x) {
  return each([&](int i) { return vld1q_f32(x + 4 * i); });
}
LOWBIT_LANES void store(float* y, F v) {
  for (int i = 0; i < 4; ++i) vst1q_f32(y + 4 * i, v.v[i]);
}
LOWBIT_LANES F splat(float v) {
  return each([&](int) { return vdupq_n_f32(v); });
}
LOWBIT_LANES F add(F x, F y) {
  return each([&](int i) { return vaddq_f32(x.v[i], y.v[i]); });
}
LOWBIT_LANES F sub(F x, F y) {
  return each([&](int i) { return vsubq_f32(x.v[i], y.v[i]); });
}
LOWBIT_LANES F mul(F x, F y) {
  return each([&](int i) { return vmulq_f32(x.v[i], y.v[i]); });
}
LOWBIT_LANES F div(F x, F y) {
  return each([&](int i) { return vdivq_f32(x.v[i], y.v[i]); });
}
LOWBIT_LANES F fma(F x, F y, F z) {
  return each([&](int i) { return vfmaq_f32(z.v[i], x.v[i], y.v[i]); });
}
// The second operand where the comparison fails for a NaN, as elsewhere.
LOWBIT_LANES F min(F x, F y) {
  return each([&](int i) { return vbslq_f32(vcltq_f32(x.v[i], y.v[i]), x.v[i], y.v[i]); });
}
LOWBIT_LANES F max(F x, F y) {
  return each([&](int i) { return vbslq_f32(vcgtq_f32(x.v[i], y.v[i]), x.v[i], y.v[i]); });
}
LOWBIT_LANES F nearest(F x) {
  return each([&](int i) { return vrndnq_f32(x.v[i]); });
}
LOWBIT_LANES F size(F x) {
  return each([&](int i) { return vabsq_f32(x.v[i]); });
}
LOWBIT_LANES F with_sign(F x, F from) {
  return each([&](int i) { return vbslq_f32(vdupq_n_u32(0x80000000u), from.v[i], x.v[i]); });
}
LOWBIT_LANES Mask less(F x, F y) {
  return {{vcltq_f32(x.v[0], y.v[0]), vcltq_f32(x.v[1], y.v[1]), vcltq_f32(x.v[2], y.v[2]), vcltq_f32(x.v[3], y.v[3])}};
}
LOWBIT_LANES Mask unordered(F x) {
  Mask mask;
  for (int i = 0; i < 4; ++i) mask.v[i] = vmvnq_u32(vceqq_f32(x.v[i], x.v[i]));
  return mask;
}
LOWBIT_LANES F select(Mask m, F x, F y) {
  return each([&](int i) { return vbslq_f32(m.v[i], x.v[i], y.v[i]); });
}
LOWBIT_LANES F power(F n) {
  return each([&](int i) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n.v[i]), vdupq_n_s32(127)), 23));
  });
}
LOWBIT_LANES F root(F x) {
  return each([&](int i) { return vsqrtq_f32(x.v[i]); });
}
LOWBIT_LANES float sum(F x) {
  const float32x4_t four = vaddq_f32(vaddq_f32(x.v[0], x.v[2]), vaddq_f32(x.v[1], x.v[3]));
  const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}
LOWBIT_LANES float larger(float x, float y) { return x > y ? x : y; }
LOWBIT_LANES float largest(F x) {
  const F four =
      max(max(F{{x.v[0], x.v[1], x.v[0], x.v[1]}}, F{{x.v[2], x.v[3], x.v[2], x.v[3]}}), splat(-__builtin_inff()));
  float lanes[8];
  vst1q_f32(lanes, four.v[0]);
  vst1q_f32(lanes + 4, four.v[1]);
  for (int i = 0; i < 4; ++i) lanes[i] = larger(lanes[i], lanes[i + 4]);
  return larger(larger(lanes[0], lanes[2]), larger(lanes[1], lanes[3]));
}
#undef LOWBIT_LANES

}  // namespace

#include "lowbit/kernels/float_math_lanes.h"

const FloatMathKernels float_math_kernels = kFloatMath;

}  // namespace lowbit::kernels::neon
