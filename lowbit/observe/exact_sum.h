// exact_sum.h: a sum of floats without rounding: one fixed-point integer that is wide enough for any sum of floats
// (a "long accumulator": Kulisch and Miranker, "The arithmetic of the digital computer", SIAM Review 28, 1986).
// Adding integers is associative and commutative, so every order and split of the same values gives the same bits.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace lowbit {

class ExactSum {
 public:
  /// 6 x 64 bits: a float is a multiple of 2^-149 below 2^128 (277 bits and a sign), which leaves room for 2^100 of
  /// them.
  static constexpr int kLimbs = 6;
  using Limbs = std::array<uint64_t, kLimbs>;

  ExactSum() = default;
  explicit ExactSum(const Limbs& limbs) : limbs_(limbs) {}

  /// Adds finite values. Throws Error{bad_argument} if one is not finite.
  void add(std::span<const float> x);
  /// Adds one number that is a multiple of 2^-149 and below 2^192 in magnitude (any float, or an exact sum of floats).
  void add_exact(double x);
  void merge(const ExactSum& other);
  /// The exact sum rounded once, to nearest even.
  double value() const;
  /// Two's complement, least significant limb first, in units of 2^-149.
  const Limbs& limbs() const { return limbs_; }
  bool operator==(const ExactSum&) const = default;

 private:
  Limbs limbs_{};
};

}  // namespace lowbit
