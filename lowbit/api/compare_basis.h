// compare_basis.h: methods may rescale or shift the channels of a value (equalize, smooth, absorb-bias) or rotate them:
// the network computes the same, but its values are not those of the float network any more. This finds out, so that
// errors are measured in the same terms on both sides. Private to api.
#pragma once

#include <cmath>
#include <vector>

#include "lowbit/api/compare_sums.h"
#include "lowbit/core/tensor.h"

namespace lowbit {

/// y = gain * x + shift for each channel: how a value of the edited network follows from that of the float one.
struct ChannelMap {
  std::vector<float> gain, shift;
  Tensor apply(const Tensor& x, ChannelView view) const;
  /// x from y; a channel with a gain of 0 stays as it is.
  Tensor undo(const Tensor& y, ChannelView view) const;
};

enum class Basis : uint8_t {
  same,      ///< errors are those of rounding
  rescaled,  ///< by `map`
  other,     ///< cannot be compared value by value
};

/// Least squares of y on x for each channel, over the values of some samples.
class BasisFinder {
 public:
  void add(const Tensor& x, const Tensor& y, ChannelView view);
  /// Rescaled: in most channels y follows x so closely that the gain is known to 5 %, and gains differ by more
  /// than 1.5x or shifts are larger than a standard deviation: rounding does neither. Other: y does not follow x in
  /// most channels (correlation below 0.5). Too few values: same.
  Basis settle(ChannelMap& map) const;

 private:
  struct Fit {
    double n = 0, x = 0, y = 0, xx = 0, xy = 0, yy = 0;
    double variance_x() const { return xx / n - x / n * (x / n); }
    double variance_y() const { return yy / n - y / n * (y / n); }
    double covariance() const { return xy / n - x / n * (y / n); }
    /// False: a channel that hardly changes, or is hardly known, tells nothing.
    bool tells() const { return n > 3 && variance_x() > 1e-12 * (xx / n) && variance_y() > 1e-12 * (yy / n); }
    double correlation() const { return covariance() / std::sqrt(variance_x() * variance_y()); }
    double gain() const { return covariance() / variance_x(); }
    double shift() const { return y / n - gain() * (x / n); }
    bool follows() const;
  };
  std::vector<Fit> fits_;
};

}  // namespace lowbit
