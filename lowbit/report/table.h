// table.h: rows of text under aligned headings, as terminals show them. Widths count characters, not bytes, and every
// cell is made printable first: names come from files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lowbit {

/// Columns that a terminal uses for valid UTF-8: combining marks take 0, East Asian wide characters and emoji 2, all
/// others 1.
int64_t display_width(std::string_view text);

/// `text` cut to at most `columns` columns, the last one "…" if anything was left out.
std::string shorten(std::string_view text, int64_t columns);

class Table {
 public:
  enum class Align : uint8_t { left, right };
  struct Column {
    std::string heading;
    Align align = Align::left;
    int64_t most_columns = 48;  ///< longer cells are cut
  };

  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  /// One cell per column; missing ones are empty, too many are a bug (Error{internal}).
  void add_row(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }
  /// Heading, rule and rows, two blanks between columns, each line ended by a line feed and without blanks at its end.
  /// `indent` blanks come before each line.
  std::string text(int indent = 0) const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// For columns of numbers.
inline constexpr auto kRight = Table::Align::right;

}  // namespace lowbit
