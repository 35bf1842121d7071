#include "lowbit/numbers/names.h"

#include <fmt/format.h>

namespace lowbit {

std::optional<int> take_number(std::string_view& tail, int low, int high) {
  size_t digits = 0;
  int value = 0;
  while (digits < tail.size() && digits < 6 && tail[digits] >= '0' && tail[digits] <= '9')
    value = value * 10 + (tail[digits++] - '0');
  if (digits == 0 || (digits > 1 && tail[0] == '0') || value < low || value > high) return std::nullopt;
  tail.remove_prefix(digits);
  return value;
}

std::optional<NumberFormat> parse_bits(std::string_view tail, int low, int high) {
  const std::optional<int> bits = take_number(tail, low, high);
  if (!bits || !tail.empty()) return std::nullopt;
  return NumberFormat{.bits = *bits};
}

std::string name_with_bits(const NumberFormat& format) { return fmt::format("{}{}", format.system->name, format.bits); }

CodeRange unsigned_codes(const NumberFormat& format) { return {0, (1 << format.bits) - 1}; }

CodeRange symmetric_codes(const NumberFormat& format) {
  const int32_t most = (1 << (format.bits - 1)) - 1;
  return {-most, most};
}

}  // namespace lowbit
