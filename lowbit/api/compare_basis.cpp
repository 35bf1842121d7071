#include "lowbit/api/compare_basis.h"

#include <algorithm>
#include <cmath>

namespace lowbit {
namespace {

constexpr double kGainError = 0.05, kLost = 0.5;
constexpr double kGainSpread = 1.5, kShift = 1;

}  // namespace

Tensor ChannelMap::apply(const Tensor& x, ChannelView view) const {
  Tensor y = Tensor::from<float>(x.dims(), x.values<float>());
  auto values = y.mutable_values<float>();
  for (size_t i = 0; i < values.size(); ++i) {
    const auto c = static_cast<size_t>(view.of(i));
    values[i] = gain[c] * values[i] + shift[c];
  }
  return y;
}

Tensor ChannelMap::undo(const Tensor& y, ChannelView view) const {
  Tensor x = Tensor::from<float>(y.dims(), y.values<float>());
  auto values = x.mutable_values<float>();
  for (size_t i = 0; i < values.size(); ++i) {
    const auto c = static_cast<size_t>(view.of(i));
    if (gain[c] != 0) values[i] = (values[i] - shift[c]) / gain[c];
  }
  return x;
}

/// The standard error of the gain, relative to it, is sqrt((1 - r^2) / (r^2 (n - 2))).
bool BasisFinder::Fit::follows() const {
  const double r = correlation();
  return r > 0 && (1 - r * r) <= kGainError * kGainError * r * r * (n - 2);
}

void BasisFinder::add(const Tensor& x, const Tensor& y, ChannelView view) {
  fits_.resize(static_cast<size_t>(view.channels));
  const auto a = x.values<float>(), b = y.values<float>();
  for (size_t i = 0; i < a.size(); ++i) {
    Fit& fit = fits_[static_cast<size_t>(view.of(i))];
    fit.n += 1;
    fit.x += a[i];
    fit.y += b[i];
    fit.xx += double{a[i]} * a[i];
    fit.xy += double{a[i]} * b[i];
    fit.yy += double{b[i]} * b[i];
  }
}

Basis BasisFinder::settle(ChannelMap& map) const {
  size_t telling = 0, following = 0, lost = 0, shifted = 0;
  double least = INFINITY, most = 0;
  for (const Fit& fit : fits_) {
    if (!fit.tells()) continue;
    ++telling;
    lost += fit.correlation() < kLost;
    if (!fit.follows()) continue;
    ++following;
    least = std::min(least, fit.gain());
    most = std::max(most, fit.gain());
    shifted += std::abs(fit.shift()) > kShift * std::sqrt(fit.variance_y());
  }
  if (telling == 0) return Basis::same;
  if (2 * lost > telling) return Basis::other;
  const bool one_gain = telling == 1 && (most > kGainSpread || least < 1 / kGainSpread);
  if (2 * following <= telling || !(most > kGainSpread * least || 2 * shifted > following || one_gain))
    return Basis::same;
  map.gain.assign(fits_.size(), 1.0f);
  map.shift.assign(fits_.size(), 0.0f);
  for (size_t c = 0; c < fits_.size(); ++c) {
    if (!fits_[c].tells() || !fits_[c].follows()) continue;
    map.gain[c] = static_cast<float>(fits_[c].gain());
    map.shift[c] = static_cast<float>(fits_[c].shift());
  }
  return Basis::rescaled;
}

}  // namespace lowbit
