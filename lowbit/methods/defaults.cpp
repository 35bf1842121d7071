#include "lowbit/methods/defaults.h"

#include <algorithm>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/methods/method.h"
#include "lowbit/numbers/number_system.h"

namespace lowbit {
namespace {

struct DefaultMethods {
  int most_bits;  ///< of the weights; rows in ascending order
  std::vector<std::string> methods;
  int64_t samples;
};

/// Few bits need more samples: the moments of K inputs are only known from several times K positions.
const DefaultMethods& defaults_for(int bits) {
  static const DefaultMethods rows[] = {
      {6, {"gptq"}, 1024},
      {32, {"gptq:damping=0.1"}, 512},
  };
  return *std::find_if(std::begin(rows), std::end(rows) - 1,
                       [&](const DefaultMethods& r) { return bits <= r.most_bits; });
}

/// Width of the weights; for "auto:N" and the like the number in the name; 32 for weights that stay float.
int bits_of(const std::string& system) {
  if (system == "none") return 32;
  const size_t colon = system.find(':');
  if (colon != std::string::npos)
    if (const auto bits = parse_double(std::string_view(system).substr(colon + 1)); bits && *bits >= 1 && *bits <= 32)
      return static_cast<int>(*bits + 0.999);
  return parse_number_format(system).bits;
}

}  // namespace

Recipe with_default_methods(Recipe recipe, bool with_data, std::vector<std::string>& notes) {
  int bits = bits_of(recipe.weights);
  for (const LayerRule& rule : recipe.rules)
    if (rule.settings.weights) bits = std::min(bits, bits_of(*rule.settings.weights));
  const DefaultMethods& defaults = defaults_for(bits);
  const auto place = std::find(recipe.methods.begin(), recipe.methods.end(), "default");
  const bool chooses = place != recipe.methods.end();
  if (chooses) {
    const auto at = recipe.methods.erase(place);
    if (with_data) {
      recipe.methods.insert(at, defaults.methods.begin(), defaults.methods.end());
      notes.push_back(fmt::format("methods for {}-bit weights: {} (--method none for plain rounding)", bits,
                                  join(defaults.methods, ", ")));
    }
  }
  std::erase(recipe.methods, "none");
  if (recipe.samples == 0) {
    // What methods do with data decides how many they want; plain ranges need few.
    const bool second_order = std::any_of(recipe.methods.begin(), recipe.methods.end(), [](const std::string& m) {
      return find_method(std::string_view(m).substr(0, m.find(':'))).needs_data;
    });
    recipe.samples = second_order ? defaults.samples : 256;
  }
  return recipe;
}

}  // namespace lowbit
