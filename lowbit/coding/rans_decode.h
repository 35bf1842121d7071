// rans_decode.h: the decoder of one block. rans_decode_scalar is the definition; rans_decode_vectors gives the same
// bytes for as long as it can read whole vectors, and leaves the rest to it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "lowbit/coding/rans_statistics.h"

namespace lowbit {

inline constexpr uint32_t kRansLow = 1u << 16;  ///< states are at least this
inline constexpr size_t kRansMostLanes = 32;

/// Of each slot: frequency << 20 | (slot - cumulated frequency) << 8 | symbol.
struct RansTable {
  alignas(64) std::array<uint32_t, kRansTotal> entries;
};

/// `add` is added to every symbol modulo 256. The statistics are not constant().
void fill_table(const RansStatistics& statistics, uint8_t add, RansTable& table);

/// What is left to decode: symbols to write, words to read, the states.
struct RansCursor {
  std::array<uint32_t, kRansMostLanes> states;
  std::span<uint8_t> symbols;
  std::span<const uint8_t> words;
};

/// Decodes all symbols; the first one belongs to state 0. Throws Error{bad_file} if the words run out.
void rans_decode_scalar(const RansTable& table, size_t lanes, RansCursor& cursor);

/// kRansMostLanes lanes: decodes a multiple of kRansMostLanes symbols and moves the cursor.
void rans_decode_vectors(const RansTable& table, RansCursor& cursor);

}  // namespace lowbit
