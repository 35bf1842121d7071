// lbq_reseal.h: makes the checksums of a container right again after its bytes were changed, so that what lies behind
// the checksums is tested too.
#pragma once

#include <cstring>
#include <string>

#include "lowbit/base/hash.h"
#include "lowbit/formats/lbq/layout.h"

namespace lowbit::testing {

/// Sets the hashes of header, table and sections, and the file size. Bytes that are too few are left alone.
inline void reseal(std::string& bytes) {
  using namespace lbq;
  const auto span = [&](uint64_t begin, uint64_t count) {
    return std::as_bytes(std::span(bytes.data() + begin, static_cast<size_t>(count)));
  };
  const auto put = [&](uint64_t at, uint64_t value) { std::memcpy(bytes.data() + at, &value, sizeof(value)); };
  const auto get = [&](uint64_t at) {
    uint64_t value;
    std::memcpy(&value, bytes.data() + at, sizeof(value));
    return value;
  };
  if (bytes.size() < kHeaderBytes) return;
  uint32_t count;
  std::memcpy(&count, bytes.data() + 12, sizeof(count));
  if (count <= kMostSections && kHeaderBytes + count * kEntryBytes <= bytes.size()) {
    for (uint64_t at = kHeaderBytes; at < kHeaderBytes + count * kEntryBytes; at += kEntryBytes) {
      uint32_t kind;
      std::memcpy(&kind, bytes.data() + at, sizeof(kind));
      const uint64_t offset = get(at + 8), size = get(at + 16);
      if (kind != kData && offset <= bytes.size() && size <= bytes.size() - offset)
        put(at + 24, xxhash64(span(offset, size)));
    }
    put(24, xxhash64(span(kHeaderBytes, count * kEntryBytes)));
  }
  put(16, bytes.size());
  put(56, xxhash64(span(0, 56)));
}

}  // namespace lowbit::testing
