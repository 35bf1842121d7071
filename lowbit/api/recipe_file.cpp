#include "lowbit/api/recipe_file.h"

#include "lowbit/api/container.h"

#include <sstream>

#include <fmt/format.h>
#include <toml.hpp>

#include "lowbit/base/error.h"
#include "lowbit/base/file.h"
#include "lowbit/base/text.h"

namespace lowbit {
namespace {

constexpr size_t kMostBytes = size_t{1} << 20;  // a recipe with a rule for each of 10,000 layers
constexpr int kMostNesting = 32;                // the parser recurses; a recipe needs 3

const std::vector<std::string> kKeys = {"weights",         "activations",      "granularity", "range",   "weight_range",
                                        "rounding",        "symmetry",         "methods",     "include", "exclude",
                                        "quantize_inputs", "quantize_outputs", "samples",     "seed",    "layer"};
const std::vector<std::string> kRuleKeys = {"match", "weights", "activations", "granularity", "range"};

/// Reads the keys of one TOML table and remembers where it is for messages.
class Reader {
 public:
  Reader(const toml::value& table, std::string where) : table_(table), where_(std::move(where)) {}

  void check_keys(const std::vector<std::string>& known) const {
    for (const auto& [key, value] : table_.as_table()) {
      const bool found = std::find(known.begin(), known.end(), key) != known.end();
      if (found) continue;
      const std::string near = did_you_mean(key, known);
      fail(value, fmt::format("unknown key '{}' ({})", printable(key, 60),
                              near.empty() ? "known keys: " + join(known, ", ") : near));
    }
  }

  void get(const char* key, std::string& target) const {
    if (const toml::value* value = find(key)) target = text_of(*value, key);
  }
  void get(const char* key, std::optional<std::string>& target) const {
    if (const toml::value* value = find(key)) target = text_of(*value, key);
  }
  void get(const char* key, bool& target) const {
    const toml::value* value = find(key);
    if (!value) return;
    if (!value->is_boolean()) fail(*value, fmt::format("'{}' must be true or false", key));
    target = value->as_boolean(std::nothrow);
  }
  void get(const char* key, int64_t least, int64_t& target) const {
    const toml::value* value = find(key);
    if (!value) return;
    if (!value->is_integer()) fail(*value, fmt::format("'{}' must be a whole number", key));
    target = value->as_integer(std::nothrow);
    if (target < least) fail(*value, fmt::format("'{}' is {} (at least {} is needed)", key, target, least));
  }
  void get(const char* key, std::vector<std::string>& target) const {
    const toml::value* value = find(key);
    if (!value) return;
    if (!value->is_array()) fail(*value, fmt::format("'{0}' must be a list of texts, as in {0} = [\"a\", \"b\"]", key));
    target.clear();
    for (const toml::value& item : value->as_array(std::nothrow)) target.push_back(text_of(item, key));
  }

  [[noreturn]] void fail(const toml::value& value, const std::string& message) const {
    throw Error(ErrorCode::bad_argument, message, fmt::format("{}:{}", where_, value.location().line()));
  }
  const toml::value* find(const char* key) const {
    const auto& entries = table_.as_table();
    const auto found = entries.find(key);
    return found == entries.end() ? nullptr : &found->second;
  }

 private:
  std::string text_of(const toml::value& value, const char* key) const {
    if (!value.is_string()) fail(value, fmt::format("'{}' must be a text in quotes", key));
    return value.as_string(std::nothrow).str;
  }
  const toml::value& table_;
  std::string where_;
};

/// Refuses what the recursive parser could not survive. Brackets in texts and comments do not nest; texts of several
/// lines, which would make this scan a parser, have no use in a recipe and are refused.
void check_nesting(const std::string& text, const std::string& where) {
  int depth = 0, line = 1;
  char quote = 0;
  bool comment = false;
  const auto refuse = [&](const char* message) {
    throw Error(ErrorCode::bad_argument, message, fmt::format("{}:{}", where, line));
  };
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n') {
      ++line;
      quote = 0;
      comment = false;
    } else if (comment) {
      continue;
    } else if (quote) {
      if (c == '\\' && quote == '"' && i + 1 < text.size() && text[i + 1] != '\n') ++i;
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      if (text.compare(i, 3, std::string(3, c)) == 0) refuse("a text of several lines (write it on one line)");
      quote = c;
    } else if (c == '#') {
      comment = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMostNesting) refuse("brackets are nested too deeply (a recipe needs three levels)");
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
}

toml::value parse_toml(const std::string& text, const std::string& where) {
  if (text.size() > kMostBytes)
    throw Error(ErrorCode::bad_argument,
                fmt::format("{} are too many for a recipe (at most {})", bytes_text(static_cast<int64_t>(text.size())),
                            bytes_text(kMostBytes)),
                where);
  check_nesting(text, where);
  try {
    std::istringstream stream(text);
    return toml::parse(stream, where);
  } catch (const toml::syntax_error& error) {
    // The library's message is a drawing of several lines; its first line says what is wrong.
    const std::string message = error.what();
    const std::string first = message.substr(0, message.find('\n'));
    const size_t colon = first.rfind(": ");
    throw Error(ErrorCode::bad_argument,
                fmt::format("not valid TOML: {} (write lines like weights = \"int8\")",
                            printable(colon == std::string::npos ? first : first.substr(colon + 2), 160)),
                fmt::format("{}:{}", where, error.location().line()));
  } catch (const std::exception& error) {
    const std::string message = error.what();
    throw Error(ErrorCode::bad_argument, "not valid TOML: " + printable(message.substr(0, message.find('\n')), 160),
                where);
  }
}

LayerRule read_rule(const toml::value& table, const std::string& where) {
  const Reader reader(table, where);
  if (!table.is_table()) reader.fail(table, "a [[layer]] must be a table with match = \"GLOB\"");
  reader.check_keys(kRuleKeys);
  LayerRule rule;
  reader.get("match", rule.match);
  if (rule.match.empty()) reader.fail(table, "a [[layer]] needs match = \"GLOB\" (a layer name or op:NAME)");
  reader.get("weights", rule.settings.weights);
  reader.get("activations", rule.settings.activations);
  reader.get("granularity", rule.settings.granularity);
  reader.get("range", rule.settings.range);
  return rule;
}

/// A TOML basic string; control characters are written as \uNNNN.
std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      result += std::string("\\") + c;
    else if (byte < 0x20 || byte == 0x7f)
      result += fmt::format("\\u{:04x}", byte);
    else
      result += c;
  }
  return result + "\"";
}

