// defaults.h: which methods are applied, and to how many samples, when the user does not say: the best that was found
// for the width of the weights (docs/methods.md has the measurements).
#pragma once

#include <string>
#include <vector>

#include "lowbit/methods/recipe.h"

namespace lowbit {

/// The recipe with "default" among its methods replaced by the methods of its width, and samples of 0 by the number
/// they want. Without data no method is chosen that needs some. Appends to `notes` what was chosen.
Recipe with_default_methods(Recipe recipe, bool with_data, std::vector<std::string>& notes);

}  // namespace lowbit
