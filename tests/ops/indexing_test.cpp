#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/ops/single_op.h"

namespace lowbit {
namespace {

const std::vector<int64_t> kHostile{2, -3, 1000, int64_t{1} << 62, std::numeric_limits<int64_t>::min()};

TEST(IndexBounds, EveryReaderRefusesAnIndexOutside) {
  const Tensor x = counted({2, 2});
  for (int64_t bad : kHostile) {
    EXPECT_THROW(run_one("Gather", {x, ints({bad})}), Error) << bad;
    EXPECT_THROW(run_one("GatherElements", {x, ints({bad}).reshaped({1, 1})}), Error) << bad;
    EXPECT_THROW(run_one("GatherND", {x, ints({bad, 0}).reshaped({1, 2})}), Error) << bad;
  }
}

TEST(IndexBounds, EveryWriterRefusesAnIndexOutside) {
  const Tensor x = counted({2, 2}), update = counted({1, 1});
  for (int64_t bad : kHostile) {
    EXPECT_THROW(run_one("ScatterElements", {x, ints({bad}).reshaped({1, 1}), update}), Error) << bad;
    EXPECT_THROW(run_one("ScatterND", {x, ints({0, bad}).reshaped({1, 2}), counted({1})}), Error) << bad;
    EXPECT_THROW(run_one("TensorScatter", {counted({1, 2, 2}), counted({1, 1, 2}), ints({bad})}), Error) << bad;
  }
}

TEST(IndexBounds, ShapesThatDoNotFitAreRefused) {
  const Tensor x = counted({2, 2});
  EXPECT_THROW(run_one("ScatterElements", {x, ints({0, 0, 0}).reshaped({1, 3}), counted({1, 3})}), Error);
  EXPECT_THROW(run_one("ScatterElements", {x, ints({0}).reshaped({1, 1}), counted({2, 2})}), Error);
  EXPECT_THROW(run_one("ScatterND", {x, ints({0, 0, 0}).reshaped({1, 3}), counted({1})}), Error);
  EXPECT_THROW(run_one("ScatterND", {x, ints({0}).reshaped({1, 1}), counted({1, 3})}), Error);
  EXPECT_THROW(run_one("GatherElements", {x, ints({0, 0, 0}).reshaped({3, 1}), Tensor()}, {{"axis", int64_t{1}}}),
               Error);
  EXPECT_THROW(run_one("GatherND", {x, ints({0, 0})}, {{"batch_dims", int64_t{5}}}), Error);
}

RC_GTEST_PROP(Gather, EqualsIndexArithmetic, ()) {
  const Dims dims{*rc::gen::inRange<int64_t>(1, 4), *rc::gen::inRange<int64_t>(1, 5), *rc::gen::inRange<int64_t>(1, 4)};
  const int64_t axis = *rc::gen::inRange<int64_t>(-3, 3);
  const size_t along = static_cast<size_t>(axis < 0 ? axis + 3 : axis);
  std::vector<int64_t> places;
  for (int i = 0; i < 4; ++i) places.push_back(*rc::gen::inRange<int64_t>(-dims[along], dims[along]));
  const Tensor y = run_one("Gather", {counted(dims), ints(places)}, {{"axis", axis}});
  for (int64_t i = 0; i < y.count(); ++i) {
    Dims at = coordinates(i, y.dims());
    const int64_t place = places[static_cast<size_t>(at[along])];
    at[along] = place < 0 ? place + dims[along] : place;
    RC_ASSERT(y.values<int32_t>()[static_cast<size_t>(i)] == flat_index(at, dims));
  }
}

TEST(ScatterElements, AppliesRepeatedUpdatesInOrder) {
  const auto x = Tensor::from<float>({3}, {10, 20, 30}), update = Tensor::from<float>({3}, {2, 3, 4});
  const Tensor places = ints({0, 0, 2});
  const auto scatter = [&](const char* reduction) {
    return values_of<float>(run_one("ScatterElements", {x, places, update}, {{"reduction", std::string(reduction)}}));
  };
  EXPECT_EQ(scatter("none"), (std::vector<float>{3, 20, 4}));
  EXPECT_EQ(scatter("add"), (std::vector<float>{15, 20, 34}));
  EXPECT_EQ(scatter("mul"), (std::vector<float>{60, 20, 120}));
  EXPECT_EQ(scatter("max"), (std::vector<float>{10, 20, 30}));
  EXPECT_EQ(scatter("min"), (std::vector<float>{2, 20, 4}));
  EXPECT_THROW(scatter("average"), Error);
}

RC_GTEST_PROP(TopK, IsThePrefixOfAStableSort, ()) {
  const Tensor x = random_ints({2, *rc::gen::inRange<int64_t>(1, 9)});
  const int64_t size = x.dim(1), k = *rc::gen::inRange<int64_t>(0, size + 1);
  const auto y = run_op("TopK", {x, ints({k})}, {}, 2);
  for (int64_t row = 0; row < 2; ++row) {
    std::vector<std::pair<int32_t, int64_t>> order;
    for (int64_t i = 0; i < size; ++i) order.push_back({-x.data<int32_t>()[row * size + i], i});
    std::sort(order.begin(), order.end());
    for (int64_t i = 0; i < k; ++i) {
      RC_ASSERT(y[0].data<int32_t>()[row * k + i] == -order[static_cast<size_t>(i)].first);
      RC_ASSERT(y[1].data<int64_t>()[row * k + i] == order[static_cast<size_t>(i)].second);
    }
  }
}

TEST(TopK, RefusesMoreThanThereAre) {
  EXPECT_THROW(run_op("TopK", {counted({3}), ints({4})}, {}, 2), Error);
  EXPECT_THROW(run_op("TopK", {counted({3}), ints({-1})}, {}, 2), Error);
}

TEST(ArgMax, TiesGoToTheFirstUnlessAskedOtherwise) {
  const auto x = Tensor::from<int32_t>({1, 4}, {3, 7, 7, 1});
  const Attributes along{{"axis", int64_t{1}}};
  EXPECT_EQ(run_one("ArgMax", {x}, along).data<int64_t>()[0], 1);
  EXPECT_EQ(run_one("ArgMax", {x}, {{"axis", int64_t{1}}, {"select_last_index", int64_t{1}}}).data<int64_t>()[0], 2);
  EXPECT_EQ(run_one("ArgMin", {x}, along).data<int64_t>()[0], 3);
  EXPECT_THROW(run_one("ArgMax", {Tensor(DType::float32, {2, 0})}, along), Error);
}

TEST(Unique, ReportsFirstPlacesInverseAndCounts) {
  const auto x = Tensor::from<int32_t>({6}, {2, 1, 1, 3, 4, 3});
  const auto sorted = run_op("Unique", {x}, {}, 4);
  EXPECT_EQ(values_of<int32_t>(sorted[0]), (std::vector<int32_t>{1, 2, 3, 4}));
  EXPECT_EQ(values_of<int64_t>(sorted[1]), (std::vector<int64_t>{1, 0, 3, 4}));
  EXPECT_EQ(values_of<int64_t>(sorted[2]), (std::vector<int64_t>{1, 0, 0, 2, 3, 2}));
  EXPECT_EQ(values_of<int64_t>(sorted[3]), (std::vector<int64_t>{2, 1, 2, 1}));
  const auto placed = run_op("Unique", {x}, {{"sorted", int64_t{0}}}, 4);
  EXPECT_EQ(values_of<int32_t>(placed[0]), (std::vector<int32_t>{2, 1, 3, 4}));
}

TEST(NonZero, ListsCoordinatesByAxis) {
  const auto x = Tensor::from<int32_t>({2, 2}, {1, 0, 1, 1});
  EXPECT_EQ(values_of<int64_t>(run_one("NonZero", {x})), (std::vector<int64_t>{0, 1, 1, 0, 0, 1}));
}

}  // namespace
}  // namespace lowbit
