// recipe_check.h: refuses what a recipe asks for and this build does not have, before any work starts.
#pragma once

#include "lowbit/methods/recipe.h"

namespace lowbit {

/// Number systems, granularities, ranges, rounding, symmetry and methods of a recipe and of its rules. Throws
/// Error{bad_argument} naming the key, the value, and what is available.
void check_recipe(const Recipe& recipe);

/// The recipe for a run without calibration data: activations stay float. Methods that need data are left out if
/// `drop_methods` is set; otherwise they stay, and quantize() refuses them.
Recipe without_data(Recipe recipe, bool drop_methods);

}  // namespace lowbit
