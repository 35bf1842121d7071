// Properties that every row of the table must have, over every format that its names offer.
#include <gtest/gtest.h>
#include <hwy/targets.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "lowbit/base/error.h"
#include "lowbit/base/random.h"
#include "lowbit/numbers/granularity.h"
#include "lowbit/numbers/level_table.h"
#include "lowbit/numbers/number_system.h"

namespace lowbit {
namespace {

constexpr float kMostFloat = std::numeric_limits<float>::max();

/// Every format that a name of the forms STEM, STEMn, STEM-n, STEMn-m or "std-" and one of these can give.
std::vector<NumberFormat> every_format() {
  std::vector<NumberFormat> formats;
  for (const NumberSystem* system : number_systems()) {
    std::vector<std::string> tails = {""};
    for (int bits = system->min_bits; bits <= system->max_bits; ++bits)
      for (const char* more : {"", "-2", "-3", "-asym", "-full", "-asym-narrow", "-sym", "-mixed"})
        tails.insert(tails.end(), {std::to_string(bits) + more, "-" + std::to_string(bits) + more});
    for (const std::string& tail : tails) {
      if (!system->parse(tail)) continue;
      const std::string name = std::string(system->name) + tail;
      formats.push_back(parse_number_format(name));
      formats.push_back(parse_number_format("std-" + name));
    }
  }
  return formats;
}

bool has_wide_codes(const NumberFormat& format) { return format.bits > 8; }

struct Fitted {
  NumberFormat format;
  std::vector<float> params;

