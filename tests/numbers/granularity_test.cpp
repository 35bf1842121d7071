#include "lowbit/numbers/granularity.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <numeric>

#include "lowbit/base/error.h"
#include "lowbit/base/random.h"

namespace lowbit {
namespace {

using Kind = Granularity::Kind;

/// The group of every element, from the words of the header: index arithmetic element by element.
std::vector<int64_t> groups_by_definition(const Granularity& g, const std::vector<int64_t>& dims) {
  const int64_t count = std::accumulate(dims.begin(), dims.end(), int64_t{1}, std::multiplies<>());
  std::vector<int64_t> result(static_cast<size_t>(count), 0);
  if (g.kind == Kind::tensor) return result;
  int64_t columns = 1;
  for (size_t d = 0; d < dims.size(); ++d)
    if (static_cast<int64_t>(d) != g.axis) columns *= dims[d];
  for (int64_t e = 0; e < count; ++e) {
    int64_t rest = e, channel = 0, column = 0, stride = 1;
    for (size_t d = dims.size(); d-- > 0;) {
      const int64_t index = rest % dims[d];
      rest /= dims[d];
      if (static_cast<int64_t>(d) == g.axis) {
        channel = index;
      } else {
        column += index * stride;
        stride *= dims[d];
      }
    }
    int64_t& group = result[static_cast<size_t>(e)];
    if (g.kind == Kind::channel) group = channel;
    if (g.kind == Kind::group) group = channel * ((columns + g.size - 1) / g.size) + column / g.size;
    if (g.kind == Kind::block) group = channel / g.rows * ((columns + g.size - 1) / g.size) + column / g.size;
  }
  return result;
}

TEST(Granularity, NamesReadBack) {
  for (const char* name : {"tensor", "channel", "group:32", "block:16x8"})
    EXPECT_EQ(to_string(parse_granularity(name)), name);
  for (const char* name :
       {"", "group", "group:0", "group:-1", "group:x", "block:4", "block:0x4", "rows", "group:99999999999999"})
    EXPECT_THROW(parse_granularity(name), Error) << name;
}

TEST(Granularity, LastGroupOfARowMayBeShorter) {
  const Granularity g{.kind = Kind::group, .axis = 0, .size = 4};
  const std::vector<int64_t> dims = {2, 6};
  EXPECT_EQ(group_count(g, dims), 4);
  std::vector<int64_t> sizes;
  for_each_group(g, dims, [&](int64_t, std::span<const lowbit::Run> runs) { sizes.push_back(runs[0].count); });
  EXPECT_EQ(sizes, (std::vector<int64_t>{4, 2, 4, 2}));
}

RC_GTEST_PROP(Granularity, RunsCoverEveryElementOnceInItsGroup, ()) {
  const auto dims = *rc::gen::container<std::vector<int64_t>>(4, rc::gen::inRange<int64_t>(1, 6));
  Granularity g;
  g.kind = *rc::gen::element(Kind::tensor, Kind::channel, Kind::group, Kind::block);
  g.axis = *rc::gen::inRange<int64_t>(0, 4);
  g.rows = *rc::gen::inRange<int64_t>(1, 5);
  g.size = *rc::gen::inRange<int64_t>(1, 12);
  const std::vector<int64_t> expected = groups_by_definition(g, dims);
  std::vector<int64_t> found(expected.size(), -1);
  int64_t next = 0;
  for_each_group(g, dims, [&](int64_t group, std::span<const lowbit::Run> runs) {
    RC_ASSERT(group == next++);
    for (const lowbit::Run& run : runs)
      for (int64_t k = 0; k < run.count; ++k) {
        RC_ASSERT(found[static_cast<size_t>(run.begin + k)] == -1);
        found[static_cast<size_t>(run.begin + k)] = group;
      }
  });
  RC_ASSERT(next == group_count(g, dims));
  RC_ASSERT(found == expected);
}

RC_GTEST_PROP(Granularity, GroupwiseConversionEqualsElementByElement, ()) {
  const auto dims = *rc::gen::container<std::vector<int64_t>>(3, rc::gen::inRange<int64_t>(1, 7));
  Granularity g;
  g.kind = *rc::gen::element(Kind::tensor, Kind::channel, Kind::group, Kind::block);
  g.axis = *rc::gen::inRange<int64_t>(0, 3);
  g.rows = *rc::gen::inRange<int64_t>(1, 5);
  g.size = *rc::gen::inRange<int64_t>(1, 12);
  const NumberFormat format = parse_number_format("uint4");
  const std::vector<int64_t> groups = groups_by_definition(g, dims);
  std::vector<float> x(groups.size());
  Random random(*rc::gen::arbitrary<uint64_t>());
  for (float& value : x) value = static_cast<float>(random.normal());
  const std::vector<float> params = fit_groups(format, g, dims, x.data(), {}, {});
  std::vector<int32_t> codes(x.size());
  std::vector<float> y(x.size());
  encode_groups(format, g, dims, params, x.data(), codes.data());
  decode_groups(format, g, dims, params, codes.data(), y.data());
  for (size_t i = 0; i < x.size(); ++i) {
    const float* p = params.data() + groups[i] * 2;
    int32_t code;
    float value;
    encode(format, p, &x[i], 1, &code);
    decode(format, p, &code, 1, &value);
    RC_ASSERT(codes[i] == code);
    RC_ASSERT(y[i] == value);
  }
}

TEST(Granularity, ChannelsOfVeryDifferentScaleEachGetTheirOwn) {
  const std::vector<float> x = {1e-30f, -1e-30f, 1e30f, -1e30f};
  const Granularity g{.kind = Kind::channel, .axis = 0};
  const std::vector<float> params =
      fit_groups(parse_number_format("int8"), g, std::vector<int64_t>{2, 2}, x.data(), {}, {});
  EXPECT_FLOAT_EQ(params[0], 1e-30f / 127);
  EXPECT_FLOAT_EQ(params[2], 1e30f / 127);
}

TEST(Granularity, EmptyTensorsHaveDefinedParameters) {
  const NumberFormat format = parse_number_format("int8");
  EXPECT_EQ(fit_groups(format, {}, std::vector<int64_t>{0, 3}, nullptr, {}, {}), (std::vector<float>{1, 0}));
  const Granularity channel{.kind = Kind::channel, .axis = 1};
  EXPECT_EQ(fit_groups(format, channel, std::vector<int64_t>{0, 2}, nullptr, {}, {}), (std::vector<float>{1, 0, 1, 0}));
  const Granularity group{.kind = Kind::group, .axis = 0, .size = 4};
  EXPECT_EQ(group_count(group, std::vector<int64_t>{3, 0}), 0);
  EXPECT_TRUE(fit_groups(format, group, std::vector<int64_t>{3, 0}, nullptr, {}, {}).empty());
}

TEST(Granularity, WrongAxisAndWrongParameterCountAreRefused) {
  const NumberFormat format = parse_number_format("int8");
  const std::vector<float> x(4);
  std::vector<int32_t> codes(4);
  const Granularity bad_axis{.kind = Kind::channel, .axis = 2};
  EXPECT_THROW(fit_groups(format, bad_axis, std::vector<int64_t>{2, 2}, x.data(), {}, {}), Error);
  EXPECT_THROW(encode_groups(format, {}, std::vector<int64_t>{2, 2}, std::vector<float>{1}, x.data(), codes.data()),
               Error);
}

}  // namespace
}  // namespace lowbit
