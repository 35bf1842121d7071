#include "cli/weights_output.h"

#include <fmt/format.h>

#include "cli/output.h"
#include "lowbit/report/table.h"
#include "lowbit/report/text_report.h"

namespace lowbit::cli {
namespace {

Json to_json(const SurveyedSystem& system, bool best) {
  return {{"system", system.system},
          {"granularity", system.granularity},
          {"bits", json_number(system.bits)},
          {"sqnr_db", json_number(system.sqnr_db)},
          {"score_db", json_number(system.score_db)},
          {"best", best}};
}

/// The best entry of a tensor in a system, or nothing.
const SurveyedSystem* find(const WeightSurvey& weight, const std::string& system, const std::string& granularity) {
  for (const SurveyedSystem& entry : weight.systems)
    if (entry.system == system && entry.granularity == granularity) return &entry;
  return nullptr;
}

std::string model_table(const std::vector<ModelSurvey>& model) {
  Table table({{"", Table::Align::left},
               {"system"},
               {"granularity"},
               {"bits stored", kRight},
               {"SQNR", kRight},
               {"best in tensors", kRight}});
  for (const ModelSurvey& survey : model)
    table.add_row({&survey == &model.front() ? "*" : "", survey.mean.system, survey.mean.granularity,
                   fmt::format("{:.2f}", survey.mean.bits), decibels_text(survey.mean.sqnr_db),
                   survey.best_in > 0 ? std::to_string(survey.best_in) : ""});
  return table.text();
}

std::string tensor_table(const std::vector<WeightSurvey>& weights, int bits) {
  const std::string plain = fmt::format("int{}", bits);
  Table table({{"tensor"},
               {"shape", Table::Align::left, 24},
               {"range", kRight},
               {"channels", kRight},
               {"best"},
               {"bits", kRight},
               {"SQNR", kRight},
               {"next"},
               {"SQNR", kRight},
               {plain + "/channel", kRight}});
  for (const WeightSurvey& weight : weights) {
    std::vector<std::string> row = {weight.name, dims_text(weight.dims), decibels_text(weight.dynamic_range_db),
                                    fmt::format("1 : {:.3g}", weight.channel_spread)};
    for (size_t i = 0; i < 2; ++i) {
      if (i >= weight.systems.size()) {
        row.insert(row.end(), i == 0 ? 3 : 2, "");
        continue;
      }
      const SurveyedSystem& entry = weight.systems[i];
      row.push_back(entry.system + "/" + entry.granularity);
      if (i == 0) row.push_back(fmt::format("{:.2f}", entry.bits));
      row.push_back(decibels_text(entry.sqnr_db));
    }
    const SurveyedSystem* reference = find(weight, plain, "channel");
    row.push_back(reference ? decibels_text(reference->sqnr_db) : "");
    table.add_row(std::move(row));
  }
  return table.text();
}

}  // namespace

std::string survey_text(const std::vector<WeightSurvey>& weights, int bits) {
  if (weights.empty()) return "\nno weight tensor is large enough for a comparison of number systems\n";
  return fmt::format(
      "\nEach system at {0} bits, fitted by least squared error, at its best granularity:\n\n{1}\n{2}"
      "bits: stored for each weight, parameters included; *: the highest SQNR after 6.02 dB are taken off for each bit "
      "above {0}\nrange: largest to smallest magnitude; channels: smallest to largest range of an output channel\n",
      bits, model_table(summarize(weights, bits)), tensor_table(weights, bits));
}

Json survey_json(const std::vector<WeightSurvey>& weights, int bits) {
  Json model = Json::array(), tensors = Json::array();
  for (const ModelSurvey& survey : summarize(weights, bits)) {
    Json entry = to_json(survey.mean, model.empty());
    entry["best_in"] = survey.best_in;
    model.push_back(std::move(entry));
  }
  for (const WeightSurvey& weight : weights) {
    Json systems = Json::array();
    for (const SurveyedSystem& system : weight.systems) systems.push_back(to_json(system, systems.empty()));
    tensors.push_back({{"name", weight.name},
                       {"shape", weight.dims},
                       {"dynamic_range_db", json_number(weight.dynamic_range_db)},
                       {"channel_spread", json_number(weight.channel_spread)},
                       {"systems", std::move(systems)}});
  }
  return {{"bits", bits}, {"model", std::move(model)}, {"tensors", std::move(tensors)}};
}

}  // namespace lowbit::cli
