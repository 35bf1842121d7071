#include "lowbit/base/threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <vector>

namespace lowbit {
namespace {

TEST(ThreadPool, RunsEveryTaskOnce) {
  for (int threads : {1, 2, 7}) {
    ThreadPool pool(threads);
    std::vector<std::atomic<int>> counts(1000);
    pool.parallel_for(1000, [&](int64_t i) { ++counts[static_cast<size_t>(i)]; });
    for (const auto& count : counts) ASSERT_EQ(count, 1);
  }
}

TEST(ThreadPool, BlocksCoverTheRangeWithoutOverlap) {
  ThreadPool pool(2);
  std::vector<std::atomic<int>> counts(103);
  pool.parallel_blocks(103, 10, [&](int64_t begin, int64_t end) {
    EXPECT_LE(end - begin, 10);
    for (int64_t i = begin; i < end; ++i) ++counts[static_cast<size_t>(i)];
  });
  for (const auto& count : counts) ASSERT_EQ(count, 1);
}

TEST(ThreadPool, RethrowsTheFirstError) {
  ThreadPool pool(2);
  try {
    pool.parallel_for(100, [](int64_t i) {
      if (i == 30 || i == 60) throw std::runtime_error(std::to_string(i));
    });
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "30");
  }
}

TEST(ThreadPool, NestedCallsRunInPlace) {
  ThreadPool pool(2);
  std::atomic<int> total{0};
  pool.parallel_for(4, [&](int64_t) { pool.parallel_for(4, [&](int64_t) { ++total; }); });
  EXPECT_EQ(total, 16);
}

TEST(ThreadPool, NothingToDoIsFine) {
  ThreadPool pool(2);
  pool.parallel_for(0, [](int64_t) { FAIL(); });
}

}  // namespace
}  // namespace lowbit