  Fitted(const NumberFormat& f, const std::vector<float>& x, FitRule rule, const std::vector<float>& importance = {})
      : format(f), params(static_cast<size_t>(f.system->param_count(f))) {
    f.system->fit(f, x, importance, {.rule = rule, .low = -1, .high = 1}, params.data());
  }
  int32_t code(float x) const {
    int32_t result;
    encode(format, params.data(), &x, 1, &result);
    return result;
  }
  float value(int32_t c) const {
    float result;
    decode(format, params.data(), &c, 1, &result);
    return result;
  }
  std::vector<int32_t> codes(const std::vector<float>& x) const {
    std::vector<int32_t> result(x.size());
    encode(format, params.data(), x.data(), static_cast<int64_t>(x.size()), result.data());
    return result;
  }
  std::vector<float> values(const std::vector<int32_t>& c) const {
    std::vector<float> result(c.size());
    decode(format, params.data(), c.data(), static_cast<int64_t>(c.size()), result.data());
    return result;
  }
  double error(const std::vector<float>& x, const std::vector<float>& importance) const {
    const std::vector<float> y = values(codes(x));
    double sum = 0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double d = static_cast<double>(x[i]) - static_cast<double>(y[i]);
      sum += (importance.empty() ? 1.0 : static_cast<double>(importance[i])) * d * d;
    }
    return sum;
  }
};

std::vector<float> bell(uint64_t seed, size_t n, double scale = 1, double shift = 0) {
  Random random(seed);
  std::vector<float> x(n);
  for (float& value : x) value = static_cast<float>(shift + scale * random.normal() * (random.below(8) == 0 ? 3 : 1));
  return x;
}

std::vector<int32_t> all_codes(const NumberFormat& format) {
  const CodeRange range = format.system->codes(format);
  std::vector<int32_t> codes;
  for (int32_t code = range.min; code <= range.max; ++code) codes.push_back(code);
  return codes;
}

TEST(EverySystem, DescribesItself) {
  for (const NumberSystem* system : number_systems()) {
    EXPECT_FALSE(system->summary.empty()) << system->name;
    EXPECT_LE(system->min_bits, system->max_bits) << system->name;
    EXPECT_EQ(find_number_system(system->name), system);
    if (!system->default_granularity.empty()) {
      EXPECT_NO_THROW(parse_granularity(system->default_granularity)) << system->name;
    }
  }
  EXPECT_EQ(find_number_system("nosuch"), nullptr);
  EXPECT_GT(every_format().size(), 200u);
}

TEST(EverySystem, NamesReadBack) {
  for (const NumberFormat& format : every_format()) {
    const std::string name = to_string(format);
    EXPECT_EQ(parse_number_format(name), format) << name;
    EXPECT_GE(format.bits, format.system->min_bits) << name;
    EXPECT_LE(format.bits, format.system->max_bits) << name;
    EXPECT_LE(format.system->codes(format).count(), int64_t{1} << format.bits) << name;
  }
}

TEST(EverySystem, TheNamesOfTheContractExist) {
  for (const char* name : {"int1",       "int16",      "uint1",    "uint16",     "log4",      "log4-2",   "pot2-4",
                           "exp4",       "mulaw4",     "power4",   "piecewise4", "codebook3", "nf4",      "float16",
                           "bfloat16",   "fp8-e4m3",   "fp8-e5m2", "fp6-e3m2",   "fp6-e2m3",  "fp4-e2m1", "mxfp4",
                           "mxfp6-e3m2", "mxfp8-e4m3", "nvfp4",    "ternary",    "binary",    "std-int4"})
    EXPECT_NO_THROW(parse_number_format(name)) << name;
}

TEST(EverySystem, DecodedCodesEncodeToTheSameValue) {
  for (const NumberFormat& format : every_format())
    for (FitRule rule : {FitRule::minmax, FitRule::mse, FitRule::range}) {
      const Fitted fitted(format, bell(1, 300), rule);
      std::vector<float> values;
      for (float value : fitted.values(all_codes(format)))
        if (std::isfinite(value)) values.push_back(value);
      ASSERT_EQ(fitted.values(fitted.codes(values)), values) << to_string(format);
    }
}

TEST(EverySystem, DecodeIsTheDefinitionRoundedToFloat) {
  for (const NumberFormat& format : every_format()) {
    const Fitted fitted(format, bell(2, 300), FitRule::minmax);
    const std::vector<int32_t> codes = all_codes(format);
    const std::vector<float> values = fitted.values(codes);
    for (size_t i = 0; i < codes.size(); ++i) {
      const double level = format.system->level(format, fitted.params.data(), codes[i]);
      if (std::isnan(level))
        EXPECT_TRUE(std::isnan(values[i])) << to_string(format);
      else
        ASSERT_EQ(values[i], saturate_to_float(level)) << to_string(format) << " code " << codes[i];
    }
    EXPECT_EQ(fitted.value(codes.front()), values.front()) << "one code alone decodes as in a crowd";
  }
}

TEST(EverySystem, SignedCodesRiseWithTheirLevels) {
  for (const NumberFormat& format : every_format()) {
    const std::string_view stem = format.system->name;
    const bool bit_pattern = stem.find("fp") != std::string_view::npos || stem.find("float") != std::string_view::npos;
    if (bit_pattern) continue;
    const std::vector<float> values = Fitted(format, bell(3, 300), FitRule::mse).values(all_codes(format));
    EXPECT_TRUE(std::is_sorted(values.begin(), values.end())) << to_string(format);
  }
}

TEST(EverySystem, ZeroIsExactWherePromised) {
  for (const NumberFormat& format : every_format()) {
    const std::string_view stem = format.system->name;
    if (format.standardized || stem == "codebook" || stem == "binary") continue;
    for (double shift : {0.0, 5.0, -5.0}) {
      const Fitted fitted(format, bell(4, 200, 1, shift), FitRule::mse);
      EXPECT_EQ(fitted.value(fitted.code(0)), 0) << to_string(format) << " shift " << shift;
    }
  }
}

TEST(EverySystem, EncodeChoosesANearestLevel) {
  for (const NumberFormat& format : every_format()) {
    if (has_wide_codes(format)) continue;
    const Fitted fitted(format, bell(5, 300), FitRule::minmax);
    std::vector<float> levels;
    for (float value : fitted.values(all_codes(format)))
      if (std::isfinite(value)) levels.push_back(value);
    std::vector<float> x = bell(6, 300, 1.3);
    for (size_t i = 0; i + 1 < levels.size(); ++i) x.push_back(0.5f * levels[i] + 0.5f * levels[i + 1]);
    const std::vector<float> y = fitted.values(fitted.codes(x));
    for (size_t i = 0; i < x.size(); ++i) {
      const auto distance = [&](float level) {
        return std::abs(static_cast<double>(x[i]) - static_cast<double>(level));
      };
      double best = distance(levels[0]);
      for (float level : levels) best = std::min(best, distance(level));
      // Systems with a scale compare x / scale, a quotient rounded by 2^-24 of itself.
      ASSERT_LE(distance(y[i]), best + 0x1p-22 * (std::abs(x[i]) + std::abs(y[i]))) << to_string(format) << " " << x[i];
    }
  }
}

TEST(EverySystem, DegenerateGroupsHaveUsableParameters) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<std::vector<float>> groups = {{},
                                                  {0, 0, 0},
                                                  {0.7f},
                                                  {-3, -3, -3},
                                                  {1e-45f, -1e-45f},
                                                  {1e38f, -1e38f, 3},
                                                  {kMostFloat, -kMostFloat},
                                                  {1e-38f, 1, 1e30f}};
  const std::vector<float> probes = {0, 1, -1, 1e-45f, kMostFloat, -kMostFloat, INFINITY, -INFINITY, nan};
  for (const NumberFormat& format : every_format()) {
    const CodeRange range = format.system->codes(format);
    for (const std::vector<float>& group : groups)
      for (FitRule rule : {FitRule::minmax, FitRule::mse, FitRule::range}) {
        const Fitted fitted(format, group, rule);
        for (float param : fitted.params) ASSERT_TRUE(std::isfinite(param)) << to_string(format);
        const std::vector<int32_t> codes = fitted.codes(probes);
        for (int32_t code : codes) {
          ASSERT_TRUE(code >= range.min && code <= range.max) << to_string(format);
          ASSERT_TRUE(std::isfinite(fitted.value(code))) << to_string(format) << " code " << code;
        }
        ASSERT_EQ(fitted.value(codes.back()), fitted.value(codes[0])) << "NaN counts as 0 in " << to_string(format);
      }
  }
}

