#include "lowbit/numbers/linear_mse.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "lowbit/numbers/vector_loops.h"

namespace lowbit {
namespace {

constexpr int kClips = 200;
constexpr size_t kSample = size_t{1} << 15;
constexpr size_t kBlock = 1024;

struct Candidate {
  double error;
  LinearParams params;
};

/// Calls visit(block of the data, codes of its elements) from front to back.
template <class Visit>
void for_each_block(LinearParams params, CodeRange range, const FitData& data, const Visit& visit) {
  std::array<int32_t, kBlock> codes;
  for (size_t begin = 0; begin < data.x.size(); begin += kBlock) {
    const size_t count = std::min(kBlock, data.x.size() - begin);
    const FitData block{data.x.subspan(begin, count),
                        data.importance.empty() ? data.importance : data.importance.subspan(begin, count)};
    linear_encode_loop(params, range, block.x.data(), static_cast<int64_t>(count), codes.data());
    visit(block, std::span<const int32_t>(codes.data(), count));
  }
}

double error_of(LinearParams params, CodeRange range, const FitData& data) {
  std::array<float, kBlock> y;
  double error = 0;
  for_each_block(params, range, data, [&](const FitData& block, std::span<const int32_t> codes) {
    linear_decode_loop(params, codes.data(), static_cast<int64_t>(codes.size()), y.data());
    error += squared_error(block, std::span<const float>(y.data(), codes.size()));
  });
  return error;
}

/// Weighted sums over elements with k = code - zero_point.
struct Sums {
  double w = 0, k = 0, kk = 0, x = 0, kx = 0;
};

Sums sums_of(LinearParams params, CodeRange range, const FitData& data) {
  Sums sums;
  for_each_block(params, range, data, [&](const FitData& block, std::span<const int32_t> codes) {
    for (size_t i = 0; i < codes.size(); ++i) {
      const double w = block.weight(i), x = block.x[i], k = codes[i] - params.zero_point;
      sums.w += w;
      sums.k += w * k;
      sums.kk += w * k * k;
      sums.x += w * x;
      sums.kx += w * k * x;
    }
  });
  return sums;
}

/// The least-squares parameters for the codes that `params` gives: scale = sum(w k x) / sum(w k^2); with a fitted zero
/// point first the line x = scale * k + offset, whose offset moves the zero point to the nearest whole code.
LinearParams least_squares(LinearParams params, CodeRange range, const FitData& data, bool fitted_zero) {
  const Sums s = sums_of(params, range, data);
  double shift = 0;
  if (fitted_zero) {
    const double spread = s.w * s.kk - s.k * s.k;
    const double slope = spread > 0 ? (s.w * s.kx - s.k * s.x) / spread : 0;
    if (slope > 0) {
      const double offset = (s.x - slope * s.k) / s.w;
      const double zero_point = std::nearbyint(static_cast<double>(params.zero_point) - offset / slope);
      const double allowed = std::clamp(zero_point, static_cast<double>(range.min), static_cast<double>(range.max));
      shift = static_cast<double>(params.zero_point) - allowed;
    }
  }
  // k becomes k + shift for the moved zero point.
  const double kx = s.kx + shift * s.x, kk = s.kk + 2 * shift * s.k + shift * shift * s.w;
  if (!(kx > 0) || !(kk > 0)) return params;
  return {usable_scale(kx / kk), params.zero_point - static_cast<int32_t>(shift)};
}

/// Least squares in turns while the error falls.
Candidate refined(Candidate candidate, CodeRange range, const FitData& data, bool fitted_zero) {
  for (int turn = 0; turn < 8; ++turn) {
    const LinearParams next = least_squares(candidate.params, range, data, fitted_zero);
    const double error = error_of(next, range, data);
    if (!(error < candidate.error)) break;
    candidate = {error, next};
  }
  return candidate;
}

/// Clipping ranges for an asymmetric system: both ends together, then the better high end for each low one and back.
std::vector<LinearParams> clipped_both_ends(const NumberFormat& format, ValueRange range, const FitData& data) {
  const CodeRange codes = format.system->codes(format);
  std::vector<LinearParams> tried;
  ValueRange best = range;
  double best_error = error_of(linear_params(format, range.low, range.high), codes, data);
  const auto attempt = [&](float low, float high) {
    const LinearParams params = linear_params(format, low, high);
    const double error = error_of(params, codes, data);
    tried.push_back(params);
    if (error < best_error) {
      best_error = error;
      best = {low, high};
    }
  };
  for (int i = 1; i <= kClips; ++i) {
    const float share = static_cast<float>(i) / kClips;
    attempt(range.low * share, range.high * share);
  }
  if (range.low == 0 || range.high == 0) return tried;
  for (int round = 0; round < 2; ++round) {
    const ValueRange from = best;
    for (int i = 1; i <= kClips / 4; ++i) attempt(range.low * static_cast<float>(i) / (kClips / 4), from.high);
    const float low = best.low;
    for (int i = 1; i <= kClips / 4; ++i) attempt(low, range.high * static_cast<float>(i) / (kClips / 4));
  }
  return tried;
}

}  // namespace

LinearParams linear_mse_params(const NumberFormat& format, ValueRange range, const FitData& data) {
  const CodeRange codes = format.system->codes(format);
  const LinearParams full = linear_params(format, range.low, range.high);
  if (range.low == range.high) return full;
  const FitSample sample(data, kSample);
  std::vector<LinearParams> tried;
  if (format.asymmetric) {
    tried = clipped_both_ends(format, range, sample.data());
  } else {
    for (int i = 1; i <= kClips; ++i) {
      const float share = static_cast<float>(i) / kClips;
      tried.push_back({std::max(full.scale * share, kSmallestScale), full.zero_point});
    }
  }
  std::vector<Candidate> candidates;
  for (LinearParams params : tried) candidates.push_back({error_of(params, codes, sample.data()), params});
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.error < b.error; });
  Candidate best{error_of(full, codes, data), full};
  for (size_t k = 0; k < std::min<size_t>(3, candidates.size()); ++k) {
    const Candidate start{error_of(candidates[k].params, codes, data), candidates[k].params};
    const Candidate found = refined(start, codes, data, format.asymmetric);
    if (found.error < best.error) best = found;
  }
  return best.params;
}

}  // namespace lowbit
