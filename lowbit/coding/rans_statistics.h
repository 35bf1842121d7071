// rans_statistics.h: the frequencies of a stream of symbols: how exactly to store them, and how to read them back.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace lowbit {

inline constexpr int kRansBits = 12;  ///< frequencies sum to 2^12 when decoding
inline constexpr uint32_t kRansTotal = 1u << kRansBits;

/// Frequencies of the symbols first ... last, in units of 2^-precision; both ends are at least 1. With one symbol only
/// (first == last) nothing more is stored.
struct RansStatistics {
  int precision = kRansBits;  ///< 1 ... kRansBits
  uint8_t first = 0, last = 0;
  std::array<uint16_t, 256> frequency{};  ///< by symbol; sums to 2^precision

  bool constant() const { return first == last; }
  /// Frequency out of kRansTotal.
  uint32_t scaled(int symbol) const {
    return static_cast<uint32_t>(frequency[static_cast<size_t>(symbol)]) << (kRansBits - precision);
  }
};

using SymbolCounts = std::array<uint64_t, 256>;
SymbolCounts count_symbols(std::span<const uint8_t> symbols);

/// The statistics whose stored bytes plus the symbols coded with them are fewest. At least one symbol.
RansStatistics choose_statistics(const SymbolCounts& counts);

/// Appends the stored form: precision, first, last, then the frequencies of first ... last - 1, each in as many bits as
/// what is left of the total needs, low bits first; filled with zero bits to a byte.
void write_statistics(const RansStatistics& statistics, std::vector<uint8_t>& bytes);

/// Reads the stored form at the front of `bytes` and drops it from the span. Throws Error{bad_file}.
RansStatistics read_statistics(std::span<const uint8_t>& bytes);

}  // namespace lowbit
