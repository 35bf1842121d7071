// What a careless or hostile user may bring: every system gives a defined result for each of these, at every
// granularity.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "lowbit/base/error.h"
#include "lowbit/base/random.h"
#include "lowbit/numbers/granularity.h"
#include "lowbit/numbers/widths.h"

namespace lowbit {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kMost = std::numeric_limits<float>::max();

struct Case {
  const char* what;
  std::vector<int64_t> dims;
  std::vector<float> x;
};

std::vector<float> channels_apart() {
  std::vector<float> x;
  Random random(1);
  for (const float scale : {1e-30f, 1.0f, 1e30f})
    for (int i = 0; i < 11; ++i) x.push_back(scale * static_cast<float>(random.normal()));
  return x;
}

std::vector<Case> cases() {
  return {{"no elements", {0, 5}, {}},
          {"no columns", {3, 0}, {}},
          {"zeros", {3, 5}, std::vector<float>(15, 0)},
          {"negative zeros", {2, 3}, std::vector<float>(6, -0.0f)},
          {"one value everywhere", {3, 5}, std::vector<float>(15, 0.3f)},
          {"one negative value everywhere", {3, 5}, std::vector<float>(15, -7.0f)},
          {"one element", {1, 1}, {0.25f}},
          {"NaN and infinities between numbers", {2, 4}, {kNan, 1, -2, kInfinity, 0.5f, -kInfinity, 3, kNan}},
          {"nothing but NaN", {2, 2}, {kNan, kNan, kNan, kNan}},
          {"nothing but infinities", {2, 2}, {kInfinity, -kInfinity, kInfinity, -kInfinity}},
          {"denormals", {2, 3}, {1e-45f, -1e-44f, 1e-40f, 0, 2e-45f, -1e-39f}},
          {"the largest floats", {2, 2}, {kMost, -kMost, kMost, 1}},
          {"channels 1e30 apart", {3, 11}, channels_apart()}};
}

std::vector<NumberFormat> all_formats() {
  std::vector<NumberFormat> formats;
  for (int bits = 1; bits <= 16; ++bits)
    for (NumberFormat format : formats_of_width(bits)) {
      if (format.option > 256 && format.vector_size > 1) continue;
      formats.push_back(format);
      format.standardized = true;
      formats.push_back(format);
    }
  formats.push_back(parse_number_format("uint4"));
  formats.push_back(parse_number_format("int4-mixed"));
  return formats;
}

void expect_defined(const NumberFormat& format, const Granularity& granularity, const Case& c, FitRule rule) {
  const std::string where = to_string(format) + " " + to_string(granularity) + ": " + c.what;
  const std::vector<float> params = fit_groups(format, granularity, c.dims, c.x.data(), {}, {.rule = rule});
  for (const float param : params) ASSERT_TRUE(std::isfinite(param)) << where;
  size_t count = 1;
  for (const int64_t dim : code_dims(format, granularity, c.dims)) count *= static_cast<size_t>(dim);
  std::vector<int32_t> codes(count, -12345);
  encode_groups(format, granularity, c.dims, params, c.x.data(), codes.data());
  const CodeRange range = format.system->codes(format);
  for (const int32_t code : codes) ASSERT_TRUE(code >= range.min && code <= range.max) << where;
  std::vector<float> y(c.x.size(), kNan), z(c.x.size());
  decode_groups(format, granularity, c.dims, params, codes.data(), y.data());
  for (const float value : y) ASSERT_TRUE(std::isfinite(value)) << where;
  encode_groups(format, granularity, c.dims, params, y.data(), codes.data());
  decode_groups(format, granularity, c.dims, params, codes.data(), z.data());
  ASSERT_EQ(z, y) << where;
}

TEST(BadInput, EverySystemHasADefinedResultForEveryTensor) {
  for (const NumberFormat& format : all_formats())
    for (const char* granularity : {"tensor", "channel", "group:4", "block:2x3"})
      for (const Case& c : cases())
        for (const FitRule rule : {FitRule::minmax, FitRule::mse}) {
          expect_defined(format, parse_granularity(granularity), c, rule);
          if (HasFatalFailure()) return;
        }
}

TEST(BadInput, ValuesThatAreNotFiniteDoNotMoveTheFit) {
  const std::vector<float> clean = {1, -2, 0.5f, 3, -0.25f, 0.1f},
                           dirty = {1, kNan, -2, 0.5f, kInfinity, 3, -0.25f, -kInfinity, 0.1f};
  for (const NumberFormat& format : all_formats()) {
    if (format.vector_size > 1) continue;
    for (const FitRule rule : {FitRule::minmax, FitRule::mse})
      EXPECT_EQ(fit_groups(format, {}, std::vector<int64_t>{9}, dirty.data(), {}, {.rule = rule}),
                fit_groups(format, {}, std::vector<int64_t>{6}, clean.data(), {}, {.rule = rule}))
          << to_string(format);
  }
}

// A small channel beside a huge one keeps its own relative error where each channel has its own parameters.
TEST(BadInput, ChannelsFarApartKeepTheirRelativeError) {
  const std::vector<float> x = channels_apart();
  for (const char* name : {"int8", "int8-asym", "log8-2", "exp8", "codebook6", "fp8-e4m3", "std-int8"}) {
    const NumberFormat format = parse_number_format(name);
    const Granularity channel = parse_granularity("channel");
    const std::vector<int64_t> dims = {3, 11};
    const std::vector<float> params = fit_groups(format, channel, dims, x.data(), {}, {.rule = FitRule::mse});
    std::vector<int32_t> codes(x.size());
    std::vector<float> y(x.size());
    encode_groups(format, channel, dims, params, x.data(), codes.data());
    decode_groups(format, channel, dims, params, codes.data(), y.data());
    for (size_t c = 0; c < 3; ++c) {
      double signal = 0, noise = 0;
      for (size_t i = 11 * c; i < 11 * (c + 1); ++i) {
        const double value = static_cast<double>(x[i]), difference = value - static_cast<double>(y[i]);
        signal += value * value;
        noise += difference * difference;
      }
      EXPECT_LT(noise, 1e-2 * signal) << name << " channel " << c;
    }
  }
}

TEST(BadInput, WeightsOfImportanceMustBeUsable) {
  const NumberFormat format = parse_number_format("int4");
  const std::vector<float> x = {1, 2};
  for (const std::vector<float>& importance : {std::vector<float>{1}, {1, -1}, {1, kNan}, {1, kInfinity}})
    EXPECT_THROW(fit_groups(format, {}, std::vector<int64_t>{2}, x.data(), importance, {}), Error);
}

}  // namespace
}  // namespace lowbit
