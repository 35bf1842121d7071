#include "lowbit/runtime/requantize.h"

#include <cmath>

namespace lowbit {

int32_t requantize_exact(int64_t acc, float m, OutputCodes out) {
  int exponent = 0;
  const auto mantissa =
      static_cast<int64_t>(std::ldexp(std::frexp(m, &exponent), 24));  // m = mantissa * 2^(exponent - 24)
  __int128 product = static_cast<__int128>(acc) * mantissa;
  int shift = 24 - exponent;
  const __int128 limit = static_cast<__int128>(1)
                         << 40;  // far beyond every code, so that shifting left cannot overflow
  for (; shift < 0 && product < limit && product > -limit; ++shift) product *= 2;
  if (shift > 120)
    product = 0;
  else if (shift > 0) {
    const __int128 floor = product >> shift, rest = product - (floor << shift),
                   half = static_cast<__int128>(1) << (shift - 1);
    product = floor + (rest > half || (rest == half && (floor & 1)) ? 1 : 0);
  }
  product += out.zero_point;
  if (product < out.low) return out.low;
  return product > out.high ? out.high : static_cast<int32_t>(product);
}

namespace {

template <typename Acc>
void requantize_any(const Acc* acc, const float* m, int64_t n, OutputCodes out, int32_t* codes) {
  // The limits are integers, so clamping first is the same; it keeps x within the reach of the rounding by addition
  // (|x| < 2^22).
  constexpr float kShift = 12582912.0f;  // 1.5 * 2^23
  const auto low = static_cast<float>(out.low - out.zero_point), high = static_cast<float>(out.high - out.zero_point);
  for (int64_t i = 0; i < n; ++i) {
    const float x = std::min(std::max(static_cast<float>(acc[i]) * m[i], low), high);
    codes[i] = static_cast<int32_t>((x + kShift) - kShift) + out.zero_point;
  }
}

}  // namespace

void requantize_row(const int32_t* acc, const float* m, int64_t n, OutputCodes out, int32_t* codes) {
  requantize_any(acc, m, n, out, codes);
}
void requantize_row(const int64_t* acc, const float* m, int64_t n, OutputCodes out, int32_t* codes) {
  requantize_any(acc, m, n, out, codes);
}

int64_t count_clipped(const int32_t* acc, const float* m, int64_t n, int32_t zero_point, int32_t qmin, int32_t qmax) {
  int64_t clipped = 0;
  const double low = qmin - zero_point - 0.5, high = qmax - zero_point + 0.5;
  for (int64_t i = 0; i < n; ++i) {
    const double x = static_cast<double>(acc[i]) * static_cast<double>(m[i]);
    clipped += x < low || x > high;
  }
  return clipped;
}

}  // namespace lowbit
