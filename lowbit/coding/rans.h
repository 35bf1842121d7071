// rans.h: entropy coding of byte symbols by range asymmetric numeral systems with a static table per stream. A stream
// is the frequencies (rans_statistics.h), then blocks of kRansBlock symbols that decode independently of each other. In
// a block, symbol i belongs to state i mod lanes; all states share one sequence of 16-bit words, so that a vector of
// states is refilled by one load.
//
// State x in [2^16, 2^32), symbol s with frequency f and cumulated frequency c, frequencies summing to 2^12:
//   decoding: slot = x mod 2^12 lies in [c, c + f);  x' = f * (x div 2^12) + slot - c;  x' = x' * 2^16 + next word if
//             x' < 2^16
// Every state ends at 2^16 with all words read, which damaged bytes hardly ever do.
// Paper: Duda, "Asymmetric numeral systems", arXiv:1311.2540; the interleaving follows Giesen, "Interleaved entropy
// coders", arXiv:1402.3392.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace lowbit {

inline constexpr size_t kRansBlock = size_t{1} << 20;  ///< symbols of a block
/// A stream has never more symbols for each of its bytes, so that it explains the memory they take.
inline constexpr size_t kRansMostSymbolsPerByte = 32768;

/// The stream of these symbols: about n * entropy / 8 bytes, the statistics, and 2 to 64 bytes a block. Empty for no
/// symbols. Deterministic.
std::vector<uint8_t> rans_encode(std::span<const uint8_t> symbols);

/// Fills `symbols`, whose number must be that of encoding; `add` is added to each (modulo 256). Throws Error{bad_file}
/// if the stream is damaged. Thread-safe.
void rans_decode(std::span<const uint8_t> stream, std::span<uint8_t> symbols, uint8_t add = 0);

/// Entropy of the symbols' own frequencies, in bits for all of them together: what no code of one table can go below.
double empirical_entropy_bits(std::span<const uint8_t> symbols);

}  // namespace lowbit
