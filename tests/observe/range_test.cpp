#include "lowbit/observe/range.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "lowbit/base/error.h"
#include "lowbit/base/random.h"
#include "lowbit/numbers/linear.h"

namespace lowbit {
namespace {

using Draw = std::function<double(Random&)>;

double normal(Random& random) { return random.normal(); }
double laplace(Random& random) {
  const double u = random.uniform() - 0.5;
  return (u < 0 ? 1 : -1) * std::log(1 - 2 * std::abs(u));
}
double relu(Random& random) { return std::max(0.0, random.normal()); }
double uniform(Random& random) { return random.uniform() * 4 - 1; }
double sigmoid(Random& random) { return 1 / (1 + std::exp(-2 * random.normal())); }
double saturated(Random& random) { return 1 / (1 + std::exp(-6 * random.normal())); }
double silu(Random& random) {
  const double x = 2 * laplace(random);
  return x / (1 + std::exp(-x));
}

std::vector<float> draws(const Draw& draw, int64_t n, uint64_t seed = 1) {
  Random random(seed);
  std::vector<float> x(static_cast<size_t>(n));
  for (float& v : x) v = static_cast<float>(draw(random));
  return x;
}

TensorStatistics statistics_of(const std::vector<float>& x) {
  TensorStatistics s;
  s.add(Tensor::from({static_cast<int64_t>(x.size())}, x), /*batched=*/false);
  return s;
}

Range range_of(const std::vector<float>& x, const std::string& rule, const std::string& format) {
  return choose_range(statistics_of(x), parse_range_rule(rule), parse_number_format(format));
}

/// The mean squared error of encoding and decoding the values themselves.
double brute_force_mse(const std::vector<float>& x, const NumberFormat& format, float low, float high) {
  std::vector<float> params(static_cast<size_t>(format.system->param_count(format)));
  format.system->fit(format, {}, {}, {FitRule::range, low, high}, params.data());
  std::vector<int32_t> codes(x.size());
  std::vector<float> back(x.size());
  encode(format, params.data(), x.data(), static_cast<int64_t>(x.size()), codes.data());
  decode(format, params.data(), codes.data(), static_cast<int64_t>(x.size()), back.data());
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += std::pow(static_cast<double>(x[i]) - static_cast<double>(back[i]), 2);
  return sum / static_cast<double>(x.size());
}

TEST(RangeRule, names_are_read_back) {
  for (const char* text : {"minmax", "average", "percentile:99.9", "mse", "entropy", "adaptive"})
    EXPECT_EQ(to_string(parse_range_rule(text)), text);
  EXPECT_EQ(to_string(parse_range_rule("percentile")), "percentile:99.999");
  EXPECT_EQ(parse_range_rule("percentile:100").percentile, 100.0);
}

TEST(RangeRule, names_that_do_not_exist_are_refused_with_the_nearest) {
  for (const char* text : {"", "mmse", "entropie", "percentile:", "percentile:0", "percentile:101", "percentile:nan",
                           "percentile:99,9", "mse:1", "minmax:"})
    EXPECT_THROW(parse_range_rule(text), Error) << text;
  try {
    parse_range_rule("entropie");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_argument);
    EXPECT_NE(error.message().find("entropy"), std::string::npos);
  }
}

TEST(Range, of_minmax_widens_to_zero) {
  const Range range = range_of({2, 5, 3}, "minmax", "uint8");
  EXPECT_EQ(range.low, 0);
  EXPECT_EQ(range.high, 5);
  EXPECT_EQ(range_of({-2, -5}, "minmax", "uint8").high, 0);
}

TEST(Range, of_average_is_the_mean_of_the_extremes_of_the_samples) {
  TensorStatistics s;
  s.add(Tensor::from<float>({2, 2}, {-1, 2, -3, 6}), /*batched=*/true);
  s.add(Tensor::from<float>({1, 2}, {-2, 1}), /*batched=*/true);
  const Range range = choose_range(s, parse_range_rule("average"), parse_number_format("uint8"));
  EXPECT_FLOAT_EQ(range.low, -2);
  EXPECT_FLOAT_EQ(range.high, 3);
}

TEST(Range, of_percentile_cuts_both_sides_or_the_only_one) {
  std::vector<float> x(20001);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i) - 10000;
  const Range both = range_of(x, "percentile:99", "uint8");
  EXPECT_NEAR(both.low, -9900, 9900.0 / 64);
  EXPECT_NEAR(both.high, 9900, 9900.0 / 64);
  for (float& v : x) v += 10000;
  const Range one = range_of(x, "percentile:99", "uint8");
  EXPECT_EQ(one.low, 0);
  EXPECT_NEAR(one.high, 19800, 19800.0 / 64);
  EXPECT_EQ(range_of(x, "percentile:100", "uint8").high, 20000);
}

