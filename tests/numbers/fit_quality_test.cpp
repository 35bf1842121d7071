// Fits against brute force, on 200 random groups and 200 groups of real weights.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>

#include <nlohmann/json.hpp>

#include "lowbit/base/random.h"
#include "lowbit/numbers/fit_data.h"
#include "lowbit/numbers/level_table.h"

namespace lowbit {
namespace {

constexpr size_t kGroups = 200;

std::vector<std::vector<float>> random_groups() {
  std::vector<std::vector<float>> groups;
  for (size_t g = 0; g < kGroups; ++g) {
    Random random(g);
    const size_t n = 4 + static_cast<size_t>(random.below(120));
    std::vector<float> x(n);
    for (float& value : x) {
      const double tail = g % 3 == 0 ? std::exp(1.5 * random.normal()) : 1;
      value = static_cast<float>(random.normal() * tail * 0.05 + (g % 5 == 0 ? 0.05 : 0));
      if (g % 7 == 0) value = std::abs(value);
    }
    groups.push_back(std::move(x));
  }
  return groups;
}

/// Runs of weights of a trained network (a safetensors file); empty without the assets.
std::vector<std::vector<float>> real_groups() {
  std::ifstream file(LOWBIT_ASSETS "/models/silero_vad/silero_vad_16k.safetensors", std::ios::binary);
  uint64_t header_bytes = 0;
  if (!file.read(reinterpret_cast<char*>(&header_bytes), sizeof(header_bytes))) return {};
  std::string header(header_bytes, '\0');
  file.read(header.data(), static_cast<std::streamsize>(header_bytes));
  std::vector<std::vector<float>> tensors;
  const nlohmann::json entries = nlohmann::json::parse(header);
  for (auto at = entries.begin(); at != entries.end(); ++at) {
    const std::string& name = at.key();
    const nlohmann::json& entry = at.value();
    if (name == "__metadata__" || entry["dtype"] != "F32") continue;
    const uint64_t begin = entry["data_offsets"][0], end = entry["data_offsets"][1];
    std::vector<float> values((end - begin) / sizeof(float));
    file.seekg(static_cast<std::streamoff>(sizeof(header_bytes) + header_bytes + begin));
    file.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(end - begin));
    if (values.size() >= 64) tensors.push_back(std::move(values));
  }
  std::vector<std::vector<float>> groups;
  for (size_t g = 0; g < kGroups && !tensors.empty(); ++g) {
    const std::vector<float>& tensor = tensors[g % tensors.size()];
    const size_t n = std::min<size_t>(tensor.size(), 64 + 8 * (g % 9));
    const size_t begin = g * 7919 % (tensor.size() - n + 1);
    groups.emplace_back(tensor.begin() + static_cast<ptrdiff_t>(begin),
                        tensor.begin() + static_cast<ptrdiff_t>(begin + n));
  }
  return groups;
}

double fit_error(const NumberFormat& format, const FitData& data, FitRule rule, std::vector<float>& params) {
  params.resize(static_cast<size_t>(format.system->param_count(format)));
  format.system->fit(format, data.x, data.importance, {.rule = rule}, params.data());
  return squared_error(format, params.data(), data);
}

/// The least error over 200 scales: shares of the covering one, all other parameters as the min-max fit has them.
double best_of_200_scales(const NumberFormat& format, const FitData& data) {
  std::vector<float> params;
  double best = fit_error(format, data, FitRule::minmax, params);
  const size_t at = format.standardized ? 2 : 0;
  const float full = params[at];
  for (int i = 1; i < 200; ++i) {
    params[at] = full * static_cast<float>(i) / 200;
    best = std::min(best, squared_error(format, params.data(), data));
  }
  return best;
}

void expect_as_good_as_brute_force(const std::vector<std::vector<float>>& groups, const char* what) {
  for (const char* name :
       {"int2",     "int3",     "int4",     "int8",     "int4-full", "int4-asym", "uint4",      "int4-mixed",
        "log4",     "log4-2",   "pot2-4",   "exp4",     "mulaw4",    "power4",    "piecewise4", "nf4",
        "fp4-e2m1", "fp6-e2m3", "fp6-e3m2", "fp8-e4m3", "ternary",   "binary",    "std-int4",   "std-nf4"}) {
    const NumberFormat format = parse_number_format(name);
    int worse = 0;
    double worst = 1;
    for (size_t g = 0; g < groups.size(); ++g) {
      std::vector<float> importance;
      Random random(g + 1000);
      if (g % 2 == 1)
        for (size_t i = 0; i < groups[g].size(); ++i) importance.push_back(static_cast<float>(random.uniform()));
      const FitData data{groups[g], importance};
      std::vector<float> params;
      const double found = fit_error(format, data, FitRule::mse, params), brute = best_of_200_scales(format, data);
      // A parameter is a float: what the search found in double moves by up to 2^-24 of itself.
      if (found > brute * (1 + 1e-5) + 1e-18) {
        ++worse;
        worst = std::max(worst, found / brute);
      }
    }
    EXPECT_EQ(worse, 0) << name << " on " << what << ": up to " << worst << " times the error of brute force";
  }
}

TEST(FitQuality, NoWorseThanBruteForceOnRandomGroups) {
  expect_as_good_as_brute_force(random_groups(), "random groups");
}

TEST(FitQuality, NoWorseThanBruteForceOnRealWeights) {
  const auto groups = real_groups();
  if (groups.empty()) GTEST_SKIP() << "no assets beside the source tree";
  expect_as_good_as_brute_force(groups, "real weights");
}

/// The least error of k levels on a few points: every way to cut the sorted points into k runs.
double best_of_all_cuts(std::vector<float> x, size_t k) {
  std::sort(x.begin(), x.end());
  const size_t n = x.size();
  std::vector<std::vector<double>> least(k + 1, std::vector<double>(n + 1, std::numeric_limits<double>::infinity()));
  least[0][0] = 0;
  for (size_t cells = 1; cells <= k; ++cells)
    for (size_t end = 1; end <= n; ++end)
      for (size_t begin = 0; begin < end; ++begin) {
        double sum = 0, squares = 0;
        for (size_t i = begin; i < end; ++i) {
          sum += static_cast<double>(x[i]);
          squares += static_cast<double>(x[i]) * static_cast<double>(x[i]);
        }
        const double error = squares - sum * sum / static_cast<double>(end - begin);
        least[cells][end] = std::min(least[cells][end], least[cells - 1][begin] + error);
      }
  double best = least[k][n];
  for (size_t cells = 1; cells < k; ++cells) best = std::min(best, least[cells][n]);
  return best;
}

TEST(FitQuality, CodebooksAreOptimal) {
  for (uint64_t seed = 0; seed < kGroups; ++seed) {
    Random random(seed);
    std::vector<float> x(5 + seed % 30);
    for (float& value : x) value = static_cast<float>(random.normal());
    for (const int bits : {1, 2, 3}) {
      const NumberFormat format = parse_number_format("codebook" + std::to_string(bits));
      std::vector<float> params;
      const double best = best_of_all_cuts(x, size_t{1} << bits);
      EXPECT_LE(fit_error(format, {x, {}}, FitRule::mse, params), best * (1 + 1e-5) + 1e-12) << "seed " << seed;
    }
  }
}

TEST(FitQuality, MixedTakesTheZeroPointOnlyWhereItPays) {
  const NumberFormat mixed = parse_number_format("int4-mixed"), fitted = parse_number_format("int4-asym");
  std::vector<float> params;
  std::vector<float> centred, shifted;
  for (int i = -50; i <= 50; ++i) {
    centred.push_back(static_cast<float>(i));
    shifted.push_back(static_cast<float>(i + 45));
  }
  for (const FitRule rule : {FitRule::minmax, FitRule::mse}) {
    fit_error(mixed, {centred, {}}, rule, params);
    EXPECT_EQ(params[1], 0);
    const double of_mixed = fit_error(mixed, {shifted, {}}, rule, params);
    EXPECT_NE(params[1], 0);
    EXPECT_DOUBLE_EQ(of_mixed, fit_error(fitted, {shifted, {}}, rule, params));
  }
  EXPECT_EQ(to_string(mixed), "int4-mixed");
  EXPECT_EQ(to_string(parse_number_format("uint8-mixed")), "uint8-mixed");
}

// The arithmetic of small floats against the table of their values, which is the definition.
TEST(FitQuality, SmallFloatArithmeticEqualsTheTable) {
  Random random(2);
  for (const char* name :
       {"fp8-e4m3", "fp8-e5m2", "fp6-e3m2", "fp6-e2m3", "fp4-e2m1", "mxfp8-e4m3", "mxfp4", "nvfp4"}) {
    const NumberFormat format = parse_number_format(name);
    const float one = 1;
    const LevelTable table(format, &one);
    std::vector<float> x = {0,      -0.0f,   INFINITY, -INFINITY, std::numeric_limits<float>::quiet_NaN(),
                            1e-45f, -1e-45f, 3e38f};
    const std::vector<float>& levels = table.levels();
    for (size_t k = 0; k + 1 < levels.size(); ++k) {
      const float middle = 0.5f * levels[k] + 0.5f * levels[k + 1];  // exact: few significant bits
      for (const float v : {levels[k], middle, std::nextafter(middle, -INFINITY), std::nextafter(middle, INFINITY)})
        x.push_back(v);
    }
    for (int i = 0; i < 100000; ++i) {
      const uint32_t bits = static_cast<uint32_t>(random.bits());
      float value;
      std::memcpy(&value, &bits, sizeof(value));
      x.push_back(value);
      x.push_back(static_cast<float>(random.normal() * 4));
    }
    std::vector<int32_t> expected(x.size()), codes(x.size());
    table.encode(x.data(), static_cast<int64_t>(x.size()), expected.data());
    encode(format, &one, x.data(), static_cast<int64_t>(x.size()), codes.data());
    for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(codes[i], expected[i]) << name << " " << x[i];
  }
}

}  // namespace
}  // namespace lowbit
