#include "lowbit/base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

namespace fs = std::filesystem;

class FileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("lowbit_file_test_" + std::to_string(getpid()) + "_" +
                                           ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_ / "inner");
  }
  void TearDown() override { fs::remove_all(folder_); }
  void put(const std::string& name, const std::string& text) const { std::ofstream(folder_ / name) << text; }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  size_t entries() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  ErrorCode refusal(const std::string& name) const {
    try {
      MappedFile::open_beneath(folder_.string(), name);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::internal;
  }
  fs::path folder_;
};

TEST_F(FileTest, MapsWhatWasWritten) {
  write_file(path("a"), "hello");
  const auto file = MappedFile::open(path("a"));
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()), "hello");
  write_file(path("empty"), "");
  EXPECT_EQ(MappedFile::open(path("empty"))->bytes().size(), 0u);
}

TEST_F(FileTest, PipesAndFoldersAreRefusedAtOnce) {
  ASSERT_EQ(mkfifo(path("pipe").c_str(), 0600), 0);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THROW(MappedFile::open(path("pipe")), Error);
  EXPECT_THROW(MappedFile::open(folder_.string()), Error);
  EXPECT_THROW(MappedFile::open("/dev/zero"), Error);
  EXPECT_THROW(MappedFile::open(path("missing")), Error);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
}

TEST_F(FileTest, ExternalDataStaysBeneathItsFolder) {
  put("inner/data", "x");
  put("outside", "secret");
  EXPECT_NO_THROW(MappedFile::open_beneath(folder_.string(), "inner/data"));
  EXPECT_NO_THROW(MappedFile::open_beneath(folder_.string(), "./inner/data"));
  const std::string inner = (folder_ / "inner").string();
  fs::create_symlink(folder_ / "outside", folder_ / "link");
  fs::create_symlink(folder_ / "inner", folder_ / "linked_folder");
  fs::create_hard_link(folder_ / "outside", folder_ / "hard");
  for (const char* name :
       {"../outside", "inner/../../outside", "/etc/passwd", "link", "linked_folder/data", "hard", "", "inner", "a\\b"})
    EXPECT_EQ(refusal(name), ErrorCode::bad_file) << name;
  EXPECT_EQ(refusal(std::string("inner/data\0x", 12)), ErrorCode::bad_file);
}

TEST_F(FileTest, NothingIsLeftBehindWithoutCommit) {
  put("target", "old");
  {
    AtomicFile file(path("target"));
    file.write("new");
  }
  EXPECT_EQ(entries(), 2u);  // inner, target
  std::ifstream in(path("target"));
  std::string text;
  in >> text;
  EXPECT_EQ(text, "old");
}

TEST_F(FileTest, WritingWhereItCannotBeWrittenIsAnIoError) {
  const auto code_of = [](const std::string& target, size_t bytes) {
    try {
      write_file(target, std::string(bytes, 'x'));
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::internal;
  };
  EXPECT_EQ(code_of(path("inner"), 1), ErrorCode::io);
  EXPECT_EQ(code_of(path("missing/file"), 1), ErrorCode::io);
  EXPECT_EQ(code_of("/dev/full", 1), ErrorCode::io);
  EXPECT_EQ(entries(), 1u);
}

}  // namespace
}  // namespace lowbit
