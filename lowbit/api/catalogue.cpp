#include "lowbit/api/catalogue.h"
#include "lowbit/analysis/rule.h"
#include "lowbit/data/corruptions/corruption.h"
#include "lowbit/kernels/qeltwise.h"
#include "lowbit/kernels/qlayer.h"
#include "lowbit/kernels/qpool.h"

#include <fmt/format.h>

#include "lowbit/base/error.h"
#include "lowbit/base/text.h"
#include "lowbit/formats/format.h"
#include "lowbit/methods/method.h"
#include "lowbit/numbers/number_system.h"
#include "lowbit/ops/op.h"

namespace lowbit {
namespace {

using Row = std::vector<std::string>;

const char* yes_no(bool value) { return value ? "yes" : "no"; }

std::string span_text(int least, int most) {
  if (most < 0) return fmt::format("{}..", least);
  return least == most ? fmt::format("{}", least) : fmt::format("{}..{}", least, most);
}

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

void list_ops(Catalogue& catalogue) {
  catalogue.headings = {"name", "kind", "inputs", "runs"};
  for (const OpDef* op : op_table())
    catalogue.rows.push_back(Row{
        op->domain.empty() ? std::string(op->name) : fmt::format("{}.{}", op->domain, op->name), kind_name(op->kind),
        span_text(op->min_inputs, op->max_inputs), yes_no(op->reference || op->kind == OpKind::control)});
}

void list_methods(Catalogue& catalogue) {
  catalogue.headings = {"name", "needs data", "summary", "paper"};
  for (const Method* method : method_table())
    catalogue.rows.push_back(Row{std::string(method->name), yes_no(method->needs_data), std::string(method->summary),
                                 std::string(method->paper)});
}

void list_numbers(Catalogue& catalogue) {
  catalogue.headings = {"name", "bits", "summary", "paper"};
  for (const NumberSystem* system : number_systems())
    catalogue.rows.push_back(Row{std::string(system->name), span_text(system->min_bits, system->max_bits),
                                 std::string(system->summary), std::string(system->paper)});
}

void list_formats(Catalogue& catalogue) {
  catalogue.headings = {"name", "extensions", "reads", "writes", "summary"};
  for (const FileFormat* format : format_table())
    catalogue.rows.push_back(Row{std::string(format->name), std::string(format->extensions),
                                 yes_no(format->read != nullptr), yes_no(format->write != nullptr),
                                 std::string(format->summary)});
}

void list_kernels(Catalogue& catalogue) {
  catalogue.headings = {"name", "instruction set", "used here", "summary"};
  const kernels::Isa active = kernels::active_isa();
  for (const kernels::QLayerKernel& row : kernels::qlayer_table())
    catalogue.rows.push_back({row.name, std::string(kernels::isa_row(row.isa).name),
                              row.isa <= active && kernels::isa_row(row.isa).supported ? "yes" : "no", row.summary});
  const auto family = [&](const char* name, kernels::Isa isa, bool used, const char* summary) {
    catalogue.rows.push_back({name, std::string(kernels::isa_row(isa).name), used ? "yes" : "no", summary});
  };
  for (const kernels::QPoolKernels& row : kernels::qpool_table())
    family("pools", row.isa, row.isa == kernels::qpool().isa, "maximum and means of codes");
  for (const kernels::QEltwiseKernels& row : kernels::qeltwise_table())
    family("element-wise", row.isa, row.isa == kernels::qeltwise().isa,
           "sums, products, tables, conversions, transposition");
}

void list_rules(Catalogue& catalogue) {
  catalogue.headings = {"name", "looks for", "speaks when"};
  for (const Rule* rule : rule_table())
    catalogue.rows.push_back({std::string(rule->name), std::string(rule->summary), std::string(rule->threshold)});
}

void list_corruptions(Catalogue& catalogue) {
  catalogue.headings = {"name", "of", "summary"};
  for (const Corruption& kind : corruption_table())
    catalogue.rows.push_back({std::string(kind.name), kind.picture ? "pictures" : "arrays", std::string(kind.summary)});
}

struct Topic {
  const char* name;
  void (*list)(Catalogue& catalogue);
};
constexpr Topic kTopics[] = {
    {"ops", list_ops},         {"methods", list_methods}, {"numbers", list_numbers},         {"formats", list_formats},
    {"kernels", list_kernels}, {"rules", list_rules},     {"corruptions", list_corruptions},
};

}  // namespace

const std::vector<std::string>& catalogue_topics() {
  static const std::vector<std::string> kNames = [] {
    std::vector<std::string> names;
    for (const Topic& topic : kTopics) names.emplace_back(topic.name);
    return names;
  }();
  return kNames;
}

Catalogue read_catalogue(const std::string& topic) {
  for (const Topic& row : kTopics) {
    if (topic != row.name) continue;
    Catalogue catalogue;
    catalogue.topic = topic;
    row.list(catalogue);
    return catalogue;
  }
  const std::string near = did_you_mean(topic, catalogue_topics());
  throw Error(ErrorCode::bad_argument,
              fmt::format("nothing to list by the name {} ({})", printable(topic, 60),
                          near.empty() ? "one of " + join(catalogue_topics(), ", ") : near),
              "list");
}

std::string instruction_set_text() {
  std::vector<std::string> supported;
  for (const kernels::IsaRow& row : kernels::isa_table())
    if (row.supported) supported.emplace_back(row.name);
  return fmt::format("instruction set: {} (this machine has {})\n", kernels::isa_row(kernels::active_isa()).name,
                     join(supported, ", "));
}

}  // namespace lowbit
