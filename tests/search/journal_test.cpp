#include "lowbit/search/journal.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "lowbit/base/error.h"

namespace lowbit::search {
namespace {

class JournalTest : public testing::Test {
 protected:
  JournalTest() {
    path = std::filesystem::temp_directory_path() / ("lowbit-journal-" + std::to_string(::getpid()) + "-" +
                                                     testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove(path);
  }
  ~JournalTest() override { std::filesystem::remove(path); }

  std::string read() const {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void write(const std::string& text) const { std::ofstream(path, std::ios::binary | std::ios::trunc) << text; }

  std::filesystem::path path;
  const Json subject = {{"model", "a"}, {"limit", 3}};
};

TEST_F(JournalTest, GivesBackWhatWasRecordedWithoutComputingAgain) {
  const double value = 0.1 + 0.2;
  {
    Journal journal(path, subject);
    EXPECT_EQ(journal.remember("x", [&] { return Json(value); }).get<double>(), value);
    EXPECT_EQ(journal.remember("x", [&]() -> Json { throw std::logic_error("computed twice"); }).get<double>(), value);
  }
  Journal again(path, subject);
  EXPECT_EQ(again.found(), 1u);
  EXPECT_EQ(again.remember("x", [&]() -> Json { throw std::logic_error("computed twice"); }).get<double>(), value);
  EXPECT_EQ(again.reused(), 1u);
}

TEST_F(JournalTest, SurvivesBeingCutOffAtEveryByte) {
  {
    Journal journal(path, subject);
    for (int i = 0; i < 5; ++i) journal.remember("k" + std::to_string(i), [&] { return Json{{"i", i}}; });
  }
  const std::string whole = read();
  for (size_t length = 0; length <= whole.size(); ++length) {
    write(whole.substr(0, length));
    {
      Journal journal(path, subject);
      for (int i = 0; i < 5; ++i) {
        const Json value = journal.remember("k" + std::to_string(i), [&] { return Json{{"i", i}}; });
        ASSERT_EQ(value.at("i").get<int>(), i);
      }
    }
    ASSERT_EQ(read(), whole) << "cut off at " << length;
  }
}

TEST_F(JournalTest, ForgetsWhatFollowsADamagedLine) {
  {
    Journal journal(path, subject);
    for (int i = 0; i < 3; ++i) journal.remember("k" + std::to_string(i), [&] { return Json(i); });
  }
  std::string text = read();
  const size_t at = text.find("\"k1\"");
  ASSERT_NE(at, std::string::npos);
  text[at + 1] = 'q';
  write(text);
  Journal journal(path, subject);
  EXPECT_EQ(journal.found(), 1u);
}

TEST_F(JournalTest, RefusesTheJournalOfAnotherSearchAndSaysWhatDiffers) {
  { Journal journal(path, subject); }
  try {
    Journal other(path, Json{{"model", "a"}, {"limit", 4}});
    FAIL() << "another search's journal was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_argument);
    EXPECT_NE(error.message().find("limit was 3, is 4"), std::string::npos) << error.message();
  }
}

TEST_F(JournalTest, DoesNotOverwriteOtherFiles) {
  write("my thesis\n");
  EXPECT_THROW(Journal(path, subject), Error);
  EXPECT_EQ(read(), "my thesis\n");
}

TEST_F(JournalTest, IsNotWrittenByTwoSearchesAtOnce) {
  Journal one(path, subject);
  EXPECT_THROW(Journal(path, subject), Error);
}

}  // namespace
}  // namespace lowbit::search