TEST(Range, always_holds_zero_and_is_finite) {
  const float most = std::numeric_limits<float>::max(), least = 1e-45f;
  const std::vector<std::vector<float>> cases = {
      {0, 0, 0},    {5, 5, 5, 5},    {-5},          {1e-40f},      {least},         {most},         {-most, most},
      {-1, -2, -3}, {least, -least}, {most, least}, {-most, 0, 1}, {1, 1.0000001f}, {1e-38f, 1e38f}};
  for (const std::vector<float>& x : cases) {
    for (const char* rule : {"minmax", "average", "percentile:90", "mse", "entropy", "adaptive"}) {
      for (const char* format : {"int8", "uint8", "uint4", "int16", "uint1", "std-int4"}) {
        const Range range = range_of(x, rule, format);
        EXPECT_TRUE(std::isfinite(range.low) && std::isfinite(range.high)) << rule << " " << format << " " << x[0];
        EXPECT_TRUE(range.low <= 0 && range.high >= 0) << rule << " " << format << " " << x[0];
        EXPECT_GE(range.low, std::min(0.0f, *std::min_element(x.begin(), x.end())));
        EXPECT_LE(range.high, std::max(0.0f, *std::max_element(x.begin(), x.end())));
        EXPECT_FALSE(range.origin.empty());
      }
    }
  }
}

TEST(Range, of_values_that_are_all_equal_keeps_them) {
  for (const char* rule : {"minmax", "average", "percentile:99.9", "mse", "adaptive"}) {
    const Range range = range_of(std::vector<float>(1000, 5.0f), rule, "uint8");
    EXPECT_NEAR(range.high, 5, 1e-3) << rule;
    EXPECT_EQ(range.low, 0) << rule;
  }
}

TEST(Range, needs_a_finite_value) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(range_of({}, "minmax", "int8"), Error);
  EXPECT_THROW(range_of({nan, nan}, "adaptive", "int8"), Error);
  EXPECT_EQ(range_of({nan, 3}, "adaptive", "int8").high, 3);
}

TEST(ExpectedError, agrees_with_brute_force_within_2_per_cent) {
  const std::vector<std::pair<const char*, Draw>> kinds = {{"normal", normal},   {"laplace", laplace}, {"relu", relu},
                                                           {"uniform", uniform}, {"sigmoid", sigmoid}, {"silu", silu}};
  for (const auto& [kind, draw] : kinds) {
    const std::vector<float> x = draws(draw, 200000);
    const TensorStatistics s = statistics_of(x);
    for (const char* name : {"uint8", "int8", "uint4", "int4", "uint2", "int16", "std-int4"}) {
      const NumberFormat format = parse_number_format(name);
      for (double cut : {1.0, 0.6, 0.2}) {
        const auto low = static_cast<float>(cut * s.min), high = static_cast<float>(cut * s.max);
        const double expected = brute_force_mse(x, format, low, high);
        EXPECT_NEAR(expected_mse(s, format, low, high), expected, 0.02 * expected) << kind << " " << name << " " << cut;
      }
    }
  }
}

TEST(MseRange, is_as_good_as_a_search_on_the_values_themselves) {
  for (const Draw& draw : {Draw(normal), Draw(laplace), Draw(relu), Draw(silu)}) {
    const std::vector<float> x = draws(draw, 20000);
    const TensorStatistics s = statistics_of(x);
    for (const char* name : {"uint8", "int4", "uint4"}) {
      const NumberFormat format = parse_number_format(name);
      double least = brute_force_mse(x, format, s.min, s.max);
      for (int a = 1; a <= 16; ++a)
        for (int b = 1; b <= 16; ++b)
          least = std::min(least, brute_force_mse(x, format, s.min * static_cast<float>(a) / 16,
                                                  s.max * static_cast<float>(b) / 16));
      const Range range = choose_range(s, parse_range_rule("mse"), format);
      EXPECT_LE(brute_force_mse(x, format, range.low, range.high), 1.02 * least) << name;
    }
  }
}

/// The optimal clipping of Banner, Nahshan, Hoffer and Soudry, "Post training 4-bit quantization of convolutional
/// networks" (2019), table of section 3: in units of sigma for normal, of b for Laplace data.
TEST(MseRange, finds_the_published_optima) {
  struct Case {
    Draw draw;
    const char* format;
    double optimum;
  };
  for (const Case& c : {Case{normal, "uint4", 2.55}, Case{normal, "uint3", 2.15}, Case{normal, "uint8", 3.92},
                        Case{laplace, "uint4", 5.03}, Case{laplace, "uint3", 3.89}, Case{laplace, "uint8", 9.89}}) {
    const Range range = range_of(draws(c.draw, 2000000), "mse", c.format);
    // The paper counts 2^bits steps in the range, ours are one less: at 3 bits that moves the optimum by some per cent.
    EXPECT_NEAR(range.high - range.low, 2 * c.optimum, 2 * c.optimum * 0.1) << c.format << " " << c.optimum;
  }
}

