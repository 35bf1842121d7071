#include <gtest/gtest.h>
#include <hwy/targets.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "lowbit/base/error.h"
#include "lowbit/base/random.h"
#include "lowbit/base/threads.h"
#include "lowbit/numbers/granularity.h"
#include "lowbit/numbers/rounding.h"
#include "lowbit/numbers/vector_search.h"

namespace lowbit {
namespace {

using Kind = Granularity::Kind;

std::vector<float> normals(uint64_t seed, size_t n) {
  Random random(seed);
  std::vector<float> x(n);
  for (float& value : x) value = static_cast<float>(random.normal());
  return x;
}

std::vector<float> round_trip(const NumberFormat& format, const Granularity& granularity,
                              const std::vector<int64_t>& dims, const std::vector<float>& x, FitOptions options = {}) {
  const std::vector<float> params = fit_groups(format, granularity, dims, x.data(), {}, options);
  const std::vector<int64_t> shape = code_dims(format, granularity, dims);
  std::vector<int32_t> codes(static_cast<size_t>(shape[0] * shape[1]));
  encode_groups(format, granularity, dims, params, x.data(), codes.data());
  std::vector<float> y(x.size());
  decode_groups(format, granularity, dims, params, codes.data(), y.data());
  return y;
}

double error(const std::vector<float>& x, const std::vector<float>& y) {
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) sum += std::pow(static_cast<double>(x[i]) - static_cast<double>(y[i]), 2);
  return sum;
}

TEST(VectorCodebook, NamesReadBack) {
  for (const char* name : {"vq-4x256", "vq-2x16", "vq-8x65536", "vq-4x100", "std-vq-4x16"})
    EXPECT_EQ(to_string(parse_number_format(name)), name);
  EXPECT_EQ(parse_number_format("vq-4x256").bits, 8);
  EXPECT_EQ(parse_number_format("vq-4x100").bits, 7);
  EXPECT_EQ(parse_number_format("vq-4x2").bits, 1);
  for (const char* name : {"vq", "vq-4", "vq-4x", "vq-1x16", "vq-17x16", "vq-4x1", "vq-4x65537", "vq4x16"})
    EXPECT_THROW(parse_number_format(name), Error) << name;
}

TEST(VectorCodebook, CodesAreAMatrixOfTheRows) {
  const NumberFormat format = parse_number_format("vq-4x16");
  const Granularity tensor{.axis = 0}, transposed{.axis = 1};
  using Shape = std::vector<int64_t>;
  EXPECT_EQ(code_dims(format, tensor, Shape{8, 3, 3, 3}), (Shape{8, 7}));
  EXPECT_EQ(code_dims(format, transposed, Shape{10, 6}), (Shape{6, 3}));
  EXPECT_EQ(code_dims(format, {.kind = Kind::group, .size = 6}, Shape{2, 16}), (Shape{2, 5})) << "2 + 2 + 1 vectors";
  EXPECT_EQ(code_dims(format, tensor, Shape{}), (Shape{1, 1}));
  EXPECT_EQ(code_dims(format, tensor, Shape{3, 0}), (Shape{3, 0}));
  EXPECT_EQ(code_dims(parse_number_format("int4"), tensor, Shape{8, 3}), (Shape{8, 3}));
}

TEST(VectorCodebook, FewDistinctVectorsAreMetExactly) {
  const std::vector<float> kinds = {1, 2, 3, -1, 0.5f, 4, 0, 0, 7};
  std::vector<float> x;
  Random random(3);
  for (int i = 0; i < 60; ++i) {
    const auto at = kinds.begin() + 3 * random.below(3);
    x.insert(x.end(), at, at + 3);
  }
  EXPECT_EQ(round_trip(parse_number_format("vq-3x4"), {.axis = 0}, {12, 15}, x), x);
}

TEST(VectorCodebook, VectorsRunAlongTheRowsWhateverTheAxis) {
  const std::vector<float> x = normals(1, 24 * 10);
  std::vector<float> transposed(x.size());
  for (size_t r = 0; r < 24; ++r)
    for (size_t c = 0; c < 10; ++c) transposed[c * 24 + r] = x[r * 10 + c];
  const NumberFormat format = parse_number_format("vq-4x8");
  for (const Kind kind : {Kind::tensor, Kind::channel, Kind::group, Kind::block}) {
    Granularity g{.kind = kind, .axis = 0, .rows = 5, .size = 6};
    const std::vector<float> y = round_trip(format, g, {24, 10}, x);
    g.axis = 1;
    const std::vector<float> other = round_trip(format, g, {10, 24}, transposed);
    for (size_t r = 0; r < 24; ++r)
      for (size_t c = 0; c < 10; ++c) ASSERT_EQ(other[c * 24 + r], y[r * 10 + c]);
  }
}

/// The nearest entry by the words of the header.
int32_t nearest_by_definition(const std::vector<float>& entries, int size, const float* x, int components) {
  int32_t best = 0;
  double least = std::numeric_limits<double>::infinity();
  for (size_t k = 0; k < entries.size() / static_cast<size_t>(size); ++k) {
    double sum = 0;
    for (int j = 0; j < components; ++j) {
      const double d = static_cast<double>(entries[k * static_cast<size_t>(size) + static_cast<size_t>(j)]) -
                       static_cast<double>(x[j]);
      sum += d * d;
    }
    if (sum < least) {
      least = sum;
      best = static_cast<int32_t>(k);
    }
  }
  return best;
}

RC_GTEST_PROP(VectorCodebook, EncodeChoosesTheNearestVectorOnEveryTarget, ()) {
  const int size = *rc::gen::inRange(2, 17), count = *rc::gen::inRange(2, 70), n = *rc::gen::inRange(1, 100);
  const NumberFormat format = parse_number_format("vq-" + std::to_string(size) + "x" + std::to_string(count));
  const uint64_t seed = *rc::gen::arbitrary<uint64_t>();
  const float scale = static_cast<float>(std::pow(10.0, *rc::gen::inRange(-40, 37)));
  std::vector<float> entries = normals(seed, static_cast<size_t>(size * count)),
                     x = normals(seed + 1, static_cast<size_t>(n));
  for (float& value : entries) value *= scale;
  for (float& value : x) value *= scale;
  if (*rc::gen::arbitrary<bool>()) std::copy_n(entries.begin(), std::min(x.size(), entries.size()), x.begin());
  std::vector<int32_t> expected;
  for (int at = 0; at < n; at += size)
    expected.push_back(nearest_by_definition(entries, size, x.data() + at, std::min(size, n - at)));
  for (uint32_t targets = static_cast<uint32_t>(hwy::SupportedTargets()); targets != 0; targets &= targets - 1) {
    hwy::SetSupportedTargetsForTest(targets & (0 - targets));
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    std::vector<int32_t> codes(expected.size());
    encode(format, entries.data(), x.data(), n, codes.data());
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    RC_ASSERT(codes == expected);
  }
}

RC_GTEST_PROP(VectorCodebook, DecodedCodesEncodeToTheSameValue, ()) {
  const auto dims = *rc::gen::container<std::vector<int64_t>>(3, rc::gen::inRange<int64_t>(0, 7));
  Granularity g;
  g.kind = *rc::gen::element(Kind::tensor, Kind::channel, Kind::group, Kind::block);
  g.axis = *rc::gen::inRange<int64_t>(0, 3);
  g.rows = *rc::gen::inRange<int64_t>(1, 5);
  g.size = *rc::gen::inRange<int64_t>(1, 12);
  const NumberFormat format =
      parse_number_format(*rc::gen::element<std::string>("vq-2x4", "vq-4x16", "vq-3x5", "std-vq-2x4"));
  const std::vector<float> x =
      normals(*rc::gen::arbitrary<uint64_t>(), static_cast<size_t>(dims[0] * dims[1] * dims[2]));
  const std::vector<float> params = fit_groups(format, g, dims, x.data(), {}, {});
  const std::vector<int64_t> shape = code_dims(format, g, dims);
  std::vector<int32_t> codes(static_cast<size_t>(shape[0] * shape[1]), -1);
  encode_groups(format, g, dims, params, x.data(), codes.data());
  for (int32_t code : codes) RC_ASSERT(code >= 0 && code < format.option);
  std::vector<float> y(x.size()), z(x.size());
  decode_groups(format, g, dims, params, codes.data(), y.data());
  encode_groups(format, g, dims, params, y.data(), codes.data());
  decode_groups(format, g, dims, params, codes.data(), z.data());
  RC_ASSERT(z == y);
}

TEST(VectorCodebook, BeatsTheScalarCodebookAtTheSameBitsOnCorrelatedData) {
  Random random(5);
  std::vector<float> x;
  for (int i = 0; i < 4096; ++i) {
    const double shared = random.normal();
    x.push_back(static_cast<float>(shared + 0.3 * random.normal()));
    x.push_back(static_cast<float>(shared + 0.3 * random.normal()));
  }
  const std::vector<int64_t> dims = {64, 128};
  const std::vector<float> vectors = round_trip(parse_number_format("vq-2x16"), {.axis = 0}, dims, x);
  const NumberFormat scalar = parse_number_format("codebook2");
  const std::vector<float> params = fit_groups(scalar, {}, dims, x.data(), {}, {});
  std::vector<int32_t> codes(x.size());
  std::vector<float> values(x.size());
  encode_groups(scalar, {}, dims, params, x.data(), codes.data());
  decode_groups(scalar, {}, dims, params, codes.data(), values.data());
  EXPECT_LT(error(x, vectors), 0.8 * error(x, values));
}

// Against every way to part six points. 32 starts need not meet the best one, but mostly do.
TEST(VectorCodebook, FindsTheBestPartitionOfAFewPoints) {
  int met = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    std::vector<float> x = normals(seed, 2 * 6);
    double best = std::numeric_limits<double>::infinity();
    for (int parts = 0; parts < 1 << 6; ++parts) {
      double total = 0;
      for (int side = 0; side < 2; ++side)
        for (size_t j = 0; j < 2; ++j) {
          double sum = 0, squares = 0, count = 0;
          for (size_t i = 0; i < 6; ++i)
            if (((parts >> i) & 1) == side) {
              const double value = static_cast<double>(x[2 * i + j]);
              sum += value;
              squares += value * value;
              ++count;
            }
          if (count > 0) total += squares - sum * sum / count;
        }
      best = std::min(best, total);
    }
    const double found = error(x, round_trip(parse_number_format("vq-2x2"), {.axis = 0}, {6, 2}, x));
    EXPECT_GE(found, best * (1 - 1e-5)) << "seed " << seed;
    met += found <= best * (1 + 1e-5) ? 1 : 0;
  }
  EXPECT_GE(met, 18);
}