TEST(EverySystem, OneRepeatedValueIsMetExactly) {
  for (const NumberFormat& format : every_format()) {
    const std::string_view stem = format.system->name;
    // Scales of few bits and 16-bit floats cannot meet every value; linear systems round scale * steps.
    if (stem.starts_with("mx") || stem == "nvfp4" || stem.ends_with("float16")) continue;
    if (format.bits == 1 && stem == "int") continue;
    const Fitted fitted(format, {0.37f, 0.37f, 0.37f}, FitRule::minmax);
    EXPECT_NEAR(fitted.value(fitted.code(0.37f)), 0.37f, 0.37f * 0x1p-22f) << to_string(format);
  }
}

/// Brute force over the scale: the parameters of the min-max fit with their first value (after mean and deviation)
/// multiplied. Only for systems whose first parameter is a scale.
double brute_force_error(const Fitted& minmax, const std::vector<float>& x, const std::vector<float>& importance) {
  double best = std::numeric_limits<double>::infinity();
  const size_t at = minmax.format.standardized ? 2 : 0;
  for (int i = 1; i <= 200; ++i) {
    Fitted scaled = minmax;
    scaled.params[at] = minmax.params[at] * static_cast<float>(i) / 200;
    best = std::min(best, scaled.error(x, importance));
  }
  return best;
}

TEST(EverySystem, MseFitIsNoWorseThanBruteForceOverTheScale) {
  for (const NumberFormat& format : every_format()) {
    const std::string_view stem = format.system->name;
    // A share of a power of two or of an fp8 scale is no such scale; a codebook has no scale; no fit in 16-bit floats.
    if (stem.starts_with("mx") || stem == "nvfp4" || stem == "codebook" || stem.ends_with("float16")) continue;
    if (has_wide_codes(format)) continue;
    for (uint64_t trial = 0; trial < 6; ++trial) {
      std::vector<float> x = bell(trial, 8 + 40 * trial, 0.1, trial % 2 ? 0.05 : 0);
      if (trial == 4)
        for (float& value : x) value = std::abs(value);
      std::vector<float> importance;
      Random random(trial);
      if (trial >= 3)
        for (size_t i = 0; i < x.size(); ++i) importance.push_back(static_cast<float>(random.uniform()));
      const double brute = brute_force_error(Fitted(format, x, FitRule::minmax, importance), x, importance);
      const double found = Fitted(format, x, FitRule::mse, importance).error(x, importance);
      EXPECT_LE(found, brute * 1.01 + 1e-12) << to_string(format) << " trial " << trial;
    }
  }
}

