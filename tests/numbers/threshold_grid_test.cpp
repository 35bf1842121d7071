// Encoding through a grid of cells against the plain search: the same codes for every float, on every instruction set.
#include "lowbit/numbers/threshold_grid.h"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "lowbit/base/random.h"
#include "lowbit/numbers/level_table.h"

namespace lowbit {
namespace {

constexpr float kBeyond = std::numeric_limits<float>::infinity();

/// The thresholds, their neighbours, every kind of float, and patterns at random.
std::vector<float> probes(std::span<const float> thresholds) {
  std::vector<float> x = {0,      -0.0f,   kBeyond, -kBeyond, std::numeric_limits<float>::quiet_NaN(),
                          1e-45f, -1e-45f, 3.4e38f, -3.4e38f};
  for (const float t : thresholds)
    for (const float v : {t, std::nextafter(t, -kBeyond), std::nextafter(t, kBeyond)}) x.push_back(v);
  Random random(5);
  for (int i = 0; i < 20000; ++i) {
    const auto bits = static_cast<uint32_t>(random.bits());
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    x.push_back(value);
    x.push_back(static_cast<float>(random.normal()));
  }
  return x;
}

void expect_counts(const std::vector<float>& thresholds, const char* what) {
  const auto grid = threshold_grid(thresholds);
  ASSERT_TRUE(grid) << what;
  std::vector<int32_t> code_of(thresholds.size() + 1);
  for (size_t k = 0; k < code_of.size(); ++k) code_of[k] = static_cast<int32_t>(3 * k);  // not counting by one
  const std::vector<float> x = probes(thresholds);
  std::vector<int32_t> codes(x.size());
  grid_encode_loop(*grid, code_of, x.data(), static_cast<int64_t>(x.size()), codes.data());
  for (size_t i = 0; i < x.size(); ++i) {
    const float value = std::isnan(x[i]) ? 0 : x[i];
    const auto below = std::lower_bound(thresholds.begin(), thresholds.end(), value) - thresholds.begin();
    ASSERT_EQ(codes[i], 3 * below) << what << " " << x[i];
  }
}

TEST(ThresholdGrid, CountsTheThresholdsBelow) {
  std::vector<float> even, logarithmic, clustered;
  for (int k = 0; k < 255; ++k) even.push_back(0.3f + 0.07f * static_cast<float>(k - 127));
  for (int k = -60; k <= 60; ++k) logarithmic.push_back(k < 0 ? -std::ldexp(1.0f, -k - 40) : std::ldexp(1.0f, k - 40));
  std::sort(logarithmic.begin(), logarithmic.end());
  Random random(1);
  for (int k = 0; k < 4000; ++k) clustered.push_back(static_cast<float>(std::pow(random.normal(), 3)));
  std::sort(clustered.begin(), clustered.end());
  clustered.erase(std::unique(clustered.begin(), clustered.end()), clustered.end());
  for (uint32_t targets = static_cast<uint32_t>(hwy::SupportedTargets()); targets != 0; targets &= targets - 1) {
    hwy::SetSupportedTargetsForTest(targets & (0 - targets));
    expect_counts(even, "even");
    expect_counts(logarithmic, "logarithmic");
    expect_counts(clustered, "clustered");
    hwy::SetSupportedTargetsForTest(0);
  }
}

TEST(ThresholdGrid, IsLeftOutWhereItSavesNothing) {
  EXPECT_FALSE(threshold_grid(std::vector<float>{0}));
  EXPECT_FALSE(threshold_grid(std::vector<float>{-1, 0, 1}));
  std::vector<float> wide;  // a range that is no float, and few binades
  for (int k = 0; k < 100; ++k) wide.push_back(-3e38f + 6e36f * static_cast<float>(k));
  EXPECT_FALSE(threshold_grid(wide));
}

TEST(ThresholdGrid, ManyValuesGetTheCodesOfFew) {
  for (const char* name : {"codebook6", "codebook8", "log8-2", "log6", "nf8", "piecewise8", "std-int8", "std-int12",
                           "std-log8", "std-fp8-e4m3", "power7"}) {
    const NumberFormat format = parse_number_format(name);
    Random random(8);
    std::vector<float> data(3000), params(static_cast<size_t>(format.system->param_count(format)));
    for (float& value : data) value = static_cast<float>(random.normal() * std::exp(random.normal()));
    format.system->fit(format, data, {}, {}, params.data());
    const LevelTable table(format, params.data());
    std::vector<float> middles;
    for (size_t k = 0; k + 1 < table.levels().size(); ++k)
      middles.push_back(0.5f * table.levels()[k] + 0.5f * table.levels()[k + 1]);
    const std::vector<float> x = probes(middles);
    std::vector<int32_t> at_once(x.size()), in_parts(x.size());
    table.encode(x.data(), static_cast<int64_t>(x.size()), at_once.data());
    for (size_t i = 0; i < x.size(); i += 100)
      table.encode(x.data() + i, static_cast<int64_t>(std::min<size_t>(100, x.size() - i)), in_parts.data() + i);
    EXPECT_EQ(at_once, in_parts) << name;
  }
}

}  // namespace
}  // namespace lowbit
