// text.h: small text helpers that several rooms share: globs, nearest names for "did you mean", escaping, sizes, numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lowbit {

/// True if `text` matches `pattern`: `*` any run, `?` one character, `[abc]`/`[a-z]`/`[!a]` a class; all else literal. Linear in practice,
/// never exponential.
bool glob_match(std::string_view pattern, std::string_view text);

/// At most `most` of `names`, nearest first by edit distance (case-insensitive), leaving out those that share nothing with `word`.
std::vector<std::string> nearest_names(std::string_view word, std::span<const std::string> names, size_t most = 3);

/// "did you mean a, b or c?"; empty if nothing is near.
std::string did_you_mean(std::string_view word, std::span<const std::string> names);

/// Control characters, bytes that are no valid UTF-8, and the UTF-8 control and direction marks are written as \xNN: safe to print.
/// Longer than `most_bytes` is cut with "...".
std::string printable(std::string_view text, size_t most_bytes = 200);

/// "1,905,941"
std::string with_commas(int64_t n);
/// "1.82 MiB", "523 B"
std::string bytes_text(int64_t bytes);

std::vector<std::string> split(std::string_view text, char separator);
std::string join(std::span<const std::string> parts, std::string_view separator);
std::string_view trim(std::string_view text);

/// Locale-independent numbers; nothing unless the whole text is one number.
std::optional<int64_t> parse_int(std::string_view text);
std::optional<double> parse_double(std::string_view text);

}  // namespace lowbit
