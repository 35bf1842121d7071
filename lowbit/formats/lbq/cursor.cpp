#include "lowbit/formats/lbq/cursor.h"

namespace lowbit::lbq {

uint64_t Cursor::varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const uint8_t next = byte();
    if (shift == 63 && next > 1) fail("a number does not fit 64 bits");
    value |= static_cast<uint64_t>(next & 0x7f) << shift;
    if (next < 0x80) {
      if (next == 0 && shift > 0) fail("a number has needless bytes");
      return value;
    }
  }
  fail("a number does not fit 64 bits");
}

Bytes Cursor::take(uint64_t bytes) {
  if (bytes > bytes_.size() - at_) fail("ends too early");
  const Bytes taken = bytes_.subspan(at_, static_cast<size_t>(bytes));
  at_ += taken.size();
  return taken;
}

size_t Cursor::count(size_t least_bytes) {
  const uint64_t items = varint();
  if (items > (bytes_.size() - at_) / least_bytes) fail("claims more items than it has bytes for");
  return static_cast<size_t>(items);
}

void Cursor::finish() const {
  if (!done()) fail("has bytes behind its end");
}

void Cursor::fail(const std::string& message) const {
  throw Error(ErrorCode::bad_file,
              what_ + " " + message + " (at byte " + std::to_string(at_) + "; the file is damaged)");
}

}  // namespace lowbit::lbq
