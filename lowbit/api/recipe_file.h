// recipe_file.h: recipes as TOML text. Unknown keys are errors with a suggestion.
#pragma once

#include <string>

#include "lowbit/methods/recipe.h"

namespace lowbit {

/// Example:
///   weights = "int8"
///   activations = "uint8"
///   methods = ["bias-correct"]
///   [[layer]]
///   match = "conv_1*"
///   weights = "int4"
Recipe parse_recipe(const std::string& toml_text, const std::string& where);
std::string to_toml(const Recipe& recipe);

/// A file (TOML, or a container that carries a recipe), or the name of a built-in recipe ("int8", "int8-symmetric",
/// "int16", "weights-only"). Throws Error{bad_argument} with the nearest names.
Recipe load_recipe(const std::string& file_or_name);
std::vector<std::string> builtin_recipes();

}  // namespace lowbit
