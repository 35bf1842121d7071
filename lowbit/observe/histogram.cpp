#include "lowbit/observe/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "lowbit/observe/accumulate.h"

namespace lowbit {
namespace {

constexpr int kKeyShift = 32 - (1 + 8 + Histogram::kMantissaBits);

/// The value at the lower end (in magnitude) of the bin whose top 15 bits are `top`; 2^128 behind the last one.
double magnitude_edge(int32_t top) {
  if (top == Histogram::kMaxKey + 1) return 0x1p128;
  return std::bit_cast<float>(static_cast<uint32_t>(top) << kKeyShift);
}

}  // namespace

void Histogram::add(std::span<const float> x) {
  ValueAccumulator accumulator(x.size());
  accumulator.add(x);
  TensorStatistics all;
  accumulator.finish(all);
  merge(all.histogram);
}

void Histogram::add_key(int32_t key, int64_t n) {
  pages_[static_cast<int16_t>(key >> kMantissaBits)][static_cast<size_t>(key & (kPageBins - 1))] += n;
}

void Histogram::add_top_bits(std::span<const uint32_t> top_bits) {
  std::array<Page*, 2 * kSignBit / kPageBins>
      found{};  // by the bits above the mantissa, so that a page is looked up once
  for (uint32_t top : top_bits) {
    const int32_t key = key_of(top);
    Page*& page = found[top >> kMantissaBits];
    if (page == nullptr) page = &pages_[static_cast<int16_t>(key >> kMantissaBits)];
    ++(*page)[static_cast<size_t>(key & (kPageBins - 1))];
  }
}

void Histogram::merge(const Histogram& other) {
  zeros_ += other.zeros_;
  for (const auto& [index, counts] : other.pages_) {
    Page& page = pages_[index];
    for (size_t i = 0; i < page.size(); ++i) page[i] += counts[i];
  }
}

int64_t Histogram::total() const {
  int64_t total = zeros_;
  for (const auto& [index, counts] : pages_)
    for (int64_t count : counts) total += count;
  return total;
}

double Histogram::low_edge(int32_t key) { return key >= 0 ? magnitude_edge(key) : -magnitude_edge(-key); }
double Histogram::high_edge(int32_t key) { return key >= 0 ? magnitude_edge(key + 1) : -magnitude_edge(-1 - key); }

std::vector<Histogram::Bin> Histogram::bins() const {
  std::vector<Bin> result;
  bool zeros_pending = zeros_ > 0;
  for (const auto& [index, counts] : pages_) {
    if (index >= 0 && zeros_pending) {
      result.push_back({0, 0, zeros_});
      zeros_pending = false;
    }
    for (int32_t i = 0; i < kPageBins; ++i) {
      const int32_t key = index * kPageBins + i;
      const int64_t count = counts[static_cast<size_t>(i)];
      if (count > 0) result.push_back({low_edge(key), high_edge(key), count});
    }
  }
  if (zeros_pending) result.push_back({0, 0, zeros_});
  return result;
}

std::vector<double> Histogram::uniform(double low, double high, int n) const {
  std::vector<double> result(static_cast<size_t>(n));
  const double width = (high - low) / n;
  const auto index_of = [&](double x) { return std::clamp(static_cast<int>((x - low) / width), 0, n - 1); };
  for (const Bin& bin : bins()) {
    if (bin.high < low || bin.low > high) continue;
    const auto count = static_cast<double>(bin.count);
    if (bin.low == bin.high) {
      result[static_cast<size_t>(index_of(bin.low))] += count;
      continue;
    }
    const double density = count / (bin.high - bin.low);
    const double begin = std::max(bin.low, low), end = std::min(bin.high, high);
    for (int i = index_of(begin), last = index_of(end); i <= last; ++i) {
      const double from = std::max(begin, low + i * width);
      const double to = i == last ? end : std::min(end, low + (i + 1) * width);
      if (to > from) result[static_cast<size_t>(i)] += density * (to - from);
    }
  }
  return result;
}

double Histogram::quantile(double p) const {
  const std::vector<Bin> all = bins();
  if (all.empty()) return 0;
  const double target = std::clamp(p, 0.0, 1.0) * static_cast<double>(total());
  double below = 0;
  for (const Bin& bin : all) {
    const auto count = static_cast<double>(bin.count);
    if (below + count >= target) return bin.low + (bin.high - bin.low) * std::clamp((target - below) / count, 0.0, 1.0);
    below += count;
  }
  return all.back().high;
}

}  // namespace lowbit
