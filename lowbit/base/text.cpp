#include "lowbit/base/text.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <numeric>

#include <fmt/format.h>

namespace lowbit {
namespace {

/// Matches one class "[...]" at pattern[p] against c; p is set behind the class. A class without end matches '['
/// literally.
bool match_class(std::string_view pattern, size_t& p, char c) {
  const size_t end = pattern.find(']', p + 2);
  if (end == std::string_view::npos) {
    ++p;
    return c == '[';
  }
  const bool negated = pattern[p + 1] == '!';
  bool found = false;
  for (size_t i = p + (negated ? 2 : 1); i < end; ++i) {
    if (i + 2 < end && pattern[i + 1] == '-') {
      found |= pattern[i] <= c && c <= pattern[i + 2];
      i += 2;
    } else {
      found |= pattern[i] == c;
    }
  }
  p = end + 1;
  return found != negated;
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), [](unsigned char c) { return std::tolower(c); });
  return result;
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row.back();
}

/// Length of the valid, printable UTF-8 character at text[i], or 0.
size_t printable_length(std::string_view text, size_t i) {
  const auto byte = [&](size_t k) { return static_cast<unsigned char>(text[k]); };
  if (byte(i) < 0x80) return byte(i) >= 0x20 && byte(i) != 0x7f ? 1 : 0;
  const size_t length = byte(i) >= 0xf0 ? 4 : byte(i) >= 0xe0 ? 3 : byte(i) >= 0xc2 ? 2 : 0;
  if (length == 0 || byte(i) > 0xf4 || i + length > text.size()) return 0;
  uint32_t code = byte(i) & (0xff >> (length + 1));
  for (size_t k = 1; k < length; ++k) {
    if ((byte(i + k) & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte(i + k) & 0x3f);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  const bool control = code < 0xa0;
  const bool direction =
      (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
  return overlong || surrogate || control || direction || code == 0xfeff || code > 0x10ffff ? 0 : length;
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view text) {
  // The classic two-pointer match: on a mismatch only the last '*' takes one more character, which suffices for globs.
  size_t p = 0, t = 0, star = std::string_view::npos, star_text = 0;
  while (t < text.size()) {
    size_t next = p;
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
      continue;
    }
    bool matched = false;
    if (p < pattern.size()) {
      if (pattern[p] == '[') {
        matched = match_class(pattern, next, text[t]);
      } else {
        matched = pattern[p] == '?' || pattern[p] == text[t];
        next = p + 1;
      }
    }
    if (matched) {
      p = next;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::vector<std::string> nearest_names(std::string_view word, std::span<const std::string> names, size_t most) {
  const std::string wanted = lower(word.substr(0, 200));
  std::vector<std::pair<size_t, size_t>> ranked;  // distance, index
  bool any_close = false;
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string name = lower(std::string_view(names[i]).substr(0, 200));
    size_t distance = edit_distance(wanted, name);
    const bool contains = !wanted.empty() && (name.find(wanted) != std::string::npos ||
                                              (!name.empty() && wanted.find(name) != std::string::npos));
    if (contains) distance = std::min(distance, size_t{2});
    const size_t longest = std::max(wanted.size(), name.size());
    if (distance < longest) ranked.emplace_back(distance, i);
    any_close |= distance <= longest / 2;
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> result;
  for (const auto& [distance, index] : ranked) {
    // Far names are only shown where there is nothing better.
    if (result.size() == most || (any_close && distance > std::max(wanted.size(), names[index].size()) / 2)) break;
    result.push_back(names[index]);
  }
  return result;
}

std::string did_you_mean(std::string_view word, std::span<const std::string> names) {
  const std::vector<std::string> near = nearest_names(word, names);
  if (near.empty()) return "";
  std::string result = "did you mean ";
  for (size_t i = 0; i < near.size(); ++i) {
    if (i > 0) result += i + 1 == near.size() ? " or " : ", ";
    result += printable(near[i], 80);
  }
  return result + "?";
}

std::string printable(std::string_view text, size_t most_bytes) {
  std::string result;
  for (size_t i = 0; i < text.size();) {
    if (result.size() >= most_bytes) return result + "...";
    if (const size_t length = printable_length(text, i)) {
      result += text.substr(i, length);
      i += length;
    } else {
      result += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[i++]));
    }
  }
  return result;
}

std::string with_commas(int64_t n) {
  std::string digits = std::to_string(n);
  const size_t first = digits[0] == '-' ? 1 : 0;
  for (size_t i = digits.size(); i > first + 3;) digits.insert(i -= 3, ",");
  return digits;
}

std::string bytes_text(int64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes);
  const char* unit = "";
  for (const char* next : {"KiB", "MiB", "GiB", "TiB"}) {
    if (value < 1024) break;
    value /= 1024;
    unit = next;
  }
  return fmt::format("{:.2f} {}", value, unit);
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (size_t begin = 0;;) {
    const size_t end = text.find(separator, begin);
    parts.emplace_back(text.substr(begin, end == std::string_view::npos ? end : end - begin));
    if (end == std::string_view::npos) return parts;
    begin = end + 1;
  }
}

std::string join(std::span<const std::string> parts, std::string_view separator) {
  return fmt::format("{}", fmt::join(parts.begin(), parts.end(), separator));
}

std::string_view trim(std::string_view text) {
  const char* blanks = " \t\r\n";
  const size_t begin = text.find_first_not_of(blanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

std::optional<int64_t> parse_int(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

std::optional<double> parse_double(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return value;
}

}  // namespace lowbit
