#include "lowbit/numbers/rounding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "lowbit/base/error.h"
#include "lowbit/base/random.h"

namespace lowbit {
namespace {

TEST(Rounding, NamesReadBack) {
  for (const char* name : {"nearest", "stochastic:0", "stochastic:42"})
    EXPECT_EQ(to_string(parse_rounding(name)), name);
  EXPECT_EQ(parse_rounding("stochastic"), parse_rounding("stochastic:0"));
  for (const char* name : {"", "up", "stochastic:", "stochastic:-1", "stochastic:x"})
    EXPECT_THROW(parse_rounding(name), Error) << name;
}

TEST(Rounding, NeighboursEncloseAValue) {
  const float params[2] = {0.5f, 0};
  const NumberFormat int4 = parse_number_format("int4");
  const NeighbourFinder finder(int4, params);
  const Neighbours inside = finder.find(0.7f);
  EXPECT_EQ(inside.below_code, 1);
  EXPECT_EQ(inside.above_code, 2);
  EXPECT_EQ(inside.below, 0.5f);
  EXPECT_EQ(inside.above, 1.0f);
  EXPECT_EQ(finder.find(1.0f).below_code, 2);
  EXPECT_EQ(finder.find(1.0f).above_code, 2);
  for (float beyond : {100.0f, INFINITY}) {
    EXPECT_EQ(finder.find(beyond).below_code, 7);
    EXPECT_EQ(finder.find(beyond).above_code, 7);
  }
  EXPECT_EQ(finder.find(-INFINITY).above_code, -7);
  EXPECT_EQ(finder.find(std::numeric_limits<float>::quiet_NaN()).below_code, 0);
}

TEST(Rounding, StochasticIsRightOnAverage) {
  const float params[2] = {1, 0};
  const NumberFormat int8 = parse_number_format("int8");
  const std::vector<float> x(100000, 2.3f);
  std::vector<int32_t> codes(x.size());
  encode_rounded(int8, params, {Rounding::Kind::stochastic, 5}, x.data(), static_cast<int64_t>(x.size()), 0,
                 codes.data());
  double sum = 0;
  for (int32_t code : codes) {
    ASSERT_TRUE(code == 2 || code == 3);
    sum += code;
  }
  // Standard deviation of the mean: sqrt(0.3 * 0.7 / 1e5) = 0.00145; five of them.
  EXPECT_NEAR(sum / static_cast<double>(x.size()), 2.3, 0.00725);
}

TEST(Rounding, LevelsStayWhereTheyAre) {
  const float params[2] = {0.25f, 0};
  const NumberFormat int4 = parse_number_format("int4");
  for (int32_t code = -7; code <= 7; ++code) {
    const float x = 0.25f * static_cast<float>(code);
    for (uint64_t seed = 0; seed < 20; ++seed) {
      int32_t found;
      encode_rounded(int4, params, {Rounding::Kind::stochastic, seed}, &x, 1, 0, &found);
      EXPECT_EQ(found, code);
    }
  }
}

TEST(Rounding, AnyCuttingGivesTheSameCodes) {
  const NumberFormat log4 = parse_number_format("log4");
  Random random(9);
  std::vector<float> x(512);
  for (float& value : x) value = static_cast<float>(random.normal());
  float params[2];
  log4.system->fit(log4, x, {}, {}, params);
  const Rounding rounding{Rounding::Kind::stochastic, 77};
  std::vector<int32_t> whole(x.size()), parts(x.size()), grouped(x.size());
  encode_rounded(log4, params, rounding, x.data(), 512, 0, whole.data());
  for (int64_t begin = 512; begin > 0;) {
    const int64_t count = std::min<int64_t>(begin, 37);
    begin -= count;
    encode_rounded(log4, params, rounding, x.data() + begin, count, begin, parts.data() + begin);
  }
  EXPECT_EQ(parts, whole);
  const std::vector<int64_t> dims = {16, 32};
  const Granularity channel{.kind = Granularity::Kind::channel, .axis = 1};
  std::vector<float> repeated;
  for (int i = 0; i < 32; ++i) repeated.insert(repeated.end(), params, params + 2);
  encode_groups_rounded(log4, channel, dims, repeated, rounding, x.data(), grouped.data());
  EXPECT_EQ(grouped, whole);
  std::vector<int32_t> other(x.size());
  encode_rounded(log4, params, {Rounding::Kind::stochastic, 78}, x.data(), 512, 0, other.data());
  EXPECT_NE(other, whole);
}

}  // namespace
}  // namespace lowbit
