#include "lowbit/numbers/elementary.h"

#include <cmath>

namespace lowbit {
namespace {

constexpr double kLn2 = 0.69314718055994530942;
constexpr double kRootTwoPi = 2.5066282746310005024;

/// P(0 <= N(0, 1) <= x) by the series density(x) * (x + x^3/3 + x^5/(3*5) + ...) (Marsaglia, J. Stat. Software 2004).
double half_normal(double x, double density) {
  double term = x, sum = x;
  for (int k = 3; k < 400; k += 2) {
    term *= x * x / k;
    sum += term;
    if (std::abs(term) < 1e-17 * std::abs(sum)) break;
  }
  return density * sum;
}

/// x within +-most; NaN, which parameters from a file may be, as -most.
double limited(double x, double most) { return x > most ? most : x >= -most ? x : -most; }

}  // namespace

double portable_exp2(double x) {
  x = limited(x, 1000);
  const double whole = std::nearbyint(x);
  return std::ldexp(portable_exp((x - whole) * kLn2), static_cast<int>(whole));
}

double portable_exp(double x) {
  x = limited(x, 600);
  if (std::abs(x) > 0.5) {
    // Reduced to |r| <= ln 2 / 2, where 16 terms are exact to double precision.
    const double whole = std::nearbyint(x / kLn2);
    return std::ldexp(portable_exp(x - whole * kLn2), static_cast<int>(whole));
  }
  double sum = 1;
  for (int k = 16; k >= 1; --k) sum = 1 + x / k * sum;
  return sum;
}

double portable_log(double x) {
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);  // [0.5, 1)
  if (mantissa < 0.70710678118654752) {
    mantissa *= 2;
    --exponent;
  }
  // ln m = 2 artanh(z), z = (m - 1) / (m + 1), |z| <= 0.172
  const double z = (mantissa - 1) / (mantissa + 1), square = z * z;
  double sum = 0;
  for (int k = 23; k >= 1; k -= 2) sum = 1.0 / k + square * sum;
  return 2 * z * sum + exponent * kLn2;
}

double portable_pow(double base, double exponent) {
  return base > 0 ? portable_exp(exponent * portable_log(base)) : 0.0;
}

double normal_quantile(double p) {
  // Newton from 0: the distribution function is concave right of it, so the steps never overshoot there.
  const double tail = std::abs(p - 0.5);
  double x = 0;
  for (int k = 0; k < 100; ++k) {
    const double density = portable_exp(-0.5 * x * x) / kRootTwoPi;
    const double step = (tail - half_normal(x, density)) / density;
    x += step;
    if (std::abs(step) < 1e-15) break;
  }
  return p < 0.5 ? -x : x;
}

}  // namespace lowbit