TEST(VectorCodebook, ThreadsDoNotChangeTheFit) {
  const std::vector<float> x = normals(8, 24 * 512);
  const std::vector<int64_t> dims = {24, 512};
  const NumberFormat format = parse_number_format("vq-4x16");
  ThreadPool two(2), three(3);
  for (const Kind kind : {Kind::tensor, Kind::channel}) {
    const Granularity g{.kind = kind, .axis = 0};
    const std::vector<float> alone = fit_groups(format, g, dims, x.data(), {}, {});
    EXPECT_EQ(fit_groups(format, g, dims, x.data(), {}, {.threads = &two}), alone);
    EXPECT_EQ(fit_groups(format, g, dims, x.data(), {}, {.threads = &three}), alone);
  }
}

TEST(VectorCodebook, ImportanceMovesTheFit) {
  const std::vector<float> x = normals(9, 512);
  std::vector<float> importance(x.size(), 1e-4f);
  for (size_t i = 0; i < 256; ++i) importance[i] = 1;
  const std::vector<int64_t> dims = {4, 128};
  const NumberFormat format = parse_number_format("vq-2x8");
  const auto weighted_error = [&](std::span<const float> weights) {
    const std::vector<float> params = fit_groups(format, {.axis = 0}, dims, x.data(), weights, {});
    std::vector<int32_t> codes(256);
    std::vector<float> y(x.size());
    encode_groups(format, {.axis = 0}, dims, params, x.data(), codes.data());
    decode_groups(format, {.axis = 0}, dims, params, codes.data(), y.data());
    double sum = 0;
    for (size_t i = 0; i < x.size(); ++i)
      sum += static_cast<double>(importance[i]) * std::pow(static_cast<double>(x[i]) - static_cast<double>(y[i]), 2);
    return sum;
  };
  EXPECT_LT(weighted_error(importance), weighted_error({}));
}

