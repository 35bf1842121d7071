// cursor.h: reading and writing the primitives of the container: little-endian numbers, variable-length integers,
// texts.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "lowbit/base/error.h"
#include "lowbit/base/file.h"

namespace lowbit::lbq {

static_assert(std::endian::native == std::endian::little, "numbers are copied as they lie in the file");

/// Reads from the front of some bytes; every failure is Error{bad_file} naming `what` and the position in it.
class Cursor {
 public:
  Cursor(Bytes bytes, std::string what) : bytes_(bytes), what_(std::move(what)) {}

  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  uint8_t byte() { return number<uint8_t>(); }
  /// Unsigned LEB128 in as few bytes as the number needs.
  uint64_t varint();
  /// A signed number as varint: 0, -1, 1, -2 ... are 0, 1, 2, 3 ...
  int64_t svarint() {
    const uint64_t folded = varint();
    return static_cast<int64_t>(folded >> 1) ^ -static_cast<int64_t>(folded & 1);
  }
  std::string text() {
    const Bytes bytes = take(varint());
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  Bytes take(uint64_t bytes);
  /// The number of items that follow, each of which takes at least `least_bytes`.
  size_t count(size_t least_bytes);
  /// Throws unless everything was read.
  void finish() const;
  bool done() const { return at_ == bytes_.size(); }

  [[noreturn]] void fail(const std::string& message) const;

 private:
  Bytes bytes_;
  size_t at_ = 0;
  std::string what_;
};

/// Appends to a string of bytes.
class Writer {
 public:
  std::string bytes;

  template <typename T>
  void number(T value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof(T));
  }
  void byte(uint8_t value) { bytes.push_back(static_cast<char>(value)); }
  void varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) byte(static_cast<uint8_t>(value | 0x80));
    byte(static_cast<uint8_t>(value));
  }
  void svarint(int64_t value) { varint(static_cast<uint64_t>(value) << 1 ^ static_cast<uint64_t>(value >> 63)); }
  void text(std::string_view value) {
    varint(value.size());
    bytes += value;
  }
  void raw(Bytes value) { bytes.append(reinterpret_cast<const char*>(value.data()), value.size()); }
};

inline Bytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

}  // namespace lowbit::lbq
