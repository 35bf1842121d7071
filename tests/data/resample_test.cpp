#include "lowbit/data/resample.h"

#include <cmath>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/data/picture_tools.h"

namespace lowbit {
namespace {

using testing::crc32;
using testing::pattern;

struct Resize {
  int64_t width, height, new_width, new_height, sum;
  uint32_t checksum;
  std::vector<uint8_t> first;
};

// Oracle: Pillow 13.0, Image.fromarray(pattern).resize((W, H), Image.BILINEAR); sum, zlib.crc32 and the first values.
const Resize kResized[] = {
    {13, 9, 5, 4, 7532, 1120002656u, {23, 124, 209, 48, 149, 151}},
    {13, 9, 29, 17, 185444, 2079703868u, {0, 101, 202, 1, 102, 203}},
    {64, 48, 20, 48, 366737, 1412442123u, {10, 111, 212, 30, 131, 232}},
    {64, 48, 64, 7, 171199, 972187821u, {47, 148, 162, 71, 168, 109}},
    {100, 3, 7, 3, 8016, 805042991u, {56, 157, 129, 146, 146, 93}},
    {3, 3, 1, 1, 357, 567736866u, {25, 126, 206}},
    {1, 1, 4, 4, 4848, 2928901996u, {0, 101, 202, 0, 101, 202}},
    {257, 255, 224, 224, 19191777, 1175231268u, {3, 104, 205, 12, 113, 214}},
};

TEST(ResizeBilinear, EqualsPillow) {
  for (const Resize& c : kResized) {
    SCOPED_TRACE(::testing::Message() << c.width << "x" << c.height << " -> " << c.new_width << "x" << c.new_height);
    const Picture<uint8_t> out = resize_bilinear(pattern(c.width, c.height), c.new_width, c.new_height);
    EXPECT_EQ(out.width, c.new_width);
    EXPECT_EQ(out.height, c.new_height);
    int64_t sum = 0;
    for (const uint8_t v : out.values) sum += v;
    EXPECT_EQ(std::vector<uint8_t>(out.values.begin(), out.values.begin() + static_cast<int64_t>(c.first.size())),
              c.first);
    EXPECT_EQ(sum, c.sum);
    EXPECT_EQ(crc32(out.values), c.checksum);
  }
}

TEST(ResizeBilinear, OnFloatsKeepsFractions) {
  // Halving 1 x 4: the triangle of half-width 2 around 1.0 weighs the centres 0.5, 1.5, 2.5 by 3 : 3 : 1.
  const Picture<float> row{4, 1, 1, {0, 1, 2, 10}};
  const Picture<float> out = resize_bilinear(row, 2, 1);
  EXPECT_FLOAT_EQ(out.values[0], (0 * 3 + 1 * 3 + 2 * 1) / 7.0f);
  EXPECT_FLOAT_EQ(out.values[1], (1 * 1 + 2 * 3 + 10 * 3) / 7.0f);
}

RC_GTEST_PROP(ResizeBilinear, KeepsPlainPicturesAndStaysWithinTheRange, ()) {
  const auto side = [] { return *rc::gen::inRange<int64_t>(1, 40); };
  Picture<uint8_t> plain{side(), side(), 3, {}};
  const uint8_t level = *rc::gen::arbitrary<uint8_t>();
  plain.values.assign(static_cast<size_t>(plain.width * plain.height * 3), level);
  const Picture<uint8_t> out = resize_bilinear(plain, side(), side());
  for (const uint8_t v : out.values) RC_ASSERT(v == level);
}

RC_GTEST_PROP(ResizeBilinear, EightBitsDifferFromFloatsByRoundingOnly, ()) {
  const auto side = [] { return *rc::gen::inRange<int64_t>(1, 40); };
  const Picture<uint8_t> pixels = pattern(side(), side());
  const Picture<float> values{pixels.width, pixels.height, 3, {pixels.values.begin(), pixels.values.end()}};
  const int64_t width = side(), height = side();
  const Picture<uint8_t> rounded = resize_bilinear(pixels, width, height);
  const Picture<float> exact = resize_bilinear(values, width, height);
  // Half a level for each of the two passes, and the weights' 22 bits: at most 80 of them, each off by 2^-23, times
  // 255.
  const double bound = 1.0 + 2 * 80 * 0x1p-23 * 255;
  for (size_t i = 0; i < exact.values.size(); ++i)
    RC_ASSERT(std::abs(static_cast<double>(exact.values[i]) - rounded.values[i]) <= bound);
}

TEST(ToColor, GreyIsTheLumaOf601) {
  const Picture<uint8_t> rgb{3, 1, 3, {255, 0, 0, 0, 255, 0, 0, 0, 255}};
  // 255 * (0.299, 0.587, 0.114), rounded.
  EXPECT_EQ(to_color(rgb, Color::grey).values, (std::vector<uint8_t>{76, 150, 29}));
}

TEST(ToColor, RepeatsGreyAndSwapsForBgr) {
  EXPECT_EQ(to_color(Picture<uint8_t>{2, 1, 1, {4, 9}}, Color::rgb).values, (std::vector<uint8_t>{4, 4, 4, 9, 9, 9}));
  EXPECT_EQ(to_color(Picture<uint8_t>{1, 1, 3, {1, 2, 3}}, Color::bgr).values, (std::vector<uint8_t>{3, 2, 1}));
  EXPECT_EQ(to_color(Picture<uint8_t>{1, 1, 1, {7}}, Color::grey).values, (std::vector<uint8_t>{7}));
}

TEST(Crop, TakesTheNamedPart) {
  const Picture<uint8_t> picture = pattern(5, 4, 1);
  const Picture<uint8_t> part = crop(picture, 2, 1, 3, 2);
  EXPECT_EQ(part.values, (std::vector<uint8_t>{picture.values[7], picture.values[8], picture.values[9],
                                               picture.values[12], picture.values[13], picture.values[14]}));
}

}  // namespace
}  // namespace lowbit