std::string quoted_list(const std::vector<std::string>& items) {
  std::vector<std::string> parts;
  for (const std::string& item : items) parts.push_back(quoted(item));
  return "[" + join(parts, ", ") + "]";
}

struct BuiltinRecipe {
  const char* name;
  const char* toml;
};

constexpr BuiltinRecipe kBuiltins[] = {
    {"int8", "weights = \"int8\"\nactivations = \"uint8\"\n"},
    {"int8-symmetric", "weights = \"int8\"\nactivations = \"int8\"\nsymmetry = \"symmetric\"\n"},
    {"int16", "weights = \"int8\"\nactivations = \"int16\"\nsymmetry = \"symmetric\"\n"},
    {"weights-only", "weights = \"int8\"\nactivations = \"none\"\nmethods = []\n"},
};

}  // namespace

Recipe parse_recipe(const std::string& toml_text, const std::string& where) {
  const toml::value root = parse_toml(toml_text, where);
  const Reader reader(root, where);
  reader.check_keys(kKeys);
  Recipe recipe;
  reader.get("weights", recipe.weights);
  reader.get("activations", recipe.activations);
  reader.get("granularity", recipe.granularity);
  reader.get("range", recipe.range);
  reader.get("weight_range", recipe.weight_range);
  reader.get("rounding", recipe.rounding);
  reader.get("symmetry", recipe.symmetry);
  reader.get("methods", recipe.methods);
  reader.get("include", recipe.include);
  reader.get("exclude", recipe.exclude);
  reader.get("quantize_inputs", recipe.quantize_inputs);
  reader.get("quantize_outputs", recipe.quantize_outputs);
  reader.get("samples", 0, recipe.samples);
  int64_t seed = static_cast<int64_t>(recipe.seed);
  reader.get("seed", 0, seed);
  recipe.seed = static_cast<uint64_t>(seed);
  if (const toml::value* rules = reader.find("layer")) {
    if (!rules->is_array()) reader.fail(*rules, "'layer' must be written as [[layer]], once a rule");
    for (const toml::value& rule : rules->as_array(std::nothrow)) recipe.rules.push_back(read_rule(rule, where));
  }
  return recipe;
}

std::string to_toml(const Recipe& recipe) {
  std::string text = fmt::format(
      "weights = {}\nactivations = {}\ngranularity = {}\nrange = {}\nweight_range = {}\nrounding = {}\nsymmetry = "
      "{}\nmethods = {}\ninclude = {}\nexclude = {}\nquantize_inputs = {}\nquantize_outputs = {}\nsamples = {}\nseed = "
      "{}\n",
      quoted(recipe.weights), quoted(recipe.activations), quoted(recipe.granularity), quoted(recipe.range),
      quoted(recipe.weight_range), quoted(recipe.rounding), quoted(recipe.symmetry), quoted_list(recipe.methods),
      quoted_list(recipe.include), quoted_list(recipe.exclude), recipe.quantize_inputs, recipe.quantize_outputs,
      recipe.samples, static_cast<int64_t>(recipe.seed));
  for (const LayerRule& rule : recipe.rules) {
    text += fmt::format("\n[[layer]]\nmatch = {}\n", quoted(rule.match));
    if (rule.settings.weights) text += fmt::format("weights = {}\n", quoted(*rule.settings.weights));
    if (rule.settings.activations) text += fmt::format("activations = {}\n", quoted(*rule.settings.activations));
    if (rule.settings.granularity) text += fmt::format("granularity = {}\n", quoted(*rule.settings.granularity));
    if (rule.settings.range) text += fmt::format("range = {}\n", quoted(*rule.settings.range));
  }
  return text;
}

Recipe load_recipe(const std::string& file_or_name) {
  for (const BuiltinRecipe& builtin : kBuiltins)
    if (file_or_name == builtin.name) return parse_recipe(builtin.toml, builtin.name);
  if (!file_exists(file_or_name) && file_or_name.find_first_of("./") == std::string::npos) {
    const std::vector<std::string> names = builtin_recipes();
    const std::string near = did_you_mean(file_or_name, names);
    throw Error(ErrorCode::bad_argument,
                fmt::format("no file and no built-in recipe of this name ({})",
                            near.empty() ? "built in: " + join(names, ", ") : near),
                file_or_name);
  }
  if (const std::string stored = stored_recipe(file_or_name); !stored.empty())
    return parse_recipe(stored, file_or_name);
  const auto file = MappedFile::open(file_or_name);
  const Bytes bytes = file->bytes();
  return parse_recipe(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), file_or_name);
}

std::vector<std::string> builtin_recipes() {
  std::vector<std::string> names;
  for (const BuiltinRecipe& builtin : kBuiltins) names.emplace_back(builtin.name);
  return names;
}

}  // namespace lowbit
