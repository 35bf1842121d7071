// packed_section.h: packed weights as a section of a container, so that loading is mapping. The section is tagged by
// the instruction set whose kernels packed it; another machine ignores it and packs for itself.
//
// Bytes, little-endian: "LBPW", uint32 version 2, uint64 entries, uint64 names; then per entry uint64 key length,
// uint64 offset, uint64 size, key padded to 8; then per name uint64 length, name padded to 8: the constants that
// nothing but the entries needs; then the blobs, each at a multiple of 64 from the beginning of the section.
#pragma once

#include <string>

#include "lowbit/core/tensor.h"
#include "lowbit/runtime/plan/weights.h"

namespace lowbit::plan {

/// "plan/avx2": that of the kernels used on this machine.
std::string packed_section_name();
/// All entries of a store as bytes.
Tensor write_packed_section(const WeightStore& store);
/// Adds the entries of a section, and the names, to a store as views. Throws Error{bad_file} where its numbers do not
/// fit its size.
void read_packed_section(const Tensor& section, WeightStore& store);

}  // namespace lowbit::plan
