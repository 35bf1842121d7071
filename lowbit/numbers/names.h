// names.h: what the parsers of number system names share.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "lowbit/numbers/number_system.h"

namespace lowbit {

/// Reads a decimal number without sign or leading zero at the front of `tail` and removes it; nothing if there is none
/// or it is outside [low, high].
std::optional<int> take_number(std::string_view& tail, int low, int high);

/// The parser of systems named <stem>N: N bits in [low, high], nothing after it.
std::optional<NumberFormat> parse_bits(std::string_view tail, int low, int high);

/// <stem>N.
std::string name_with_bits(const NumberFormat& format);

/// Unsigned codes 0 ... 2^bits - 1, and signed ones -(2^(bits-1) - 1) ... 2^(bits-1) - 1.
CodeRange unsigned_codes(const NumberFormat& format);
CodeRange symmetric_codes(const NumberFormat& format);

}  // namespace lowbit