TEST(EntropyRange, clips_a_tail_and_so_differs_from_minmax) {
  std::vector<float> x = draws(laplace, 200000);
  x.push_back(60);
  const TensorStatistics s = statistics_of(x);
  for (const char* format : {"uint8", "int8", "int4"}) {
    const Range range = choose_range(s, parse_range_rule("entropy"), parse_number_format(format));
    EXPECT_LT(range.high, 0.5 * s.max) << format;
    EXPECT_GT(range.high, 2.0) << format;
  }
  // Fewer codes clip more.
  EXPECT_LT(choose_range(s, parse_range_rule("entropy"), parse_number_format("uint4")).high,
            choose_range(s, parse_range_rule("entropy"), parse_number_format("uint8")).high);
}

TEST(EntropyRange, keeps_values_without_a_tail) {
  const Range range = range_of(draws(uniform, 200000), "entropy", "uint8");
  EXPECT_LT(range.low, -0.98);
  EXPECT_GT(range.high, 2.95);
}

TEST(AdaptiveRange, keeps_bounded_and_discrete_values_whole) {
  const auto image = [](Random& random) { return static_cast<double>(random.below(256)); };
  const auto sparse_image = [](Random& random) {
    return random.below(50) ? 0.0 : static_cast<double>(random.below(256));
  };
  const auto tanh = [](Random& random) { return std::tanh(3 * random.normal()); };
  for (const Draw& draw : {Draw(image), Draw(sparse_image), Draw(saturated), Draw(tanh), Draw(uniform)}) {
    const std::vector<float> x = draws(draw, 100000);
    const Range range = range_of(x, "adaptive", "uint8");
    EXPECT_EQ(range.low, std::min(0.0f, *std::min_element(x.begin(), x.end()))) << range.origin;
    EXPECT_EQ(range.high, *std::max_element(x.begin(), x.end())) << range.origin;
    EXPECT_EQ(range.origin.rfind("adaptive: minmax", 0), 0u) << range.origin;
  }
}

TEST(AdaptiveRange, clips_a_heavy_tail) {
  std::vector<float> x = draws(normal, 200000);
  for (int i = 0; i < 4; ++i) x[static_cast<size_t>(i) * 1000] = 80;
  const TensorStatistics s = statistics_of(x);
  const NumberFormat format = parse_number_format("uint8");
  const Range range = choose_range(s, parse_range_rule("adaptive"), format);
  EXPECT_LT(expected_mse(s, format, range.low, range.high), 0.98 * expected_mse(s, format, s.min, s.max));
  EXPECT_LT(range.high, 80) << range.origin;
  EXPECT_NE(range.origin.find("tail"), std::string::npos);
}

TEST(AdaptiveRange, keeps_the_hard_end_of_data_with_a_tail_on_the_other) {
  const std::vector<float> x = draws(silu, 200000);
  const Range range = range_of(x, "adaptive", "uint4");
  EXPECT_EQ(range.low, *std::min_element(x.begin(), x.end())) << range.origin;
  EXPECT_LT(range.high, *std::max_element(x.begin(), x.end())) << range.origin;
}

RC_GTEST_PROP(AdaptiveRange, clips_no_more_than_its_share_unless_that_lowers_the_error_much, ()) {
  const double power = *rc::gen::inRange(1, 8);
  const auto heavy = [&](Random& random) {
    return std::copysign(std::pow(std::abs(random.normal()), power), random.normal());
  };
  const std::vector<float> x = draws(heavy, 20000, *rc::gen::arbitrary<uint32_t>());
  const TensorStatistics s = statistics_of(x);
  const NumberFormat format = parse_number_format(*rc::gen::element<std::string>("uint8", "int8", "uint4"));
  const Range range = choose_range(s, parse_range_rule("adaptive"), format);
  const auto clipped = std::count_if(x.begin(), x.end(), [&](float v) { return v < range.low || v > range.high; });
  if (static_cast<double>(clipped) > 0.0015 * static_cast<double>(x.size())) {
    const Range held = choose_range(s, parse_range_rule("percentile:99.9"), format);
    RC_ASSERT(expected_mse(s, format, range.low, range.high) < expected_mse(s, format, held.low, held.high));
  }
  RC_ASSERT(expected_mse(s, format, range.low, range.high) <= expected_mse(s, format, s.min, s.max));
}

}  // namespace
}  // namespace lowbit
