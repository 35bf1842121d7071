#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <limits>

#include "tests/ops/single_op.h"

namespace lowbit {
namespace {

RC_GTEST_PROP(Transpose, EqualsIndexArithmeticAndItsInverseUndoesIt, ()) {
  const Dims dims = random_dims(5, 1, 5);
  const auto perm = random_permutation(dims.size());
  const Tensor x = counted(dims), y = run_one("Transpose", {x}, {{"perm", perm}});
  std::vector<int64_t> inverse(perm.size());
  for (size_t i = 0; i < perm.size(); ++i) inverse[static_cast<size_t>(perm[i])] = static_cast<int64_t>(i);
  for (int64_t i = 0; i < y.count(); ++i) {
    const Dims at = coordinates(i, y.dims());
    Dims source(at.size());
    for (size_t k = 0; k < at.size(); ++k) source[static_cast<size_t>(perm[k])] = at[k];
    RC_ASSERT(y.values<int32_t>()[static_cast<size_t>(i)] == flat_index(source, dims));
  }
  RC_ASSERT(identical(run_one("Transpose", {y}, {{"perm", inverse}}), x));
}

TEST(Transpose, TilesCoverDimensionsThatAreNoMultipleOfTheTile) {
  for (size_t bytes : {1, 2, 4, 8}) {
    const DType type = bytes == 1   ? DType::uint8
                       : bytes == 2 ? DType::int16
                       : bytes == 4 ? DType::float32
                                    : DType::int64;
    const Tensor x = counted({2, 70, 45}).cast(type);
    const std::vector<int64_t> perm{0, 2, 1};
    const Tensor y = run_one("Transpose", {x}, {{"perm", perm}}).cast(DType::int64), z = x.cast(DType::int64);
    for (int64_t n = 0; n < 2; ++n)
      for (int64_t i = 0; i < 70; ++i)
        for (int64_t j = 0; j < 45; ++j)
          ASSERT_EQ(y.data<int64_t>()[(n * 45 + j) * 70 + i], z.data<int64_t>()[(n * 70 + i) * 45 + j]);
  }
}

TEST(Transpose, RefusesWhatIsNoPermutation) {
  const Tensor x = counted({2, 3});
  for (const std::vector<int64_t>& perm : {std::vector<int64_t>{0, 0}, {0, 2}, {0}})
    EXPECT_THROW(run_one("Transpose", {x}, {{"perm", perm}}), Error);
}

/// Python's slice, element by element.
std::vector<int64_t> python_slice(int64_t size, int64_t start, int64_t end, int64_t step) {
  std::vector<int64_t> picked;
  if (start < 0) start += size;
  if (end < 0) end += size;
  if (step > 0) {
    for (int64_t i = std::max<int64_t>(start, 0); i < std::min(end, size); i += step) picked.push_back(i);
  } else {
    for (int64_t i = std::min(start, size - 1); i > std::max<int64_t>(end, -1); i += step)
      if (i >= 0) picked.push_back(i);
  }
  return picked;
}

RC_GTEST_PROP(Slice, EqualsPythonsRules, ()) {
  const Dims dims{*rc::gen::inRange<int64_t>(0, 6), *rc::gen::inRange<int64_t>(1, 6)};
  std::vector<int64_t> starts, ends, steps;
  for (int i = 0; i < 2; ++i) {
    starts.push_back(*rc::gen::inRange<int64_t>(-8, 9));
    ends.push_back(*rc::gen::inRange<int64_t>(-8, 9));
    steps.push_back(*rc::gen::element<int64_t>(-3, -2, -1, 1, 2, 3));
  }
  const Tensor x = counted(dims);
  const Tensor y = run_one("Slice", {x, ints(starts), ints(ends), ints({0, 1}), ints(steps)});
  const auto rows = python_slice(dims[0], starts[0], ends[0], steps[0]);
  const auto columns = python_slice(dims[1], starts[1], ends[1], steps[1]);
  std::vector<int32_t> expected;
  for (int64_t r : rows)
    for (int64_t c : columns) expected.push_back(static_cast<int32_t>(r * dims[1] + c));
  RC_ASSERT(y.dims() == (Dims{static_cast<int64_t>(rows.size()), static_cast<int64_t>(columns.size())}));
  RC_ASSERT(values_of<int32_t>(y) == expected);
}

TEST(Slice, ExtremeBoundsAndStepsNeitherOverflowNorLeaveTheInput) {
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min(), kMax = std::numeric_limits<int64_t>::max();
  const Tensor x = counted({5});
  const auto slice = [&](int64_t start, int64_t end, int64_t step) {
    return values_of<int32_t>(run_one("Slice", {x, ints({start}), ints({end}), ints({0}), ints({step})}));
  };
  EXPECT_EQ(slice(kMin, kMax, 1), (std::vector<int32_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(slice(kMax, kMin, -1), (std::vector<int32_t>{4, 3, 2, 1, 0}));
  EXPECT_EQ(slice(0, kMax, kMax), (std::vector<int32_t>{0}));
  EXPECT_EQ(slice(kMax, kMin, kMin), (std::vector<int32_t>{4}));
  EXPECT_THROW(slice(0, 1, 0), Error);
}

RC_GTEST_PROP(Concat, UndoesSplit, ()) {
  const Dims dims{*rc::gen::inRange<int64_t>(1, 4), *rc::gen::inRange<int64_t>(1, 8), *rc::gen::inRange<int64_t>(1, 4)};
  const int64_t axis = *rc::gen::inRange<int64_t>(0, 3), size = dims[static_cast<size_t>(axis)];
  const int64_t first = *rc::gen::inRange<int64_t>(0, size + 1),
                second = *rc::gen::inRange<int64_t>(0, size - first + 1);
  const Tensor x = counted(dims);
  const auto parts = run_op("Split", {x, ints({first, second, size - first - second})}, {{"axis", axis}}, 3);
  RC_ASSERT(identical(run_one("Concat", parts, {{"axis", axis}}), x));
}

TEST(Split, TheLastOfEqualPartsMayBeSmaller) {
  const auto parts = run_op("Split", {counted({7})}, {{"num_outputs", int64_t{4}}}, 4);
  EXPECT_EQ(values_of<int32_t>(parts[0]), (std::vector<int32_t>{0, 1}));
  EXPECT_EQ(values_of<int32_t>(parts[3]), (std::vector<int32_t>{6}));
  EXPECT_THROW(run_op("Split", {counted({7}), ints({3, 3})}, {}, 2), Error);
  EXPECT_THROW(run_op("Split", {counted({7}), ints({8, -1})}, {}, 2), Error);
}

TEST(Reshape, FillsInZeroAndMinusOneAndRefusesTheRest) {
  const Tensor x = counted({2, 3, 4});
  EXPECT_EQ(run_one("Reshape", {x, ints({0, -1})}).dims(), (Dims{2, 12}));
  EXPECT_THROW(run_one("Reshape", {x, ints({-1, -1})}), Error);
  EXPECT_THROW(run_one("Reshape", {x, ints({5, -1})}), Error);
  EXPECT_THROW(run_one("Reshape", {x, ints({-2, 12})}), Error);
  EXPECT_THROW(run_one("Reshape", {x, ints({0, 0, 0, 0})}), Error);
  EXPECT_THROW(run_one("Reshape", {x, ints({int64_t{1} << 62, int64_t{1} << 62})}), Error);
}

/// numpy.pad by one axis at a time.
int64_t padded_source(const std::string& mode, int64_t at, int64_t size) {
  while (at < 0 || at >= size) {
    if (mode == "edge") return at < 0 ? 0 : size - 1;
    if (mode == "wrap") at += at < 0 ? size : -size;
    if (mode == "reflect") at = size == 1 ? 0 : at < 0 ? -at : 2 * (size - 1) - at;
  }
  return at;
}

RC_GTEST_PROP(Pad, EqualsIndexArithmetic, ()) {
  const Dims dims{*rc::gen::inRange<int64_t>(1, 5), *rc::gen::inRange<int64_t>(1, 5)};
  const std::string mode = *rc::gen::element<std::string>("constant", "reflect", "edge", "wrap");
  std::vector<int64_t> pads;
  for (int i = 0; i < 4; ++i) pads.push_back(*rc::gen::inRange<int64_t>(-1, 8));
  const int64_t rows = dims[0] + pads[0] + pads[2], columns = dims[1] + pads[1] + pads[3];
  RC_PRE(rows >= 0 && columns >= 0);
  const Tensor y = run_one("Pad", {counted(dims), ints(pads), Tensor::scalar<int32_t>(-9)}, {{"mode", mode}});
  RC_ASSERT(y.dims() == (Dims{rows, columns}));
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) {
      int64_t row = r - pads[0], column = c - pads[1];
      const bool inside = row >= 0 && row < dims[0] && column >= 0 && column < dims[1];
      if (mode != "constant") {
        row = padded_source(mode, row, dims[0]);
        column = padded_source(mode, column, dims[1]);
      }
      const int64_t expected = mode == "constant" && !inside ? -9 : row * dims[1] + column;
      RC_ASSERT(y.data<int32_t>()[r * columns + c] == expected);
    }
}

TEST(Pad, RefusesToTakeAwayMoreThanThereIs) {
  EXPECT_THROW(run_one("Pad", {counted({2, 2}), ints({-3, 0, 0, 0})}), Error);
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min(), kMax = std::numeric_limits<int64_t>::max();
  EXPECT_THROW(run_one("Pad", {counted({2, 2}), ints({kMin, 0, kMax, 0})}), Error);
}

RC_GTEST_PROP(Tile, EqualsIndexArithmetic, ()) {
  const Dims dims = random_dims(3, 1, 3);
  std::vector<int64_t> repeats;
  for (size_t i = 0; i < dims.size(); ++i) repeats.push_back(*rc::gen::inRange<int64_t>(0, 4));
  const Tensor y = run_one("Tile", {counted(dims), ints(repeats)});
  for (int64_t i = 0; i < y.count(); ++i) {
    Dims at = coordinates(i, y.dims());
    for (size_t k = 0; k < at.size(); ++k) at[k] %= dims[k];
    RC_ASSERT(y.values<int32_t>()[static_cast<size_t>(i)] == flat_index(at, dims));
  }
}

TEST(Movement, RefusesOutputsAboveTheLimitBeforeMakingThem) {
  const Tensor one = Tensor::scalar<float>(1).reshaped({1, 1});
  const Tensor huge = ints({int64_t{1} << 20, int64_t{1} << 20});
  for (const char* op : {"Expand", "Tile"}) EXPECT_THROW(run_one(op, {one, huge}), Error) << op;
  EXPECT_THROW(run_one("ConstantOfShape", {huge}), Error);
  EXPECT_THROW(run_one("Expand", {one, ints({int64_t{1} << 40, int64_t{1} << 40})}), Error);
}

TEST(DepthToSpace, UndoesSpaceToDepth) {
  const Tensor x = counted({2, 3, 4, 6});
  for (const char* mode : {"DCR", "CRD"}) {
    const Attributes attributes{{"blocksize", int64_t{2}}, {"mode", std::string(mode)}};
    EXPECT_TRUE(identical(run_one("DepthToSpace", {run_one("SpaceToDepth", {x}, attributes)}, attributes), x)) << mode;
  }
  EXPECT_THROW(run_one("SpaceToDepth", {x}, {{"blocksize", int64_t{0}}}), Error);
  EXPECT_THROW(run_one("DepthToSpace", {x}, {{"blocksize", int64_t{2}}}), Error);
}

TEST(Movement, CarriesStrings) {
  const Tensor x = Tensor::strings({2, 2}, {"a", "b", "c", "d"});
  EXPECT_EQ(run_one("Transpose", {x}).string_values(), (std::vector<std::string>{"a", "c", "b", "d"}));
  EXPECT_EQ(run_one("Gather", {x, ints({1})}).string_values(), (std::vector<std::string>{"c", "d"}));
  EXPECT_EQ(run_one("Concat", {x, x}, {{"axis", int64_t{1}}}).string_values(),
            (std::vector<std::string>{"a", "b", "a", "b", "c", "d", "c", "d"}));
}

}  // namespace
}  // namespace lowbit
