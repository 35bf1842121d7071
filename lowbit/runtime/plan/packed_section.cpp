#include "lowbit/runtime/plan/packed_section.h"

#include <cstring>

#include "lowbit/base/checked.h"
#include "lowbit/kernels/cpu.h"

namespace lowbit::plan {
namespace {

constexpr char kMagic[4] = {'L', 'B', 'P', 'W'};
constexpr uint32_t kVersion = 2;
constexpr size_t kHead = 24, kEntry = 24;

/// Bytes of a text, which is padded to 8.
size_t padded_text(size_t length) { return (length + 7) / 8 * 8; }

/// Reads numbers from the front of the section.
struct Reader {
  Bytes bytes;
  size_t at = 0;

  Bytes take(uint64_t count) {
    if (count > bytes.size() - at)
      throw Error(ErrorCode::bad_file, "a section of packed weights is cut off (write the container anew)");
    const Bytes part = bytes.subspan(at, static_cast<size_t>(count));
    at += static_cast<size_t>(count);
    return part;
  }
  /// A text of this length, padded to 8.
  std::string text(uint64_t length) {
    const Bytes part = take(length);
    take((8 - length % 8) % 8);
    return {reinterpret_cast<const char*>(part.data()), part.size()};
  }
  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
};

}  // namespace

std::string packed_section_name() { return "plan/" + std::string(kernels::isa_row(kernels::active_isa()).name); }

Tensor write_packed_section(const WeightStore& store) {
  const std::map<std::string, Blob> entries = store.entries();
  size_t head = kHead;
  const std::set<std::string> names = store.sources();
  for (const auto& [key, blob] : entries) head += kEntry + padded_text(key.size());
  for (const std::string& name : names) head += 8 + padded_text(name.size());
  size_t total = blob_aligned(head);
  for (const auto& [key, blob] : entries) total += blob_aligned(blob.size);
  Tensor section(DType::uint8, {static_cast<int64_t>(total)});
  std::byte* out = section.mutable_raw();
  const uint64_t counts[2] = {entries.size(), names.size()};
  std::memcpy(out, kMagic, sizeof kMagic);
  std::memcpy(out + 4, &kVersion, sizeof kVersion);
  std::memcpy(out + 8, counts, sizeof counts);
  size_t at = kHead, data = blob_aligned(head);
  for (const auto& [key, blob] : entries) {
    const uint64_t numbers[3] = {key.size(), data, blob.size};
    std::memcpy(out + at, numbers, sizeof numbers);
    std::memcpy(out + at + kEntry, key.data(), key.size());
    std::memcpy(out + data, blob.bytes.get(), blob.size);
    at += kEntry + padded_text(key.size());
    data += blob_aligned(blob.size);
  }
  for (const std::string& name : names) {
    const uint64_t length = name.size();
    std::memcpy(out + at, &length, sizeof length);
    std::memcpy(out + at + 8, name.data(), name.size());
    at += 8 + padded_text(name.size());
  }
  return section;
}

void read_packed_section(const Tensor& section, WeightStore& store) {
  Reader reader{section.raw()};
  const Bytes magic = reader.take(sizeof kMagic);
  if (std::memcmp(magic.data(), kMagic, sizeof kMagic) != 0 || reader.number<uint32_t>() != kVersion)
    return;  // of another version: not used
  const auto count = reader.number<uint64_t>(), names = reader.number<uint64_t>();
  if (count > section.byte_size() / kEntry || names > section.byte_size() / 8)
    throw Error(ErrorCode::bad_file, "a section of packed weights counts more than it holds");
  // Kernels want aligned weights; a section that lies unaligned in memory is copied once.
  std::shared_ptr<const void> owner = std::make_shared<const Tensor>(section);
  const std::byte* base = section.raw().data();
  if (reinterpret_cast<uintptr_t>(base) % kBlobAlignment != 0) {
    const std::shared_ptr<std::byte> copy = allocate_aligned(section.byte_size());
    std::memcpy(copy.get(), base, section.byte_size());
    base = copy.get();
    owner = copy;
  }
  for (uint64_t i = 0; i < count; ++i) {
    const auto length = reader.number<uint64_t>(), offset = reader.number<uint64_t>(), size = reader.number<uint64_t>();
    const std::string key = reader.text(length);
    if (offset % kBlobAlignment != 0 || offset > section.byte_size() || size > section.byte_size() - offset)
      throw Error(ErrorCode::bad_file, "packed weights lie outside their section (write the container anew)");
    store.put(key, {{owner, base + offset}, static_cast<size_t>(size)});
  }
  for (uint64_t i = 0; i < names; ++i) store.add_source(reader.text(reader.number<uint64_t>()));
}

}  // namespace lowbit::plan
