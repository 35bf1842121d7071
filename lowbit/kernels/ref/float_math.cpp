// The sixteen lanes as plain floats: the definition.
#include "lowbit/kernels/float_math.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

namespace lowbit::kernels::ref {
namespace {

struct F {
  float v[16];
};
struct Mask {
  bool v[16];
};

template <typename Result = F, typename Operation>
Result each(Operation operation) {
  Result result;
  for (int i = 0; i < 16; ++i) result.v[i] = operation(i);
  return result;
}

F load(const float* x) {
  return each([&](int i) { return x[i]; });
}
void store(float* y, const F& v) { memcpy(y, v.v, sizeof v.v); }
F splat(float v) {
  return each([&](int) { return v; });
}
F add(const F& x, const F& y) {
  return each([&](int i) { return x.v[i] + y.v[i]; });
}
F sub(const F& x, const F& y) {
  return each([&](int i) { return x.v[i] - y.v[i]; });
}
F mul(const F& x, const F& y) {
  return each([&](int i) { return x.v[i] * y.v[i]; });
}
F div(const F& x, const F& y) {
  return each([&](int i) { return x.v[i] / y.v[i]; });
}
F fma(const F& x, const F& y, const F& z) {
  return each([&](int i) { return fmaf(x.v[i], y.v[i], z.v[i]); });
}
F min(const F& x, const F& y) {
  return each([&](int i) { return x.v[i] < y.v[i] ? x.v[i] : y.v[i]; });
}
F max(const F& x, const F& y) {
  return each([&](int i) { return x.v[i] > y.v[i] ? x.v[i] : y.v[i]; });
}
F nearest(const F& x) {
  return each([&](int i) { return rintf(x.v[i]); });
}
F size(const F& x) {
  return each([&](int i) { return fabsf(x.v[i]); });
}
F with_sign(const F& x, const F& from) {
  return each([&](int i) { return copysignf(x.v[i], from.v[i]); });
}
Mask less(const F& x, const F& y) {
  return each<Mask>([&](int i) { return x.v[i] < y.v[i]; });
}
Mask unordered(const F& x) {
  return each<Mask>([&](int i) { return isnan(x.v[i]); });
}
F select(const Mask& m, const F& x, const F& y) {
  return each([&](int i) { return m.v[i] ? x.v[i] : y.v[i]; });
}
F power(const F& n) {
  // A NaN lane is replaced afterwards; any power will do.
  return each([&](int i) { return isnan(n.v[i]) ? 1.0f : ldexpf(1.0f, static_cast<int>(n.v[i])); });
}
F root(const F& x) {
  return each([&](int i) { return sqrtf(x.v[i]); });
}
float sum(F x) {
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) x.v[i] = x.v[i] + x.v[i + half];
  return x.v[0];
}
float largest(F x) {
  for (int half = 8; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) x.v[i] = x.v[i] > x.v[i + half] ? x.v[i] : x.v[i + half];
  return x.v[0];
}

}  // namespace

#include "lowbit/kernels/float_math_lanes.h"

const FloatMathKernels float_math_kernels = kFloatMath;

}  // namespace lowbit::kernels::ref
