// elementary.h: exponential, logarithm and the normal distribution from additions, multiplications and divisions alone.
// The C library chooses its own by the machine (with or without fused multiply-add), so its last bit is not the same
// everywhere; levels must be. Relative error below 1e-14.
#pragma once

namespace lowbit {

/// 2^x for |x| <= 1000; beyond that, as at the end.
double portable_exp2(double x);
/// e^x for |x| <= 600; beyond that, as at the end.
double portable_exp(double x);
/// ln x for x > 0, normal.
double portable_log(double x);
/// base^exponent for base > 0; 0^exponent = 0.
double portable_pow(double base, double exponent);
/// The x with P(N(0, 1) <= x) = p, for 1e-6 <= p <= 1 - 1e-6.
double normal_quantile(double p);

}  // namespace lowbit
