#include <algorithm>

#include <fmt/format.h>

#include "cli/command_line.h"
#include "cli/output.h"
#include "lowbit/api/catalogue.h"
#include "lowbit/base/text.h"
#include "lowbit/report/json_report.h"
#include "lowbit/report/table.h"

namespace lowbit::cli {
namespace {

/// Rows as objects; "yes" and "no" become booleans, blanks in keys underscores.
Json to_json(const Catalogue& catalogue) {
  Json rows = Json::array();
  for (const auto& cells : catalogue.rows) {
    Json row = Json::object();
    for (size_t i = 0; i < cells.size(); ++i) {
      std::string key = catalogue.headings[i];
      std::replace(key.begin(), key.end(), ' ', '_');
      row[key] = cells[i] == "yes" || cells[i] == "no" ? Json(cells[i] == "yes") : Json(cells[i]);
    }
    rows.push_back(std::move(row));
  }
  return {{catalogue.topic, std::move(rows)}};
}

/// The papers are left to --json: they do not fit beside the summaries.
std::string to_text(const Catalogue& catalogue) {
  if (catalogue.rows.empty()) return fmt::format("no {} in this build\n", catalogue.topic);
  std::vector<Table::Column> columns;
  for (const std::string& heading : catalogue.headings)
    if (heading != "paper") columns.push_back({heading, Table::Align::left, 110});
  Table table(columns);
  for (std::vector<std::string> cells : catalogue.rows) {
    cells.resize(columns.size());
    table.add_row(std::move(cells));
  }
  return table.text();
}

}  // namespace

int run_list(const Arguments& rest) {
  CommandLine line("list");
  std::string topic;
  line.app().add_option("TOPIC", topic, join(catalogue_topics(), ", "))->required();
  if (!line.parse(rest)) return 0;
  const Catalogue catalogue = read_catalogue(topic);
  print(line.json ? json_text(to_json(catalogue)) : to_text(catalogue));
  return 0;
}

}  // namespace lowbit::cli
