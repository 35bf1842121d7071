#include "lowbit/passes/weight_hints.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

using Json = nlohmann::json;

std::optional<WeightHint> parse_hint(const Json& entry) {
  WeightHint hint;
  try {
    hint.value = entry.at("value").get<std::string>();
    hint.format = parse_number_format(entry.at("system").get<std::string>());
    hint.granularity = parse_granularity(entry.at("granularity").get<std::string>());
    hint.granularity.axis = entry.value("axis", int64_t{0});
    for (const Json& name : entry.value("parameters", Json::array()))
      hint.parameters.push_back(name.is_null() ? std::string() : name.get<std::string>());
    hint.rows = entry.value("rows", std::vector<std::vector<float>>{});
    hint.row = entry.value("row", std::string());
    hint.levels = entry.value("levels", std::string());
  } catch (const Json::exception&) {
    return std::nullopt;
  } catch (const Error&) {
    return std::nullopt;  // a number system of another version
  }
  return hint;
}

}  // namespace

std::string to_text(const std::vector<WeightHint>& hints) {
  Json list = Json::array();
  for (const WeightHint& hint : hints) {
    Json entry = {
        {"value", hint.value}, {"system", to_string(hint.format)}, {"granularity", to_string(hint.granularity)}};
    if (hint.granularity.axis != 0) entry["axis"] = hint.granularity.axis;
    if (!hint.levels.empty()) entry["levels"] = hint.levels;
    for (const std::string& name : hint.parameters) entry["parameters"].push_back(name.empty() ? Json() : Json(name));
    if (!hint.rows.empty() && !(hint.rows.size() == 1 && hint.rows[0].empty())) entry["rows"] = hint.rows;
    if (!hint.row.empty()) entry["row"] = hint.row;
    list.push_back(std::move(entry));
  }
  return list.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

std::vector<WeightHint> parse_weight_hints(const std::string& text) {
  std::vector<WeightHint> hints;
  const Json list = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!list.is_array()) return hints;
  for (const Json& entry : list)
    if (auto hint = parse_hint(entry)) hints.push_back(std::move(*hint));
  return hints;
}

}  // namespace lowbit
