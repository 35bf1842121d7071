#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "lowbit/numbers/vector_search.cpp"
#include <hwy/foreach_target.h>
// Must come after foreach_target.h.
#include <hwy/highway.h>

#include "lowbit/numbers/vector_search.h"

HWY_BEFORE_NAMESPACE();
namespace lowbit::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using DoubleTag = hn::ScalableTag<double>;

struct Nearest {
  double index, error;
};

/// The first of `padded` columns with the least weighted distance to x. Indices are kept as doubles, which hold them
/// exactly. `weights` may be null.
template <bool kWeighted>
HWY_INLINE Nearest nearest_column(const double* columns, int64_t padded, int components, const double* x,
                                  const double* weights) {
  const DoubleTag d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  auto best = hn::Inf(d);
  auto best_index = hn::Zero(d);
  auto index = hn::Iota(d, 0);
  const auto step = hn::Set(d, static_cast<double>(lanes));
  for (int64_t k = 0; k < padded; k += lanes) {
    auto sum = hn::Zero(d);
    for (int j = 0; j < components; ++j) {
      const auto difference = hn::Sub(hn::LoadU(d, columns + j * padded + k), hn::Set(d, x[j]));
      auto square = hn::Mul(difference, difference);
      if constexpr (kWeighted) square = hn::Mul(square, hn::Set(d, weights[j]));
      sum = hn::Add(sum, square);
    }
    const auto closer = hn::Lt(sum, best);
    best = hn::IfThenElse(closer, sum, best);
    best_index = hn::IfThenElse(closer, index, best_index);
    index = hn::Add(index, step);
  }
  HWY_ALIGN double errors[hn::MaxLanes(DoubleTag())], indices[hn::MaxLanes(DoubleTag())];
  hn::Store(best, d, errors);
  hn::Store(best_index, d, indices);
  Nearest result{indices[0], errors[0]};
  for (int64_t lane = 1; lane < lanes; ++lane)
    if (errors[lane] < result.error || (errors[lane] == result.error && indices[lane] < result.index))
      result = {indices[lane], errors[lane]};
  return result;
}

/// x: vectors [n, components] of finite doubles.
void nearest_columns(const double* columns, int64_t padded, int components, const double* x, const double* weights,
                     int64_t n, int32_t* codes, double* errors) {
  for (int64_t i = 0; i < n; ++i) {
    const Nearest found =
        weights ? nearest_column<true>(columns, padded, components, x + i * components, weights + i * components)
                : nearest_column<false>(columns, padded, components, x + i * components, nullptr);
    codes[i] = static_cast<int32_t>(found.index);
    if (errors) errors[i] = found.error;
  }
}

}  // namespace lowbit::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace lowbit {

HWY_EXPORT(nearest_columns);

namespace {

constexpr int64_t kLaneMultiple = 8;  ///< doubles of the widest target

double finite(float value) {
  constexpr float kMost = std::numeric_limits<float>::max();
  return std::isnan(value) ? 0.0 : static_cast<double>(std::clamp(value, -kMost, kMost));
}

}  // namespace

VectorTable::VectorTable(std::span<const float> entries, int64_t count, int size)
    : count_(count),
      padded_((count + kLaneMultiple - 1) / kLaneMultiple * kLaneMultiple),
      size_(size),
      columns_(static_cast<size_t>(padded_ * size), std::numeric_limits<double>::infinity()) {
  for (int64_t k = 0; k < count; ++k)
    for (int j = 0; j < size; ++j) {
      const float value = entries[static_cast<size_t>(k * size + j)];
      columns_[static_cast<size_t>(j * padded_ + k)] = std::isfinite(value) ? static_cast<double>(value) : 0.0;
    }
}

void VectorTable::nearest(const float* x, const float* weights, int64_t n, int32_t* codes, double* errors) const {
  constexpr size_t kBlock = 1024;
  std::array<double, kBlock> values, factors;
  const auto search = [&](int64_t begin, int components, int64_t vectors, int64_t first_code) {
    for (int64_t i = 0; i < vectors * components; ++i) {
      values[static_cast<size_t>(i)] = finite(x[begin + i]);
      if (weights) factors[static_cast<size_t>(i)] = static_cast<double>(weights[begin + i]);
    }
    HWY_DYNAMIC_DISPATCH(nearest_columns)
    (columns_.data(), padded_, components, values.data(), weights ? factors.data() : nullptr, vectors,
     codes + first_code, errors ? errors + first_code : nullptr);
  };
  const int64_t whole = n / size_, block = static_cast<int64_t>(kBlock) / size_;
  for (int64_t at = 0; at < whole; at += block) search(at * size_, size_, std::min(block, whole - at), at);
  if (n % size_ != 0) search(whole * size_, static_cast<int>(n % size_), 1, whole);
}

}  // namespace lowbit
#endif
