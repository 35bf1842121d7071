#include "lowbit/coding/rans_decode.h"

#include "lowbit/base/error.h"

namespace lowbit {

void fill_table(const RansStatistics& statistics, uint8_t add, RansTable& table) {
  uint32_t slot = 0;
  for (int s = statistics.first; s <= statistics.last; ++s) {
    const uint32_t frequency = statistics.scaled(s);
    const auto symbol = static_cast<uint8_t>(s + add);
    for (uint32_t k = 0; k < frequency; ++k) table.entries[slot++] = frequency << 20 | k << 8 | symbol;
  }
  LOWBIT_CHECK(slot == kRansTotal);
}

void rans_decode_scalar(const RansTable& table, size_t lanes, RansCursor& cursor) {
  const uint8_t *word = cursor.words.data(), *const end = word + cursor.words.size() / 2 * 2;
  size_t lane = 0;
  for (uint8_t& symbol : cursor.symbols) {
    uint32_t& x = cursor.states[lane];
    const uint32_t entry = table.entries[x % kRansTotal];
    symbol = static_cast<uint8_t>(entry);
    x = (entry >> 20) * (x / kRansTotal) + (entry >> 8) % kRansTotal;
    if (x < kRansLow) {
      if (word == end) throw Error(ErrorCode::bad_file, "entropy-coded weights end too early (the file is damaged)");
      x = x << 16 | static_cast<uint32_t>(word[0]) | static_cast<uint32_t>(word[1]) << 8;
      word += 2;
    }
    lane = lane + 1 == lanes ? 0 : lane + 1;
  }
  cursor.words = cursor.words.subspan(static_cast<size_t>(word - cursor.words.data()));
  cursor.symbols = {};
}

}  // namespace lowbit
