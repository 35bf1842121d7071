#include "lowbit/runtime/plan/view.h"

#include <gtest/gtest.h>

#include "lowbit/base/random.h"

namespace lowbit::plan {
namespace {

View image(Dims dims, Order order) {
  const auto rank = static_cast<int64_t>(dims.size());
  return {DType::uint8, dims, strides_in(dims, axis_order(order, rank)), 0, 0};
}

int64_t offset_of(const View& view, int64_t element) {
  int64_t offset = view.offset;
  for (size_t i = view.dims.size(); i-- > 0;) {
    offset += element % view.dims[i] * view.strides[i];
    element /= view.dims[i];
  }
  return offset;
}

TEST(View, OfAnImageKnowsItsPixels) {
  EXPECT_EQ(pixel_stride(image({2, 5, 3, 4}, Order::channels_last)), 5);
  EXPECT_FALSE(pixel_stride(image({2, 5, 3, 4}, Order::row_major)));
  EXPECT_EQ(pixel_stride(image({2, 5, 1, 1}, Order::row_major)), 5);  // one pixel: both orders are the same
  View slice = image({2, 8, 3, 4}, Order::channels_last);
  slice.dims[1] = 3;
  EXPECT_EQ(pixel_stride(slice), 8);
  EXPECT_FALSE(is_row_major(slice));
}

TEST(View, ReshapesWithoutACopyOnlyWhereElementsStayInOrder) {
  const View last = image({1, 16, 1, 24}, Order::channels_last);
  const auto squeezed = reshaped(last, {1, 16, 24});
  ASSERT_TRUE(squeezed);
  EXPECT_EQ(pixel_stride(*squeezed), 16);
  EXPECT_FALSE(reshaped(image({2, 5, 3, 4}, Order::channels_last), {2, 60}));
  EXPECT_TRUE(reshaped(image({2, 5, 1, 1}, Order::channels_last), {2, 5}));
}

TEST(View, ReshapedElementsAreThoseOfRowMajorOrder) {
  Random random(3);
  const std::vector<Dims> shapes = {{2, 3, 4, 5}, {6, 20}, {120}, {2, 12, 5}, {1, 2, 3, 1, 20}, {2, 60}, {24, 5}};
  int made = 0;
  for (int i = 0; i < 200; ++i) {
    const Dims& from = shapes[static_cast<size_t>(random.uniform() * 7)];
    const Dims& to = shapes[static_cast<size_t>(random.uniform() * 7)];
    View view = image(from, random.uniform() < 0.5 ? Order::row_major : Order::channels_last);
    const auto result = reshaped(view, to);
    if (!result) continue;
    ++made;
    for (int64_t e = 0; e < view.count(); ++e) ASSERT_EQ(offset_of(view, e), offset_of(*result, e));
  }
  EXPECT_GT(made, 50);
}

TEST(View, CollapsesToTheFewestLoops) {
  const View a = image({2, 5, 3, 4}, Order::channels_last), b = a;
  const View* views[] = {&a, &b};
  EXPECT_EQ(collapse(views).size(), 1u);
  const View other = image({2, 5, 3, 4}, Order::row_major);
  const View* mixed[] = {&a, &other};
  EXPECT_EQ(collapse(mixed).size(), 3u);
}

}  // namespace
}  // namespace lowbit::plan
