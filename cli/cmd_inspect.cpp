#include <fmt/format.h>

#include "cli/command_line.h"
#include "cli/output.h"
#include "cli/output_file.h"
#include "cli/weights_output.h"
#include "lowbit/api/container.h"
#include "lowbit/api/inspect.h"
#include "lowbit/base/error.h"
#include "lowbit/base/file.h"
#include "lowbit/base/text.h"
#include "lowbit/report/json_report.h"
#include "lowbit/report/table.h"
#include "lowbit/report/text_report.h"

namespace lowbit::cli {
namespace {

Json shape_json(const std::optional<Shape>& shape) {
  if (!shape) return nullptr;
  Json dims = Json::array();
  for (const Dim& dim : *shape)
    dims.push_back(dim.known() ? Json(*dim.size) : dim.symbol.empty() ? Json(nullptr) : Json(dim.symbol));
  return dims;
}

Json ports_json(const Graph& graph, const std::vector<ValueId>& ports) {
  Json result = Json::array();
  for (const ValueId id : ports) {
    const Value& value = graph.value(id);
    result.push_back({{"name", value.name}, {"dtype", dtype_name(value.dtype)}, {"shape", shape_json(value.shape)}});
  }
  return result;
}

Json weights_json(const std::vector<WeightStatistics>& weights) {
  Json result = Json::array();
  for (const WeightStatistics& w : weights)
    result.push_back({{"name", w.name},
                      {"number_system", w.number_system},
                      {"shape", w.dims},
                      {"min", json_number(w.min)},
                      {"max", json_number(w.max)},
                      {"mean", json_number(w.mean)},
                      {"std", json_number(w.standard_deviation)},
                      {"sparsity", json_number(w.sparsity)},
                      {"outlier_share", json_number(w.outlier_share)},
                      {"sqnr_db",
                       {{"int8_tensor", json_number(w.sqnr_int8_tensor_db)},
                        {"int8_channel", json_number(w.sqnr_int8_channel_db)},
                        {"int4_tensor", json_number(w.sqnr_int4_tensor_db)},
                        {"int4_channel", json_number(w.sqnr_int4_channel_db)}}}});
  return result;
}

Json counts_json(const std::map<std::string, int64_t>& counts) {
  Json result = Json::object();
  for (const auto& [name, count] : counts) result[name] = count;
  return result;
}

Json to_json(const ContainerContents& contents) {
  Json sections = Json::array(), tensors = Json::array(), codings = Json::object();
  for (const auto& section : contents.sections)
    sections.push_back({{"kind", section.kind}, {"name", section.name}, {"bytes", section.bytes}});
  for (const auto& row : contents.tensors)
    tensors.push_back({{"name", row.name},
                       {"number_system", row.number_system},
                       {"coding", row.coding},
                       {"elements", row.elements},
                       {"bytes", row.bytes},
                       {"parameter_bytes", row.parameter_bytes}});
  for (const auto& [coding, bytes] : contents.bytes_by_coding) codings[coding] = bytes;
  return {{"sections", std::move(sections)}, {"codings", std::move(codings)}, {"tensors", std::move(tensors)}};
}

Json to_json(const Inspection& inspection, bool with_weights, bool with_graph) {
  const Model& model = inspection.model;
  Json opsets = Json::object();
  for (const OpsetImport& opset : model.source_opsets)
    opsets[opset.domain.empty() ? "ai.onnx" : opset.domain] = opset.version;
  Json json = {{"file", model.source_path},
               {"format", model.source_format},
               {"producer", model.producer},
               {"opsets", std::move(opsets)},
               {"inputs", ports_json(model.graph, model.graph.inputs)},
               {"outputs", ports_json(model.graph, model.graph.outputs)},
               {"operators", counts_json(inspection.operators)},
               {"unknown_operators", counts_json(inspection.unknown)},
               {"number_systems", counts_json(inspection.number_systems)},
               {"parameters", inspection.weights.parameters},
               {"file_bytes", model.file_bytes},
               {"weight_bytes", inspection.weights.stored_bytes},
               {"weight_bits_mean", json_number(inspection.weights.mean_bits())}};
  if (inspection.container) {
    json["container"] = to_json(*inspection.container);
    json["preprocessing"] = inspection.container->preprocessing;
    json["recipe"] = inspection.container->recipe;
    json["provenance"] = inspection.container->origin;
  }
  if (with_weights) json["weights"] = weights_json(inspection.weight_statistics);
  if (with_graph) json["graph"] = split(dump(model.graph), '\n');
  return json;
}

std::string counts_text(const std::map<std::string, int64_t>& counts) {
  std::vector<std::string> parts;
  for (const auto& [name, count] : counts) parts.push_back(fmt::format("{} x {}", count, printable(name, 80)));
  return parts.empty() ? "none" : join(parts, ", ");
}

std::string ports_text(const char* heading, const Graph& graph, const std::vector<ValueId>& ports) {
  std::string text;
  for (const ValueId id : ports) {
    const Value& value = graph.value(id);
    text += fmt::format("{:<15}{}  {}[{}]\n", heading, printable(value.name, 80), dtype_name(value.dtype),
                        value.shape ? printable(shape_text(*value.shape), 200) : "rank unknown");
    heading = "";
  }
  return text;
}

std::string summary_text(const Inspection& inspection) {
  const Model& model = inspection.model;
  std::vector<std::string> opsets;
  for (const OpsetImport& opset : model.source_opsets)
    opsets.push_back(
        fmt::format("{} {}", opset.domain.empty() ? "ai.onnx" : printable(opset.domain, 60), opset.version));
  std::string text = fmt::format("{:<15}{}, {}{}\n", "format", model.source_format, bytes_text(model.file_bytes),
                                 model.producer.empty() ? "" : ", made by " + printable(model.producer, 80));
  text += fmt::format("{:<15}{}\n", "opsets", opsets.empty() ? "none" : join(opsets, ", "));
  text +=
      ports_text("inputs", model.graph, model.graph.inputs) + ports_text("outputs", model.graph, model.graph.outputs);
  text += fmt::format("{:<15}{}\n", "operators", counts_text(inspection.operators));
  if (!inspection.unknown.empty())
    text += fmt::format("{:<15}{}\n", "unknown", coloured(counts_text(inspection.unknown), 33));
  if (!inspection.cannot_run.empty())
    text += fmt::format("{:<15}{}\n", "cannot run", coloured(counts_text(inspection.cannot_run), 33));
  text += fmt::format("{:<15}{} in {}, {:.2f} bits each\n", "parameters", with_commas(inspection.weights.parameters),
                      bytes_text(inspection.weights.stored_bytes), inspection.weights.mean_bits());
  return text + fmt::format("{:<15}{}\n", "number systems", counts_text(inspection.number_systems));
}

std::string contents_text(const ContainerContents& contents) {
  std::vector<std::string> sections, codings;
  for (const auto& section : contents.sections)
    sections.push_back(fmt::format("{}{} {}", section.kind,
                                   section.name.empty() ? "" : " '" + printable(section.name, 40) + "'",
                                   bytes_text(section.bytes)));
  for (const auto& [coding, bytes] : contents.bytes_by_coding)
    codings.push_back(fmt::format("{} {}", coding, bytes_text(bytes)));
  std::string text = fmt::format("{:<15}{}\n{:<15}{}\n", "sections", join(sections, ", "), "tensors",
                                 codings.empty() ? "none" : join(codings, ", "));
  if (!contents.preprocessing.empty())
    text += fmt::format("{:<15}{}\n", "preprocessing", printable(contents.preprocessing, 300));
  for (const auto& [key, value] : contents.origin)
    text += fmt::format("{:<15}{}\n", printable(key, 40), printable(value, 200));
  return text;
}

std::string stored_tensors_text(const ContainerContents& contents) {
  Table table({{"tensor"},
               {"type", Table::Align::left, 20},
               {"coding"},
               {"elements", kRight},
               {"bytes", kRight},
               {"bits each", kRight}});
  for (const auto& row : contents.tensors)
    table.add_row({row.name, row.number_system, row.coding, with_commas(row.elements),
                   with_commas(row.bytes + row.parameter_bytes),
                   row.elements > 0 ? fmt::format("{:.2f}", 8.0 * static_cast<double>(row.bytes + row.parameter_bytes) /
                                                                static_cast<double>(row.elements))
                                    : ""});
  return "\n" + table.text();
}

std::string weights_text(const std::vector<WeightStatistics>& weights) {
  Table table({{"tensor"},
               {"type", Table::Align::left, 20},
               {"shape", Table::Align::left, 24},
               {"min", kRight},
               {"max", kRight},
               {"mean", kRight},
               {"std", kRight},
               {"zeros", kRight},
               {"outliers", kRight},
               {"int8", kRight},
               {"int8/channel", kRight},
               {"int4", kRight},
               {"int4/channel", kRight}});
  const auto number = [](double value) { return fmt::format("{:.4g}", value); };
  for (const WeightStatistics& w : weights)
    table.add_row({w.name, w.number_system, dims_text(w.dims), number(w.min), number(w.max), number(w.mean),
                   number(w.standard_deviation), percent_text(w.sparsity, 1), percent_text(w.outlier_share),
                   decibels_text(w.sqnr_int8_tensor_db), decibels_text(w.sqnr_int8_channel_db),
                   decibels_text(w.sqnr_int4_tensor_db), decibels_text(w.sqnr_int4_channel_db)});
  return "\n" + table.text() +
         "outliers: beyond 6 standard deviations; int8 ... int4/channel: what is left of the signal "
         "after plain rounding (SQNR)\n";
}

}  // namespace

int run_inspect(const Arguments& rest) {
  CommandLine line("inspect");
  std::string path;
  bool weights = false, graph = false, recipe = false, allow_nonfinite = false;
  int bits = 4;
  std::string report;
  line.add_file("MODEL", path, "Model file");
  line.app().add_flag("--weights", weights, "Statistics of every weight tensor");
  CLI::Option* width = line.app().add_option("--bits", bits, "With --weights: compare the number systems at N bits");
  width->type_name("N")->check(CLI::Range(1, 8))->needs("--weights");
  line.app()
      .add_option("--report", report, "With --weights: histograms and the comparison as one page")
      ->type_name("FILE.html")
      ->needs("--weights");
  line.app().add_flag("--graph", graph, "List the nodes");
  line.app().add_flag("--recipe", recipe, "Print the recipe that a container carries, and nothing else");
  line.app().add_flag("--allow-nonfinite", allow_nonfinite, "Accept NaN and infinity in weights");
  if (!line.parse(rest)) return 0;
  set_subject(path);
  if (recipe) {
    const std::string stored = stored_recipe(path);
    if (stored.empty()) throw Error(ErrorCode::unsupported, "carries no recipe (containers made by quantize do)", path);
    print(stored);
    return 0;
  }
  const Inspection inspection = inspect_file(path, weights, allow_nonfinite);
  std::vector<WeightSurvey> survey;
  if (weights) {
    ThreadPool threads(line.threads);
    survey = survey_weights(inspection, bits, threads);
  }
  if (!report.empty()) {
    check_writable(report);
    write_file(report, survey_html(inspection, survey, bits, LOWBIT_VERSION));
  }
  if (line.json) {
    Json json = to_json(inspection, weights, graph);
    if (weights) json["number_systems_at_bits"] = survey_json(survey, bits);
    print(json_text(json));
    return 0;
  }
  print(summary_text(inspection));
  if (inspection.container) print(contents_text(*inspection.container));
  if (weights && inspection.container) print(stored_tensors_text(*inspection.container));
  if (weights) print(weights_text(inspection.weight_statistics) + survey_text(survey, bits));
  if (!report.empty()) print("report: " + printable(report, 200) + "\n");
  if (graph) print("\n" + dump(inspection.model.graph));
  return 0;
}

}  // namespace lowbit::cli
