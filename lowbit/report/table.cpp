#include "lowbit/report/table.h"

#include <algorithm>

#include "lowbit/base/error.h"
#include "lowbit/base/text.h"

namespace lowbit {
namespace {

struct Character {
  size_t bytes = 1;
  int64_t columns = 1;
};

/// The character at text[i]; a byte that starts no valid sequence counts as one column.
Character character_at(std::string_view text, size_t i) {
  const auto byte = [&](size_t k) { return static_cast<unsigned char>(text[k]); };
  const size_t length = byte(i) < 0x80 ? 1 : byte(i) >= 0xf0 ? 4 : byte(i) >= 0xe0 ? 3 : byte(i) >= 0xc0 ? 2 : 1;
  if (length == 1 || i + length > text.size()) return {};
  uint32_t code = byte(i) & (0xffu >> (length + 1));
  for (size_t k = 1; k < length; ++k) code = code << 6 | (byte(i + k) & 0x3fu);
  const bool combining = (code >= 0x300 && code <= 0x36f) || (code >= 0x1ab0 && code <= 0x1aff) ||
                         (code >= 0x20d0 && code <= 0x20ff) || (code >= 0xfe00 && code <= 0xfe0f);
  const bool wide = (code >= 0x1100 && code <= 0x115f) || (code >= 0x2e80 && code <= 0xa4cf) ||
                    (code >= 0xac00 && code <= 0xd7a3) || (code >= 0xf900 && code <= 0xfaff) ||
                    (code >= 0xfe30 && code <= 0xfe6f) || (code >= 0xff00 && code <= 0xff60) ||
                    (code >= 0x1f300 && code <= 0x1faff) || (code >= 0x20000 && code <= 0x3fffd);
  return {length, combining ? 0 : wide ? 2 : 1};
}

}  // namespace

int64_t display_width(std::string_view text) {
  int64_t columns = 0;
  for (size_t i = 0; i < text.size();) {
    const Character c = character_at(text, i);
    columns += c.columns;
    i += c.bytes;
  }
  return columns;
}

std::string shorten(std::string_view text, int64_t columns) {
  if (display_width(text) <= columns) return std::string(text);
  int64_t used = 0;
  size_t i = 0;
  while (i < text.size()) {
    const Character c = character_at(text, i);
    if (used + c.columns > columns - 1) break;
    used += c.columns;
    i += c.bytes;
  }
  return std::string(text.substr(0, i)) + "…";
}

void Table::add_row(std::vector<std::string> cells) {
  LOWBIT_CHECK(cells.size() <= columns_.size());
  cells.resize(columns_.size());
  for (size_t i = 0; i < cells.size(); ++i)
    cells[i] =
        shorten(printable(cells[i], static_cast<size_t>(columns_[i].most_columns) * 4), columns_[i].most_columns);
  rows_.push_back(std::move(cells));
}

std::string Table::text(int indent) const {
  std::vector<int64_t> widths;
  for (size_t i = 0; i < columns_.size(); ++i) {
    widths.push_back(display_width(columns_[i].heading));
    for (const auto& row : rows_) widths[i] = std::max(widths[i], display_width(row[i]));
  }
  std::string result;
  const auto add_line = [&](const auto& cell) {
    std::string line(static_cast<size_t>(indent), ' ');
    for (size_t i = 0; i < columns_.size(); ++i) {
      const std::string text = cell(i);
      const std::string pad(static_cast<size_t>(widths[i] - display_width(text)), ' ');
      if (i > 0) line += "  ";
      line += columns_[i].align == Align::right ? pad + text : text + pad;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    result += line + "\n";
  };
  const auto rule = [&](size_t i) {
    std::string line;
    for (int64_t k = 0; k < widths[i]; ++k) line += "─";
    return line;
  };
  add_line([&](size_t i) { return columns_[i].heading; });
  add_line(rule);
  for (const auto& row : rows_) add_line([&](size_t i) { return row[i]; });
  return result;
}

}  // namespace lowbit