TEST(EverySystem, ImportanceMovesTheFit) {
  const std::vector<float> x = bell(11, 400);
  std::vector<float> importance(x.size(), 1e-3f);
  for (size_t i = 0; i < x.size(); ++i)
    if (std::abs(x[i]) < 0.5f) importance[i] = 1;
  for (const char* name : {"int3", "uint3", "log4", "pot2-4", "exp3", "power3", "piecewise3", "codebook3", "nf3",
                           "fp4-e2m1", "ternary", "binary", "mxfp4", "std-int3"}) {
    const NumberFormat format = parse_number_format(name);
    EXPECT_LE(Fitted(format, x, FitRule::mse, importance).error(x, importance),
              Fitted(format, x, FitRule::mse).error(x, importance) * (1 + 1e-6))
        << name;
  }
}

TEST(EverySystem, EveryInstructionSetGivesTheSameCodesAndValues) {
  const std::vector<float> x = bell(8, 1003, 1.2);
  for (const NumberFormat& format : every_format()) {
    const Fitted fitted(format, x, FitRule::minmax);
    const std::vector<int32_t> codes = fitted.codes(x);
    const std::vector<float> values = fitted.values(codes);
    for (uint32_t targets = static_cast<uint32_t>(hwy::SupportedTargets()); targets != 0; targets &= targets - 1) {
      hwy::SetSupportedTargetsForTest(targets & (0 - targets));
      hwy::GetChosenTarget().Update(hwy::SupportedTargets());
      EXPECT_EQ(fitted.codes(x), codes) << to_string(format);
      EXPECT_EQ(fitted.values(codes), values) << to_string(format);
      hwy::SetSupportedTargetsForTest(0);
    }
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
}

// Parameters may come from a damaged file: any floats at all must give codes of the range, and never undefined
// behaviour.
TEST(EverySystem, MadParametersGiveCodesOfTheRange) {
  const std::vector<float> mad = {0, -1, NAN, INFINITY, -INFINITY, 1e38f, 1e-45f, -3e9f};
  for (const NumberFormat& format : every_format()) {
    const CodeRange range = format.system->codes(format);
    Fitted fitted(format, {1, -2, 3}, FitRule::minmax);
    for (float value : mad)
      for (size_t at = 0; at <= std::min<size_t>(fitted.params.size(), 5); ++at) {
        Fitted broken = fitted;
        if (at < broken.params.size())
          broken.params[at] = value;
        else
          std::fill(broken.params.begin(), broken.params.end(), value);
        for (int32_t code : broken.codes({0, 1, -1, NAN, INFINITY, 1e30f})) {
          ASSERT_TRUE(code >= range.min && code <= range.max) << to_string(format);
          broken.value(code);
        }
      }
  }
}

RC_GTEST_PROP(EverySystem, ValuesSurviveAnyDataAndAnyCode, ()) {
  static const std::vector<NumberFormat> formats = every_format();
  const NumberFormat& format = *rc::gen::elementOf(formats);
  std::vector<float> x;
  const double power = *rc::gen::inRange(-40, 38);
  const auto mantissas = *rc::gen::arbitrary<std::vector<int16_t>>();
  for (int16_t m : mantissas) x.push_back(static_cast<float>(m * 1e-4 * std::pow(10.0, power)));
  const FitRule rule = *rc::gen::element(FitRule::minmax, FitRule::mse);
  const Fitted fitted(format, x, rule);
  const std::vector<float> y = fitted.values(fitted.codes(x));
  RC_ASSERT(fitted.values(fitted.codes(y)) == y);
}

}  // namespace
}  // namespace lowbit
