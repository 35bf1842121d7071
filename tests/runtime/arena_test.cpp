#include "lowbit/runtime/plan/arena.h"

#include <gtest/gtest.h>

#include "lowbit/base/random.h"

namespace lowbit::plan {
namespace {

bool overlaps(int64_t a, int64_t a_bytes, int64_t b, int64_t b_bytes) { return a < b + b_bytes && b < a + a_bytes; }

TEST(Arena, NeverPlacesBuffersThatLiveTogetherOnTheSameBytes) {
  Random random(5);
  for (int round = 0; round < 200; ++round) {
    std::vector<Lifetime> buffers;
    const int count = 1 + static_cast<int>(random.uniform() * 40);
    for (int i = 0; i < count; ++i) {
      const auto first = static_cast<int32_t>(random.uniform() * 20);
      buffers.push_back(
          {static_cast<int64_t>(random.uniform() * 5000), first, first + static_cast<int32_t>(random.uniform() * 6)});
    }
    const ArenaLayout layout = place_buffers(buffers);
    int64_t sum = 0;
    for (size_t i = 0; i < buffers.size(); ++i) {
      EXPECT_EQ(layout.offsets[i] % kArenaAlignment, 0);
      EXPECT_LE(layout.offsets[i] + buffers[i].bytes, layout.bytes);
      sum += (buffers[i].bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
      for (size_t k = 0; k < i; ++k)
        if (buffers[i].first <= buffers[k].last && buffers[k].first <= buffers[i].last) {
          EXPECT_FALSE(overlaps(layout.offsets[i], buffers[i].bytes, layout.offsets[k], buffers[k].bytes));
        }
    }
    EXPECT_LE(layout.bytes, sum);
  }
}

TEST(Arena, ReusesBytesAlongAChain) {
  // Each buffer lives from its own step to the next: two at a time.
  std::vector<Lifetime> chain;
  for (int32_t i = 0; i < 10; ++i) chain.push_back({1000, i, i + 1});
  EXPECT_EQ(place_buffers(chain).bytes, 2 * 1024);
}

TEST(Arena, OfNothingIsEmpty) { EXPECT_EQ(place_buffers({}).bytes, 0); }

}  // namespace
}  // namespace lowbit::plan
