#include "lowbit/observe/histogram.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/observe/sample_data.h"

namespace lowbit {
namespace {

using testing::DataKind;
using testing::sample_values;

Histogram histogram_of(const std::vector<float>& x) {
  Histogram histogram;
  histogram.add(x);
  return histogram;
}

/// The histogram whose bin would hold v.
const Histogram::Bin* bin_of(const std::vector<Histogram::Bin>& bins, double v) {
  for (const Histogram::Bin& bin : bins) {
    if (v == 0 ? bin.low == bin.high : v > 0 ? bin.low <= v && v < bin.high : bin.low < v && v <= bin.high)
      if (v == 0 || bin.low != bin.high) return &bin;
  }
  return nullptr;
}

RC_GTEST_PROP(Histogram, has_the_counts_of_a_search_through_its_edges, ()) {
  const auto kind = static_cast<DataKind>(*rc::gen::inRange(0, testing::kDataKinds));
  std::vector<float> x = sample_values(kind, *rc::gen::inRange(0, 300), *rc::gen::arbitrary<uint32_t>());
  const std::vector<Histogram::Bin> bins = histogram_of(x).bins();
  std::erase_if(x, [](float v) { return !std::isfinite(v); });
  int64_t total = 0;
  for (const Histogram::Bin& bin : bins) {
    const auto n = std::count_if(x.begin(), x.end(), [&](float v) { return bin_of(bins, v) == &bin; });
    RC_ASSERT(bin.count == n);
    RC_ASSERT(bin.count > 0);
    total += bin.count;
  }
  RC_ASSERT(total == static_cast<int64_t>(x.size()));
  RC_ASSERT(histogram_of(x).total() == total);
}

RC_GTEST_PROP(Histogram, has_ascending_bins_of_one_64th_of_their_binade, ()) {
  const auto kind = static_cast<DataKind>(*rc::gen::inRange(0, testing::kDataKinds));
  const auto bins = histogram_of(sample_values(kind, 3000, *rc::gen::arbitrary<uint32_t>())).bins();
  for (size_t i = 0; i < bins.size(); ++i) {
    if (i > 0) RC_ASSERT(bins[i - 1].high <= bins[i].low);
    const double magnitude = std::min(std::fabs(bins[i].low), std::fabs(bins[i].high));
    if (magnitude >= 0x1p-126) RC_ASSERT(bins[i].high - bins[i].low <= magnitude / 64);
  }
}

RC_GTEST_PROP(Histogram, quantile_lies_in_the_bin_of_the_exact_one, ()) {
  const auto kind = static_cast<DataKind>(*rc::gen::inRange(0, testing::kDataKinds));
  std::vector<float> x = sample_values(kind, *rc::gen::inRange(1, 3000), *rc::gen::arbitrary<uint32_t>());
  std::erase_if(x, [](float v) { return !std::isfinite(v); });
  RC_PRE(!x.empty());
  const Histogram histogram = histogram_of(x);
  std::sort(x.begin(), x.end());
  const double p = *rc::gen::inRange(0, 1001) / 1000.0;
  const auto rank = static_cast<size_t>(std::max(1.0, std::ceil(p * static_cast<double>(x.size())))) - 1;
  const std::vector<Histogram::Bin> bins = histogram.bins();
  const Histogram::Bin* bin = bin_of(bins, x[rank]);
  RC_ASSERT(bin != nullptr);
  RC_ASSERT(bin->low <= histogram.quantile(p));
  RC_ASSERT(histogram.quantile(p) <= bin->high);
}

TEST(Histogram, spreads_a_bin_over_the_uniform_ones_by_their_share) {
  Histogram histogram;
  histogram.add(std::vector<float>(64, 1.0f));  // the bin [1, 1 + 1/64)
  histogram.add(std::vector<float>{0, 0, 0});
  histogram.add(std::vector<float>{-100, 100});
  const double quarter = 1.0 / 256;
  EXPECT_EQ(histogram.uniform(1 - quarter, 1 + 3 * quarter, 4), (std::vector<double>{0, 16, 16, 16}));
  EXPECT_EQ(histogram.uniform(-2, 2, 2), (std::vector<double>{0, 67}));
  EXPECT_EQ(histogram.uniform(0, 2, 4), (std::vector<double>{3, 0, 64, 0}));
}

TEST(Histogram, keeps_the_memory_it_promises) {
  const Histogram histogram = histogram_of(sample_values(DataKind::any_bits, 2000000, 3));
  EXPECT_LE(histogram.pages().size() * (sizeof(Histogram::Page) + 64), 600u * 1024);
  EXPECT_GE(histogram.pages().size(), 500u);
}

}  // namespace
}  // namespace lowbit
