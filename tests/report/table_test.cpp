#include "lowbit/report/table.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "lowbit/base/error.h"
#include "lowbit/base/text.h"

namespace lowbit {
namespace {

TEST(Table, AlignsColumnsAndLeavesNoBlanksAtLineEnds) {
  Table table({{"name"}, {"bytes", Table::Align::right}});
  table.add_row({"conv", "1,024"});
  table.add_row({"a", "7"});
  EXPECT_EQ(table.text(),
            "name  bytes\n"
            "────  ─────\n"
            "conv  1,024\n"
            "a         7\n");
}

TEST(Table, CountsCharactersNotBytes) {
  EXPECT_EQ(display_width("größe"), 5);
  EXPECT_EQ(display_width("重み"), 4);
  EXPECT_EQ(display_width("e\u0301"), 1);
  EXPECT_EQ(display_width(""), 0);
}

TEST(Table, CutsLongCellsAtTheColumnLimit) {
  EXPECT_EQ(shorten("abcdef", 4), "abc…");
  EXPECT_EQ(shorten("abcd", 4), "abcd");
  EXPECT_EQ(shorten("重み重み", 4), "重…");
}

TEST(Table, MakesHostileNamesPrintable) {
  Table table({{"name"}});
  table.add_row({"\x1b[31mred\n"});
  const std::string text = table.text();
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_NE(text.find("\\x1b[31mred\\x0a"), std::string::npos);
}

TEST(Table, RefusesMoreCellsThanColumns) {
  Table table({{"one"}});
  EXPECT_THROW(table.add_row({"1", "2"}), Error);
}

RC_GTEST_PROP(Table, ShortenedTextIsNeverWiderThanAsked, ()) {
  const std::string text = printable(*rc::gen::arbitrary<std::string>(), 1000);
  const auto columns = *rc::gen::inRange<int64_t>(1, 40);
  RC_ASSERT(display_width(shorten(text, columns)) <= columns);
}

}  // namespace
}  // namespace lowbit
