#include "lowbit/formats/lbq/sections.h"

#include <algorithm>
#include <set>

#include "lowbit/base/error.h"
#include "lowbit/base/hash.h"
#include "lowbit/formats/lbq/cursor.h"

namespace lowbit::lbq {
namespace {

constexpr uint64_t kHashedHeaderBytes = kHeaderBytes - sizeof(uint64_t);

[[noreturn]] void damaged(const std::string& what) {
  throw Error(ErrorCode::bad_file, what + " (the file is damaged)");
}

bool is_known(uint32_t kind) {
  constexpr std::array kKnown = {kModel,  kTensors, kData,       kAnnotations, kPreprocessing,
                                 kRecipe, kNamed,   kProvenance, kSignature};
  return std::find(kKnown.begin(), kKnown.end(), kind) != kKnown.end();
}

SectionEntry read_entry(Cursor& cursor) {
  SectionEntry entry;
  entry.kind = cursor.number<uint32_t>();
  entry.flags = cursor.number<uint32_t>();
  entry.offset = cursor.number<uint64_t>();
  entry.bytes = cursor.number<uint64_t>();
  entry.hash = cursor.number<uint64_t>();
  const Bytes name = cursor.take(kNameBytes);
  const auto end = std::find(name.begin(), name.end(), std::byte{0});
  if (!all_zero(name.subspan(static_cast<size_t>(end - name.begin())))) damaged("a section has a broken name");
  entry.name.assign(reinterpret_cast<const char*>(name.data()), static_cast<size_t>(end - name.begin()));
  return entry;
}

/// The sections follow each other without gaps, but for zero bytes up to the next multiple of 64.
void check_places(Bytes file, const std::vector<SectionEntry>& entries) {
  uint64_t end = kHeaderBytes + kEntryBytes * entries.size();
  std::set<std::pair<uint32_t, std::string>> seen;
  for (const SectionEntry& entry : entries) {
    if (entry.offset != aligned(end) || entry.offset > file.size() || entry.bytes > file.size() - entry.offset)
      damaged("section " + kind_text(entry.kind) + " does not lie where it should");
    if (!all_zero(file.subspan(end, entry.offset - end))) damaged("bytes between the sections are not zero");
    if (entry.name.empty() == (entry.kind == kNamed)) damaged("a section is named wrongly");
    if (!seen.insert({entry.kind, entry.name}).second) damaged("section " + kind_text(entry.kind) + " occurs twice");
    end = entry.offset + entry.bytes;
  }
  if (end != file.size()) damaged("the file goes on behind its last section");
}

std::string entry_bytes(const SectionEntry& entry) {
  Writer writer;
  writer.number(entry.kind);
  writer.number(entry.flags);
  writer.number(entry.offset);
  writer.number(entry.bytes);
  writer.number(entry.hash);
  writer.bytes += entry.name;
  writer.bytes.resize(kEntryBytes, '\0');
  return std::move(writer.bytes);
}

std::string header_bytes(uint64_t file_bytes, const std::string& table, size_t sections) {
  Writer writer;
  for (uint8_t b : kMagic) writer.byte(b);
  writer.number(kMajor);
  writer.number(kMinor);
  writer.number(static_cast<uint32_t>(sections));
  writer.number(file_bytes);
  writer.number(xxhash64(bytes_of(table)));
  writer.bytes.resize(kHashedHeaderBytes, '\0');
  writer.number(xxhash64(bytes_of(writer.bytes)));
  return std::move(writer.bytes);
}

void write_padding(ByteSink& sink, uint64_t bytes) {
  constexpr std::array<std::byte, kAlignment> kZeros{};
  sink.write(Bytes(kZeros).first(static_cast<size_t>(bytes)));
}

}  // namespace

bool all_zero(Bytes bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

std::string kind_text(uint32_t kind) {
  std::string text;
  for (int shift = 0; shift < 32; shift += 8) {
    const auto c = static_cast<char>(kind >> shift);
    if (c < 'A' || c > 'Z') return std::to_string(kind);
    text += c;
  }
  return text;
}

std::vector<SectionEntry> read_section_table(Bytes file) {
  if (file.size() < kHeaderBytes) damaged("the container is cut off inside its header");
  Cursor header(file.first(kHeaderBytes), "the header");
  const Bytes magic = header.take(kMagic.size());
  if (!std::equal(magic.begin(), magic.end(), std::as_bytes(std::span(kMagic)).begin()))
    damaged("the container does not begin as one");
  const auto major = header.number<uint16_t>(), minor = header.number<uint16_t>();
  // The hash before the version: a flipped bit must not be taken for a newer program.
  Cursor tail(file.subspan(kHashedHeaderBytes, sizeof(uint64_t)), "the header");
  if (tail.number<uint64_t>() != xxhash64(file.first(kHashedHeaderBytes)))
    damaged("the checksum of the container's header differs");
  if (major != kMajor)
    throw Error(ErrorCode::unsupported, "the container has version " + std::to_string(major) + "." +
                                            std::to_string(minor) + ", this build reads " + std::to_string(kMajor) +
                                            ".x (use a newer lowbit)");
  const auto count = header.number<uint32_t>();
  if (header.number<uint64_t>() != file.size()) damaged("the container is cut off, or bytes were appended to it");
  const auto hash = header.number<uint64_t>();
  if (count > kMostSections || count * kEntryBytes > file.size() - kHeaderBytes)
    damaged("the container claims more sections than it has room for");
  const Bytes table = file.subspan(kHeaderBytes, count * kEntryBytes);
  if (hash != xxhash64(table)) damaged("the checksum of the container's section table differs");
  Cursor cursor(table, "the section table");
  std::vector<SectionEntry> entries;
  for (uint32_t i = 0; i < count; ++i) entries.push_back(read_entry(cursor));
  check_places(file, entries);
  for (const SectionEntry& entry : entries)
    if (!is_known(entry.kind) && (entry.flags & kRequired))
      throw Error(ErrorCode::unsupported, "the container needs its section " + kind_text(entry.kind) +
                                              ", which this build does not know (use a newer lowbit)");
  return entries;
}

Bytes verified(Bytes file, const SectionEntry& entry) {
  const Bytes bytes = file.subspan(entry.offset, entry.bytes);
  if (entry.kind != kData && xxhash64(bytes) != entry.hash)
    damaged("the checksum of section " + kind_text(entry.kind) + (entry.name.empty() ? "" : " " + entry.name) +
            " differs");
  return bytes;
}

std::vector<uint64_t> part_offsets(const std::vector<Bytes>& parts) {
  std::vector<uint64_t> offsets;
  uint64_t end = 0;
  for (const Bytes& part : parts) {
    offsets.push_back(aligned(end));
    end = offsets.back() + part.size();
  }
  return offsets;
}

void write_sections(const std::vector<SectionToWrite>& sections, ByteSink& sink) {
  uint64_t end = kHeaderBytes + kEntryBytes * sections.size();
  std::string table;
  for (const SectionToWrite& section : sections) {
    LOWBIT_CHECK(section.kind == kData || section.parts.size() == 1);
    const std::vector<uint64_t> offsets = part_offsets(section.parts);
    const uint64_t bytes = offsets.empty() ? 0 : offsets.back() + section.parts.back().size();
    const uint64_t hash = section.kind == kData ? 0 : xxhash64(section.parts[0]);
    table += entry_bytes({section.kind, section.flags, aligned(end), bytes, hash, section.name});
    end = aligned(end) + bytes;
  }
  sink.write(header_bytes(end, table, sections.size()));
  sink.write(table);
  uint64_t at = kHeaderBytes + table.size();
  for (const SectionToWrite& section : sections)
    for (const Bytes& part : section.parts) {
      write_padding(sink, aligned(at) - at);
      sink.write(part);
      at = aligned(at) + part.size();
    }
}

}  // namespace lowbit::lbq
