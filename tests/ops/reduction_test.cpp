#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/ops/single_op.h"

namespace lowbit {
namespace {

/// The elements of x that fall on each output element, by index arithmetic.
std::vector<std::vector<double>> groups(const Tensor& x, const std::vector<bool>& reduced) {
  Dims kept = x.dims();
  for (size_t i = 0; i < kept.size(); ++i)
    if (reduced[i]) kept[i] = 1;
  std::vector<std::vector<double>> result(static_cast<size_t>(element_count(kept)));
  for (int64_t i = 0; i < x.count(); ++i) {
    Dims at = coordinates(i, x.dims());
    for (size_t k = 0; k < at.size(); ++k)
      if (reduced[k]) at[k] = 0;
    result[static_cast<size_t>(flat_index(at, kept))].push_back(x.values<int32_t>()[static_cast<size_t>(i)]);
  }
  return result;
}

double naive(const std::string& op, const std::vector<double>& values) {
  double sum = 0, squares = 0, absolute = 0, exponentials = 0, product = 1;
  for (double v : values) {
    sum += v;
    squares += v * v;
    absolute += std::fabs(v);
    exponentials += std::exp(v);
    product *= v;
  }
  if (op == "ReduceSum") return sum;
  if (op == "ReduceMean") return sum / static_cast<double>(values.size());
  if (op == "ReduceSumSquare") return squares;
  if (op == "ReduceL1") return absolute;
  if (op == "ReduceL2") return std::sqrt(squares);
  if (op == "ReduceLogSumExp") return std::log(exponentials);
  if (op == "ReduceProd") return product;
  if (op == "ReduceMax") return *std::max_element(values.begin(), values.end());
  return *std::min_element(values.begin(), values.end());
}

RC_GTEST_PROP(Reduce, EqualsTheNaiveSumOverAnyAxes, ()) {
  const std::string op =
      *rc::gen::element<std::string>("ReduceSum", "ReduceMean", "ReduceSumSquare", "ReduceL1", "ReduceL2",
                                     "ReduceLogSumExp", "ReduceProd", "ReduceMax", "ReduceMin");
  const Dims dims = random_dims(4, 1, 4);
  const Tensor x = random_ints(dims);
  std::vector<bool> reduced(dims.size());
  std::vector<int64_t> axes;
  for (size_t i = 0; i < dims.size(); ++i) {
    reduced[i] = *rc::gen::inRange(0, 2) == 1;
    if (reduced[i])
      axes.push_back(*rc::gen::inRange(0, 2) ? static_cast<int64_t>(i - dims.size()) : static_cast<int64_t>(i));
  }
  if (axes.empty()) reduced.assign(dims.size(), true);
  const int64_t keepdims = *rc::gen::inRange<int64_t>(0, 2);
  const Tensor y = run_one(op, {x.cast(DType::float64), ints(axes)}, {{"keepdims", keepdims}});
  const auto expected = groups(x, reduced);
  RC_ASSERT(y.count() == static_cast<int64_t>(expected.size()));
  RC_ASSERT(y.rank() == (keepdims ? static_cast<int64_t>(dims.size())
                                  : static_cast<int64_t>(std::count(reduced.begin(), reduced.end(), false))));
  for (size_t i = 0; i < expected.size(); ++i) {
    const double wanted = naive(op, expected[i]);
    RC_ASSERT(std::fabs(y.values<double>()[i] - wanted) <= 1e-12 * std::max(1.0, std::fabs(wanted)));
  }
}

TEST(Reduce, AnEmptySetGivesTheNeutralElement) {
  const Tensor x(DType::float32, {2, 0, 3});
  const Tensor axes = ints({1});
  const auto value = [&](const char* op) {
    const Tensor y = run_one(op, {x, axes});
    EXPECT_EQ(y.dims(), (Dims{2, 1, 3})) << op;
    return y.data<float>()[5];
  };
  EXPECT_EQ(value("ReduceSum"), 0);
  EXPECT_EQ(value("ReduceProd"), 1);
  EXPECT_EQ(value("ReduceMax"), -INFINITY);
  EXPECT_EQ(value("ReduceMin"), INFINITY);
  EXPECT_EQ(value("ReduceLogSum"), -INFINITY);
  EXPECT_EQ(value("ReduceLogSumExp"), -INFINITY);
  EXPECT_TRUE(std::isnan(value("ReduceMean")));
}

TEST(Reduce, NoAxesReduceAllOrNothingAsTheAttributeSays) {
  const auto x = Tensor::from<float>({2}, {1, 2});
  EXPECT_EQ(run_one("ReduceSum", {x}).data<float>()[0], 3);
  EXPECT_TRUE(identical(run_one("ReduceSum", {x}, {{"noop_with_empty_axes", int64_t{1}}}), x));
  EXPECT_THROW(run_one("ReduceSum", {x, ints({1})}), Error);
  EXPECT_THROW(run_one("ReduceSum", {x, ints({0, -1})}), Error);
}

TEST(Reduce, LogSumExpDoesNotOverflow) {
  const auto x = Tensor::from<float>({2}, {1000.0f, 1000.0f});
  EXPECT_FLOAT_EQ(run_one("ReduceLogSumExp", {x}).data<float>()[0], 1000.6931f);
}

TEST(CumSum, GoesBothWaysWithAndWithoutItself) {
  const auto x = Tensor::from<int32_t>({2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor axis = Tensor::scalar<int64_t>(1);
  const auto sums = [&](int64_t exclusive, int64_t reverse) {
    return values_of<int32_t>(run_one("CumSum", {x, axis}, {{"exclusive", exclusive}, {"reverse", reverse}}));
  };
  EXPECT_EQ(sums(0, 0), (std::vector<int32_t>{1, 3, 6, 4, 9, 15}));
  EXPECT_EQ(sums(1, 0), (std::vector<int32_t>{0, 1, 3, 0, 4, 9}));
  EXPECT_EQ(sums(0, 1), (std::vector<int32_t>{6, 5, 3, 15, 11, 6}));
  EXPECT_EQ(sums(1, 1), (std::vector<int32_t>{5, 3, 0, 11, 6, 0}));
}

TEST(Range, CountsLikeTheFormulaAndRefusesAZeroStep) {
  const auto range = [](int64_t start, int64_t limit, int64_t delta) {
    return values_of<int64_t>(run_one("Range", {Tensor::scalar(start), Tensor::scalar(limit), Tensor::scalar(delta)}));
  };
  EXPECT_EQ(range(1, 8, 3), (std::vector<int64_t>{1, 4, 7}));
  EXPECT_EQ(range(5, 0, -2), (std::vector<int64_t>{5, 3, 1}));
  EXPECT_EQ(range(5, 0, 1), (std::vector<int64_t>{}));
  EXPECT_THROW(range(0, 5, 0), Error);
  EXPECT_THROW(range(std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max(), 1), Error);
}

TEST(Dropout, IsTheIdentityAndRefusesTraining) {
  const Tensor x = counted({3}).cast(DType::float32), ratio = Tensor::scalar<float>(0.5f);
  const auto y = run_op("Dropout", {x, ratio, Tensor::scalar<bool>(false)}, {}, 2);
  EXPECT_TRUE(identical(y[0], x));
  EXPECT_EQ(values_of<bool>(y[1]), (std::vector<bool>{true, true, true}));
  EXPECT_THROW(run_op("Dropout", {x, ratio, Tensor::scalar<bool>(true)}), Error);
}

TEST(RandomUniform, RepeatsWithItsSeedAndStaysInRange) {
  const Attributes attributes{{"seed", 7.0f}, {"low", 2.0f}, {"high", 3.0f}, {"shape", std::vector<int64_t>{1000}}};
  const Tensor a = run_one("RandomUniform", {}, attributes);
  EXPECT_TRUE(identical(a, run_one("RandomUniform", {}, attributes)));
  double sum = 0;
  for (float value : a.values<float>()) {
    ASSERT_GE(value, 2.0f);
    ASSERT_LE(value, 3.0f);
    sum += value;
  }
  EXPECT_NEAR(sum / 1000, 2.5, 0.05);  // five standard errors
}

}  // namespace
}  // namespace lowbit
