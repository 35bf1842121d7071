#include "lowbit/base/text.h"

#include <gtest/gtest.h>

#include <string>

namespace lowbit {
namespace {

TEST(Glob, MatchesStarsQuestionMarksAndClasses) {
  EXPECT_TRUE(glob_match("conv_*", "conv_1"));
  EXPECT_TRUE(glob_match("*", ""));
  EXPECT_TRUE(glob_match("a?c[0-9]", "abc7"));
  EXPECT_TRUE(glob_match("[!x]1", "a1"));
  EXPECT_TRUE(glob_match("*layer*conv*", "model/layer1/conv2/weight"));
  EXPECT_FALSE(glob_match("conv_?", "conv_12"));
  EXPECT_FALSE(glob_match("[!x]1", "x1"));
  EXPECT_FALSE(glob_match("", "a"));
}

TEST(Glob, IsNotExponential) {
  std::string pattern, text(5000, 'a');
  for (int i = 0; i < 40; ++i) pattern += "a*";
  EXPECT_FALSE(glob_match(pattern + "b", text));
}

TEST(Names, NearestComeFirst) {
  const std::vector<std::string> names{"conv_1", "conv_2", "dense", "softmax"};
  EXPECT_EQ(nearest_names("conv1", names, 1), std::vector<std::string>{"conv_1"});
  EXPECT_EQ(did_you_mean("dens", names), "did you mean dense?");
  EXPECT_EQ(did_you_mean("qqqq", std::vector<std::string>{"ab"}), "");
}

TEST(Printable, EscapesWhatCouldMoveATerminal) {
  EXPECT_EQ(printable("a\x1b[31mb"), "a\\x1b[31mb");
  EXPECT_EQ(printable("Gr\xc3\xbc\xc3\x9f"), "Gr\xc3\xbc\xc3\x9f");
  EXPECT_EQ(printable("\xff"), "\\xff");
  EXPECT_EQ(printable("\xe2\x80\xae"), "\\xe2\\x80\\xae");  // right-to-left override
  EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf");           // overlong
  EXPECT_EQ(printable(std::string(300, 'a'), 10), "aaaaaaaaaa...");
}

TEST(Numbers, AreReadWholeOrNotAtAll) {
  EXPECT_EQ(parse_int("42"), 42);
  EXPECT_EQ(parse_int("42x"), std::nullopt);
  EXPECT_EQ(parse_int(""), std::nullopt);
  EXPECT_EQ(parse_double("1.5"), 1.5);
  EXPECT_EQ(parse_double("1,5"), std::nullopt);
}

TEST(Sizes, ReadWell) {
  EXPECT_EQ(with_commas(1905941), "1,905,941");
  EXPECT_EQ(with_commas(-1000), "-1,000");
  EXPECT_EQ(with_commas(999), "999");
  EXPECT_EQ(bytes_text(523), "523 B");
  EXPECT_EQ(bytes_text(1905941), "1.82 MiB");
}

}  // namespace
}  // namespace lowbit
