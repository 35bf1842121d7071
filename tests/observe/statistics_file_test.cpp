#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <xxhash.h>

#include <cstring>
#include <filesystem>

#include "lowbit/base/error.h"
#include "lowbit/observe/statistics.h"
#include "tests/observe/sample_data.h"

namespace lowbit {
namespace {

using testing::DataKind;

Bytes bytes_of(const std::string& text) { return std::as_bytes(std::span(text.data(), text.size())); }

StatisticsSet set_of(std::vector<float> x, bool channels) {
  StatisticsSet set{"fingerprint", "two words", {}};
  TensorStatistics& s = set.tensors["conv/output"];
  if (channels) s.channel_axis = 1;
  const auto rows = static_cast<int64_t>(x.size() / 2);
  x.resize(static_cast<size_t>(rows) * 2);
  s.add(Tensor::from({rows, 2}, x), /*batched=*/true);
  set.tensors["never seen"];
  return set;
}

void expect_equal(const StatisticsSet& a, const StatisticsSet& b) {
  EXPECT_EQ(a.model_fingerprint, b.model_fingerprint);
  EXPECT_EQ(a.data_description, b.data_description);
  EXPECT_EQ(a.tensors, b.tensors);
}

bool refused(const std::string& text) {
  try {
    read_statistics(bytes_of(text), "file");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_file);
    return true;
  }
  return false;
}

/// Makes size and checksum of the header fit the payload again.
std::string sealed(std::string text) {
  const uint64_t size = text.size() - 32, hash = XXH64(text.data() + 32, size, 0);
  std::memcpy(text.data() + 16, &size, 8);
  std::memcpy(text.data() + 24, &hash, 8);
  return text;
}

RC_GTEST_PROP(StatisticsFile, reads_back_what_was_written, ()) {
  const auto kind = static_cast<DataKind>(*rc::gen::inRange(0, testing::kDataKinds));
  const auto x = testing::sample_values(kind, *rc::gen::inRange(0, 4000), *rc::gen::arbitrary<uint32_t>());
  const StatisticsSet set = set_of(x, *rc::gen::arbitrary<bool>());
  const std::string text = write_statistics(set);
  const StatisticsSet back = read_statistics(bytes_of(text), "file");
  expect_equal(back, set);
  RC_ASSERT(write_statistics(back) == text);
}

TEST(StatisticsFile, is_saved_and_loaded) {
  const std::string path = (std::filesystem::temp_directory_path() / "lowbit_statistics_file_test").string();
  const StatisticsSet set = set_of({1, 2, -3, 0.5f}, true);
  save_statistics(set, path);
  expect_equal(load_statistics(path), set);
  std::filesystem::remove(path);
}

TEST(StatisticsFile, with_any_single_bit_flipped_is_refused) {
  const std::string text = write_statistics(set_of({1, 2, -3, 0, 1e-40f, 7}, true));
  ASSERT_FALSE(refused(text));
  for (size_t bit = 0; bit < text.size() * 8; ++bit) {
    std::string flipped = text;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_TRUE(refused(flipped)) << "bit " << bit;
  }
}

TEST(StatisticsFile, cut_anywhere_is_refused) {
  const std::string text = write_statistics(set_of({1, 2, -3, 0}, true));
  for (size_t size = 0; size < text.size(); ++size) {
    EXPECT_TRUE(refused(text.substr(0, size)));
    if (size >= 32) {
      EXPECT_TRUE(refused(sealed(text.substr(0, size)))) << "sealed, " << size;
    }
  }
  EXPECT_TRUE(refused(text + '\0'));
  EXPECT_TRUE(refused(sealed(text + '\0')));
}

/// With a checksum that fits, what is read must still be consistent: reading again what it writes gives the same.
TEST(StatisticsFile, with_a_forged_checksum_is_refused_or_sound) {
  const std::string text = write_statistics(set_of({1, 2, -3, 0, 1e-40f, 7, 1e38f, 5}, true));
  int accepted = 0;
  for (size_t byte = 32; byte < text.size(); ++byte) {
    for (int value : {0, 1, 0x7f, 0x80, 0xff}) {
      std::string forged = text;
      forged[byte] = static_cast<char>(value);
      forged = sealed(forged);
      try {
        const StatisticsSet set = read_statistics(bytes_of(forged), "file");
        EXPECT_EQ(write_statistics(set), forged);
        StatisticsSet twice = set;
        twice.merge(set);
        ++accepted;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::bad_file) << error.what();
      }
    }
  }
  EXPECT_GT(accepted, 0);
}

TEST(StatisticsFile, says_what_is_wrong) {
  const auto message = [](const std::string& text) -> std::string {
    try {
      read_statistics(bytes_of(text), "calibration.stats");
    } catch (const Error& error) {
      return error.what();
    }
    return {};
  };
  EXPECT_EQ(message("PK"),
            "calibration.stats: this is no statistics file of lowbit; give one that `lowbit` saved while calibrating");
  std::string text = write_statistics({});
  text[8] = 7;
  EXPECT_NE(message(text).find("version 7"), std::string::npos);
}

}  // namespace
}  // namespace lowbit
