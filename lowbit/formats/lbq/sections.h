// sections.h: the frame of a container: header, section table, sections. Knows nothing of what is in them.
#pragma once

#include <string>
#include <vector>

#include "lowbit/base/file.h"
#include "lowbit/formats/lbq/layout.h"

namespace lowbit::lbq {

struct SectionEntry {
  uint32_t kind = 0, flags = 0;
  uint64_t offset = 0, bytes = 0;
  uint64_t hash = 0;  ///< 0 for DATA, whose tensors have hashes of their own in the index
  std::string name;   ///< of NAME sections
};

/// Checks the header and the table with their hashes, that the sections lie one after the other with less than 64 zero
/// bytes between them and nothing else in the file, that no kind occurs twice (but NAME, each name once), and that no
/// unknown section is required. Throws Error{bad_file}; Error{unsupported} for a newer version or a required section
/// that this build does not know. Does not look into the sections.
std::vector<SectionEntry> read_section_table(Bytes file);

/// Whether every byte is 0, as the bytes between sections and tensors must be.
bool all_zero(Bytes bytes);

/// The bytes of a section. Throws Error{bad_file} if its hash differs; DATA is not hashed here.
Bytes verified(Bytes file, const SectionEntry& entry);

/// A section to write: `parts` one after the other, each beginning at a multiple of 64 from the section's start.
struct SectionToWrite {
  uint32_t kind = 0, flags = 0;
  std::string name;
  std::vector<Bytes> parts;
};
/// Offset of each part from the start of its section.
std::vector<uint64_t> part_offsets(const std::vector<Bytes>& parts);
void write_sections(const std::vector<SectionToWrite>& sections, ByteSink& sink);

/// "MODL", or the kind as a number if it is no text.
std::string kind_text(uint32_t kind);

}  // namespace lowbit::lbq
