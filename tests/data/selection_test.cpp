// Which samples are used, in which order, and which class a folder is.
#include <algorithm>
#include <numeric>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "lowbit/data/class_labels.h"
#include "lowbit/data/sample_order.h"
#include "tests/data/picture_tools.h"

namespace lowbit {
namespace {

using testing::error_of;

std::vector<int64_t> rows(int64_t count, const DataOptions& options) {
  const SampleOrder order(count, options, "x");
  std::vector<int64_t> result;
  for (int64_t i = 0; i < order.size(); ++i) result.push_back(order[i]);
  return result;
}

std::vector<int64_t> sliced(int64_t count, const std::string& slice) {
  DataOptions options;
  options.slice = parse_slice(slice);
  return rows(count, options);
}

TEST(Slice, SelectsAsNumpy) {
  using Rows = std::vector<int64_t>;
  EXPECT_EQ(sliced(7, "0::2"), (Rows{0, 2, 4, 6}));
  EXPECT_EQ(sliced(7, "1::2"), (Rows{1, 3, 5}));
  EXPECT_EQ(sliced(7, "-3:"), (Rows{4, 5, 6}));
  EXPECT_EQ(sliced(7, ":-5"), (Rows{0, 1}));
  EXPECT_EQ(sliced(7, "::-3"), (Rows{6, 3, 0}));
  EXPECT_EQ(sliced(7, "5:1:-2"), (Rows{5, 3}));
  EXPECT_EQ(sliced(7, "-100:100"), (Rows{0, 1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(sliced(7, "2::9223372036854775807"), (Rows{2}));
  EXPECT_EQ(sliced(7, "::-9223372036854775808"), (Rows{6}));
  EXPECT_EQ(sliced(7, "-9223372036854775808:3"), (Rows{0, 1, 2}));
}

RC_GTEST_PROP(Slice, EqualsWalkingStepByStep, ()) {
  // Oracle: the rule "start, start + step, ... while before stop", with numpy's defaults, on wrapped numbers.
  const int64_t n = *rc::gen::inRange<int64_t>(1, 12), step = *rc::gen::inRange<int64_t>(1, 5);
  const int64_t start = *rc::gen::inRange<int64_t>(-15, 15), stop = *rc::gen::inRange<int64_t>(-15, 15);
  std::vector<int64_t> expected;
  for (int64_t i = start < 0 ? std::max<int64_t>(start + n, 0) : start; i < n && i < (stop < 0 ? stop + n : stop);
       i += step)
    expected.push_back(i);
  DataOptions options;
  options.slice = Slice{start, stop, step};
  if (expected.empty())
    RC_ASSERT_THROWS_AS(rows(n, options), Error);
  else
    RC_ASSERT(rows(n, options) == expected);
}

TEST(Slice, RefusesWhatIsNone) {
  for (const char* text : {"", "5", "1:2:3:4", "a:b", "1:2:0", "1.5:2", "1: :x"})
    EXPECT_THROW(parse_slice(text), Error) << text;
  EXPECT_NE(error_of([] { sliced(7, "5:5"); }).find("leaves none of the 7 samples"), std::string::npos);
}

TEST(SampleOrder, LimitsAfterSlicing) {
  DataOptions options;
  options.slice = parse_slice("1::2");
  options.limit = 2;
  EXPECT_EQ(rows(9, options), (std::vector<int64_t>{1, 3}));
  options.limit = 100;
  EXPECT_EQ(rows(9, options).size(), 4u);
  options.limit = 0;
  EXPECT_THROW(rows(9, options), Error);
  EXPECT_THROW(rows(0, {}), Error);
}

TEST(SampleOrder, ShufflesBySeedIntoAPermutation) {
  DataOptions options;
  options.shuffle_seed = 1;
  const std::vector<int64_t> first = rows(100, options);
  EXPECT_EQ(first, rows(100, options));
  options.limit = 10;
  EXPECT_EQ(rows(100, options), std::vector<int64_t>(first.begin(), first.begin() + 10));
  options.limit.reset();
  options.shuffle_seed = 2;
  EXPECT_NE(first, rows(100, options));
  std::vector<int64_t> sorted = first, natural(100);
  std::sort(sorted.begin(), sorted.end());
  std::iota(natural.begin(), natural.end(), 0);
  EXPECT_EQ(sorted, natural);
  EXPECT_NE(first, natural);
}

TEST(SampleOrder, ShufflesEvenly) {
  // Each of 4 rows comes first in 1,000 of 4,000 seeds; 5 standard deviations are 137.
  int counts[4] = {};
  DataOptions options;
  for (uint64_t seed = 0; seed < 4000; ++seed) {
    options.shuffle_seed = seed;
    ++counts[rows(4, options)[0]];
  }
  for (const int count : counts) EXPECT_NEAR(count, 1000, 137);
}

FolderLabels label(const std::vector<std::string>& files, const std::optional<ClassList>& list = std::nullopt) {
  return label_by_folder(files, list, "data");
}

TEST(FolderLabels, TakeTheLineOfTheFirstOrSecondWord) {
  const ClassList list{"labels.txt", {"0 n014 tench", "1 n015 cock", "hot dog"}, false};
  EXPECT_EQ(label({"n015/a.jpg", "top/n014/b.jpg"}, list).labels, (std::vector<int64_t>{1, 0}));
  EXPECT_EQ(label({"hot/a.jpg", "0/b.jpg"}, list).labels, (std::vector<int64_t>{2, 0}));
  EXPECT_EQ(label({"hot dog/a.jpg", "dog/b.jpg"}, list).labels, (std::vector<int64_t>{2, 2}));
}

TEST(FolderLabels, TakeTheLeadingIntegerElse) {
  const ClassList list{"labels.txt", {"x", "y"}, true};
  for (const auto& classes : {std::optional<ClassList>(list), std::optional<ClassList>()})
    EXPECT_EQ(label({"0007_n0151/a.jpg", "12/b.jpg"}, classes).labels, (std::vector<int64_t>{7, 12}));
  EXPECT_EQ(label({"2_b/a.jpg"}).names, (std::vector<std::string>{"", "", "2_b"}));
  EXPECT_TRUE(label({"123456789/a.jpg"}).names.empty());
}

TEST(FolderLabels, TakeTheAlphabeticalPositionElse) {
  const FolderLabels result = label({"b/1.jpg", "a/2.jpg", "3d/3.jpg"});
  EXPECT_EQ(result.labels, (std::vector<int64_t>{2, 1, 0}));
  EXPECT_EQ(result.names, (std::vector<std::string>{"3d", "a", "b"}));
}

TEST(FolderLabels, RefuseListsThatDoNotFit) {
  const ClassList list{"c.txt", {"cat", "dog"}, true};
  EXPECT_NE(error_of([&] {
              label({"cat/1.jpg", "fox/1.jpg"}, list);
            }).find("'fox' is not in c.txt, though 'cat' is"),
            std::string::npos);
  EXPECT_NE(error_of([&] {
              label({"owl/1.jpg", "fox/1.jpg"}, list);
            }).find("no class folder is in c.txt"),
            std::string::npos);
}

TEST(ClassList, IsFoundInsideOrBesideTheData) {
  const testing::TemporaryFolder folder;
  folder.write("labels.txt", "outer\n\n");
  folder.write("data/x", "");
  EXPECT_EQ(find_class_list(folder / "data", "")->lines, std::vector<std::string>{"outer"});
  folder.write("data/labels.txt", "inner a\ninner b\n");
  EXPECT_EQ(find_class_list(folder / "data", "")->lines.size(), 2u);
  EXPECT_TRUE(find_class_list(folder / "data", folder / "labels.txt")->given);
  EXPECT_THROW(find_class_list(folder / "data", folder / "absent"), Error);
  folder.write("binary", std::string("a\0b", 3));
  EXPECT_THROW(find_class_list(folder / "data", folder / "binary"), Error);
}

TEST(ClassList, NamesClassesWithoutTheirNumbers) {
  const ClassList list{"", {"2 n01484850 great_white_shark", "hot dog", "7", "n01484850", "3 ice cream"}, false};
  EXPECT_EQ(class_names(list),
            (std::vector<std::string>{"great_white_shark", "hot dog", "7", "n01484850", "ice cream"}));
}

}  // namespace
}  // namespace lowbit
