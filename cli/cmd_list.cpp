#include <fmt/format.h>

#include "cli/command_line.h"
#include "cli/output.h"
#include "lowbit/base/error.h"
#include "lowbit/base/text.h"
#include "lowbit/formats/format.h"
#include "lowbit/methods/method.h"
#include "lowbit/numbers/number_system.h"
#include "lowbit/ops/op.h"
#include "lowbit/report/json_report.h"
#include "lowbit/report/table.h"

namespace lowbit::cli {
namespace {

/// What one listing says: headings, rows of text, and the same as JSON.
struct Listing {
  Table table;
  Json json = Json::array();
};

const char* kind_name(OpKind kind) {
  switch (kind) {
    case OpKind::compute:
      return "compute";
    case OpKind::elementwise:
      return "elementwise";
    case OpKind::movement:
      return "movement";
    case OpKind::reduction:
      return "reduction";
    case OpKind::shape:
      return "shape";
    case OpKind::control:
      return "control";
    case OpKind::quantize:
      return "quantize";
    case OpKind::other:
      break;
  }
  return "other";
}

Listing list_ops() {
  Listing listing{Table({{"operator"}, {"kind"}, {"inputs", Table::Align::right}, {"runs"}})};
  for (const OpDef* op : op_table()) {
    const std::string name = op->domain.empty() ? std::string(op->name) : fmt::format("{}.{}", op->domain, op->name);
    const bool runs = op->reference || op->kind == OpKind::control;
    const std::string inputs = op->max_inputs < 0 ? fmt::format("{}..", op->min_inputs)
                               : op->min_inputs == op->max_inputs
                                   ? fmt::format("{}", op->min_inputs)
                                   : fmt::format("{}..{}", op->min_inputs, op->max_inputs);
    listing.table.add_row({name, kind_name(op->kind), inputs, runs ? "yes" : "no"});
    listing.json.push_back({{"name", name}, {"kind", kind_name(op->kind)}, {"runs", runs}});
  }
  return listing;
}

Listing list_methods() {
  Listing listing{Table({{"method"}, {"needs data"}, {"summary", Table::Align::left, 100}})};
  for (const Method* method : method_table()) {
    listing.table.add_row({std::string(method->name), method->needs_data ? "yes" : "no", std::string(method->summary)});
    listing.json.push_back({{"name", method->name},
                            {"needs_data", method->needs_data},
                            {"summary", method->summary},
                            {"paper", method->paper}});
  }
  return listing;
}

Listing list_numbers() {
  Listing listing{Table({{"number system"}, {"bits"}, {"summary", Table::Align::left, 100}})};
  for (const NumberSystem* system : number_systems()) {
    const std::string bits = system->min_bits == system->max_bits
                                 ? fmt::format("{}", system->min_bits)
                                 : fmt::format("{}..{}", system->min_bits, system->max_bits);
    listing.table.add_row({std::string(system->name), bits, std::string(system->summary)});
    listing.json.push_back({{"name", system->name},
                            {"min_bits", system->min_bits},
                            {"max_bits", system->max_bits},
                            {"summary", system->summary},
                            {"paper", system->paper}});
  }
  return listing;
}

Listing list_formats() {
  Listing listing{Table({{"format"}, {"extensions"}, {"reads"}, {"writes"}, {"summary", Table::Align::left, 100}})};
  for (const FileFormat* format : format_table()) {
    listing.table.add_row({std::string(format->name), std::string(format->extensions), format->read ? "yes" : "no",
                           format->write ? "yes" : "no", std::string(format->summary)});
    listing.json.push_back({{"name", format->name},
                            {"extensions", split(format->extensions, ' ')},
                            {"reads", format->read != nullptr},
                            {"writes", format->write != nullptr},
                            {"summary", format->summary}});
  }
  return listing;
}

/// The integer kernels of this build: none of its own yet, the executor computes by its plain steps.
Listing list_kernels() { return {Table({{"kernel"}, {"instruction set"}, {"types"}})}; }

struct Topic {
  const char* name;
  Listing (*list)();
};
constexpr Topic kTopics[] = {
    {"ops", list_ops},         {"methods", list_methods}, {"numbers", list_numbers},
    {"formats", list_formats}, {"kernels", list_kernels},
};

}  // namespace

int run_list(const Arguments& rest) {
  CommandLine line("list");
  std::string topic;
  line.app().add_option("TOPIC", topic, "ops, methods, numbers, formats or kernels")->required();
  if (!line.parse(rest)) return 0;
  std::vector<std::string> names;
  for (const Topic& row : kTopics) {
    names.emplace_back(row.name);
    if (topic != row.name) continue;
    const Listing listing = row.list();
    print(line.json              ? json_text({{topic, listing.json}})
          : listing.json.empty() ? fmt::format("no {} in this build\n", topic)
                                 : listing.table.text());
    return 0;
  }
  const std::string near = did_you_mean(topic, names);
  throw Error(ErrorCode::bad_argument,
              fmt::format("nothing to list by the name {} ({})", printable(topic, 60),
                          near.empty() ? "one of " + join(names, ", ") : near),
              "list");
}

}  // namespace lowbit::cli
