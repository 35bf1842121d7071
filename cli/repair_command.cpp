#include "cli/repair_command.h"

#include <algorithm>
#include <map>

#include "lowbit/api/container.h"
#include "lowbit/api/inspect.h"
#include "lowbit/api/recipe_file.h"
#include "lowbit/base/text.h"
#include "lowbit/methods/defaults.h"

namespace lowbit::cli {
namespace {

bool adds_up(const std::string& option) { return option == "--exclude" || option == "--include"; }

/// The number system and granularity that most weights, or most activations, have: "int8/channel".
std::string commonest(const Graph& graph, bool weights) {
  std::map<std::string, int64_t> count;
  for (const Value& value : graph.values)
    if (value.quantization && value.constant.has_value() == weights)
      count[number_system_text(value)] += weights ? value.constant->count() : 1;
  const auto most =
      std::max_element(count.begin(), count.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return most == count.end() ? "" : most->first;
}

std::string_view name_of_method(std::string_view call) { return call.substr(0, call.find(':')); }

/// Methods of the last stage, each stronger and slower than the one before.
constexpr std::string_view kStronger[] = {"bias-correct", "gptq", "distil"};

}  // namespace

std::string quote_argument(const std::string& argument) {
  const bool plain = !argument.empty() && argument.find_first_not_of(
                                              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                              "0123456789_-+=./:,@%") == std::string::npos;
  if (plain) return argument;
  std::string quoted = "'";
  for (const char c : argument) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string quantize_command(const std::vector<std::string>& arguments) {
  std::string text = "lowbit quantize";
  for (const std::string& argument : arguments) text += " " + quote_argument(argument);
  return text;
}

std::vector<std::string> with_remedy(const std::vector<std::string>& arguments,
                                     const std::vector<std::string>& remedy) {
  std::vector<std::string> result = arguments;
  bool changed = false;
  for (size_t r = 0; r + 1 < remedy.size(); r += 2) {
    const std::string &option = remedy[r], &value = remedy[r + 1];
    bool there = false;
    for (size_t i = 0; i < result.size();) {
      const bool joined = result[i].starts_with(option + "=");
      if (!joined && (result[i] != option || i + 1 >= result.size())) {
        ++i;
        continue;
      }
      const std::string given = joined ? result[i].substr(option.size() + 1) : result[i + 1];
      if (given == value) there = true;
      if (given == value || adds_up(option)) {
        i += joined ? 1 : 2;
        continue;
      }
      const auto at = result.begin() + static_cast<std::ptrdiff_t>(i);
      result.erase(at, at + (joined ? 1 : 2));
    }
    if (there) continue;
    result.push_back(option);
    result.push_back(value);
    changed = true;
  }
  return changed ? result : std::vector<std::string>{};
}

std::vector<std::string> next_remedy(const std::vector<std::string>& remedy, const std::vector<std::string>& applied) {
  if (remedy.size() != 2 || remedy[0] != "--method") return remedy;
  const auto has = [&](std::string_view wanted) {
    return std::any_of(applied.begin(), applied.end(),
                       [&](const std::string& m) { return name_of_method(m) == wanted; });
  };
  // The strongest that is there decides what is next, and does all that the weaker ones do.
  size_t rank = std::size(kStronger);
  while (rank > 0 && !has(kStronger[rank - 1])) --rank;
  const auto done = [&](std::string_view wanted) {
    const auto* const end = kStronger + rank;
    return wanted == "default" || has(wanted) || std::find(std::begin(kStronger), end, wanted) != end;
  };
  const std::vector<std::string> wanted = split(remedy[1], ',');
  if (!std::all_of(wanted.begin(), wanted.end(), [&](const std::string& m) { return done(name_of_method(m)); }))
    return remedy;
  if (rank == std::size(kStronger)) return {};
  std::vector<std::string> methods = applied;  // what else was applied stays
  if (kStronger[rank] == "gptq")
    std::erase_if(methods, [](const std::string& m) { return name_of_method(m) == "bias-correct"; });
  // Its name alone is for few bits; where bias-correct was enough so far, rounded activations are the coarser part.
  methods.push_back(kStronger[rank] == "gptq" ? "gptq:damping=0.1" : std::string(kStronger[rank]));
  return {"--method", join(methods, ",")};
}

void add_commands(const std::vector<std::string>& arguments, const std::vector<std::string>& applied,
                  Diagnosis& diagnosis) {
  for (Finding& finding : diagnosis.findings) {
    if (finding.remedy.empty()) continue;
    const std::vector<std::string> remedy = next_remedy(finding.remedy, applied);
    if (const auto repaired = with_remedy(arguments, remedy); !remedy.empty() && !repaired.empty())
      finding.command = quantize_command(repaired);
  }
}

std::vector<std::string> applied_methods(const std::string& low_bit_path, const Graph& low_bit) {
  if (const std::string stored = stored_recipe(low_bit_path); !stored.empty())
    return parse_recipe(stored, low_bit_path).methods;
  const std::string weights = commonest(low_bit, true);
  if (weights.empty()) return {};
  Recipe recipe;
  recipe.weights = split(weights, '/')[0];
  std::vector<std::string> notes;
  return with_default_methods(recipe, true, notes).methods;
}

std::vector<std::string> arguments_for(const std::string& float_path, const std::string& low_bit_path,
                                       const Graph& low_bit, const DataFlags& data) {
  std::vector<std::string> arguments = {float_path, "-o", low_bit_path, "--data", data.data};
  const auto add = [&](const char* option, const std::string& value) {
    if (!value.empty()) arguments.insert(arguments.end(), {option, value});
  };
  add("--preprocess", data.preprocess);
  add("--slice", data.slice);
  if (!stored_recipe(low_bit_path).empty()) {
    add("--recipe", low_bit_path);
    return arguments;
  }
  const std::string weights = commonest(low_bit, true), activations = commonest(low_bit, false);
  if (const std::vector<std::string> parts = split(weights, '/'); !weights.empty()) {
    add("--weights", parts[0]);
    if (parts.size() > 1) add("--granularity", parts[1]);
  } else {
    add("--weights", "none");
  }
  add("--activations", activations.empty() ? "none" : split(activations, '/')[0]);
  return arguments;
}

}  // namespace lowbit::cli