TEST(VectorCodebook, OddDataGiveUsableVectors) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), most = std::numeric_limits<float>::max();
  for (const std::vector<float>& x : {std::vector<float>{},
                                      {0, 0, 0},
                                      {1e-45f, -1e-45f, 2e-45f, 5},
                                      {most, -most, most, most},
                                      {nan, INFINITY, 1, 2}})
    for (FitRule rule : {FitRule::minmax, FitRule::range, FitRule::mse}) {
      const std::vector<int64_t> dims = {1, static_cast<int64_t>(x.size())};
      const NumberFormat format = parse_number_format("vq-2x4");
      const FitOptions options{.rule = rule, .low = -1, .high = 1};
      const std::vector<float> params = fit_groups(format, {.axis = 0}, dims, x.data(), {}, options);
      ASSERT_EQ(params.size(), 8u);
      for (float value : params) ASSERT_TRUE(std::isfinite(value));
      for (float value : round_trip(format, {.axis = 0}, dims, x, options)) ASSERT_TRUE(std::isfinite(value));
    }
}

TEST(VectorCodebook, StochasticRoundingIsRefused) {
  const NumberFormat format = parse_number_format("vq-2x2");
  const std::vector<float> params = {0, 0, 1, 1}, x = {0.5f, 0.2f};
  int32_t code;
  EXPECT_THROW(encode_rounded(format, params.data(), parse_rounding("stochastic"), x.data(), 2, 0, &code), Error);
  EXPECT_NO_THROW(encode_rounded(format, params.data(), {}, x.data(), 2, 0, &code));
}

}  // namespace
}  // namespace lowbit
