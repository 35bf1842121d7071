#include "lowbit/api/recipe_check.h"

#include <algorithm>

#include <fmt/format.h>

#include "lowbit/base/error.h"
#include "lowbit/base/text.h"
#include "lowbit/methods/method.h"
#include "lowbit/methods/weight_choice.h"
#include "lowbit/numbers/granularity.h"
#include "lowbit/observe/range.h"

namespace lowbit {
namespace {

[[noreturn]] void refuse(const std::string& message, const char* key) {
  throw Error(ErrorCode::bad_argument, message, key);
}

void check_number_system(const std::string& name, const char* key) {
  if (name == "none") return;
  if (std::string_view(key) == "weights" && parse_auto(name)) return;
  try {
    parse_number_format(name);
  } catch (const Error& error) {
    refuse(fmt::format("not available in this version: {}", error.what()), key);
  }
}

void check_one_of(const std::string& value, const std::vector<std::string>& known, const char* key) {
  if (std::find(known.begin(), known.end(), value) != known.end()) return;
  const std::string near = did_you_mean(value, known);
  refuse(fmt::format("unknown value {} ({})", printable(value, 60), near.empty() ? join(known, ", ") : near), key);
}

void check_rounding(const std::string& text) {
  const bool stochastic = text.starts_with("stochastic:") && parse_int(std::string_view(text).substr(11));
  if (text != "nearest" && !stochastic)
    refuse(fmt::format("{} is not available in this version (nearest or stochastic:SEED)", printable(text, 60)),
           "rounding");
}

void check_method(const std::string& text) {
  if (text == "none" || text == "default") return;
  parse_method(text);
}

void check_settings(const LayerSettings& settings) {
  if (settings.weights) check_number_system(*settings.weights, "weights");
  if (settings.activations) check_number_system(*settings.activations, "activations");
  if (settings.granularity && *settings.granularity != "default") parse_granularity(*settings.granularity);
  if (settings.range) parse_range_rule(*settings.range);
}

}  // namespace

void check_recipe(const Recipe& recipe) {
  check_settings({recipe.weights, recipe.activations, recipe.granularity, recipe.range});
  check_one_of(recipe.weight_range, {"minmax", "mse", "weighted"}, "weight-range");
  check_one_of(recipe.symmetry, {"asymmetric", "symmetric", "mixed"}, "symmetry");
  check_rounding(recipe.rounding);
  for (const std::string& name : recipe.methods) check_method(name);
  for (const LayerRule& rule : recipe.rules) check_settings(rule.settings);
}

Recipe without_data(Recipe recipe, bool drop_methods) {
  recipe.activations = "none";
  if (drop_methods)
    std::erase_if(recipe.methods,
                  [](const std::string& name) { return name == "default" || parse_method(name).method->needs_data; });
  return recipe;
}

}  // namespace lowbit
