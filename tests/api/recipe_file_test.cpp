#include "lowbit/api/recipe_file.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

/// Message of the Error that reading this text gives; empty if it is accepted.
std::string refusal(const std::string& text) {
  try {
    parse_recipe(text, "r.toml");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_argument);
    return error.what();
  }
  return "";
}

TEST(RecipeFile, ReadsEveryKey) {
  const Recipe recipe = parse_recipe(R"(
weights = "int4"
activations = "none"
granularity = "group:32"
range = "mse"
weight_range = "mse"
rounding = "stochastic:7"
symmetry = "mixed"
methods = ["equalize", "bias-correct"]
include = ["conv*"]
exclude = ["op:Softmax"]
quantize_inputs = false
quantize_outputs = true
samples = 12
seed = 99
[[layer]]
match = "conv_1*"
weights = "int8"
[[layer]]
match = "op:Gemm"
activations = "int16"
)",
                                     "r.toml");
  EXPECT_EQ(recipe.weights, "int4");
  EXPECT_EQ(recipe.activations, "none");
  EXPECT_EQ(recipe.granularity, "group:32");
  EXPECT_EQ(recipe.range, "mse");
  EXPECT_EQ(recipe.weight_range, "mse");
  EXPECT_EQ(recipe.rounding, "stochastic:7");
  EXPECT_EQ(recipe.symmetry, "mixed");
  EXPECT_EQ(recipe.methods, (std::vector<std::string>{"equalize", "bias-correct"}));
  EXPECT_EQ(recipe.include, std::vector<std::string>{"conv*"});
  EXPECT_EQ(recipe.exclude, std::vector<std::string>{"op:Softmax"});
  EXPECT_FALSE(recipe.quantize_inputs);
  EXPECT_TRUE(recipe.quantize_outputs);
  EXPECT_EQ(recipe.samples, 12);
  EXPECT_EQ(recipe.seed, 99u);
  ASSERT_EQ(recipe.rules.size(), 2u);
  EXPECT_EQ(recipe.rules[0].match, "conv_1*");
  EXPECT_EQ(recipe.rules[0].settings.weights, "int8");
  EXPECT_FALSE(recipe.rules[0].settings.activations);
  EXPECT_EQ(recipe.rules[1].settings.activations, "int16");
}

TEST(RecipeFile, UnknownKeysNameTheNearestAndTheLine) {
  EXPECT_NE(refusal("\nwieghts = \"int8\"\n").find("did you mean weights"), std::string::npos);
  EXPECT_NE(refusal("\nwieghts = \"int8\"\n").find("r.toml:2"), std::string::npos);
  EXPECT_NE(refusal("[[layer]]\nmatch = \"a\"\nwieghts = \"int8\"\n").find("did you mean weights"), std::string::npos);
}

TEST(RecipeFile, RefusesWrongTypesAndValues) {
  EXPECT_NE(refusal("weights = 8\n"), "");
  EXPECT_NE(refusal("methods = \"bias-correct\"\n"), "");
  EXPECT_NE(refusal("methods = [1]\n"), "");
  EXPECT_NE(refusal("samples = -1\n"), "");
  EXPECT_NE(refusal("seed = -1\n"), "");
  EXPECT_NE(refusal("quantize_inputs = 1\n"), "");
  EXPECT_NE(refusal("layer = 3\n"), "");
  EXPECT_NE(refusal("layer = [3]\n"), "");
  EXPECT_NE(refusal("[[layer]]\nweights = \"int8\"\n"), "");
}

TEST(RecipeFile, SyntaxErrorsAreOneLineWithItsNumber) {
  for (const char* text :
       {"weights = \n", "= 3", "weights = \"int8\nrange = \"mse\"", "[layer", "\x01", "a = 1\na = 2\n"}) {
    const std::string message = refusal(text);
    EXPECT_NE(message, "") << text;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    EXPECT_EQ(message.rfind("r.toml", 0), 0u) << message;
  }
}

TEST(RecipeFile, RefusesDeepNestingAndHugeTexts) {
  EXPECT_NE(refusal("a = " + std::string(100000, '[')), "");
  EXPECT_NE(refusal("a = \"\"\"\n\"\"\"" + std::string(100000, '[')), "");
  EXPECT_EQ(refusal("exclude = [\"" + std::string(1000, '[') + "\"] # " + std::string(1000, '[')), "");
  EXPECT_NE(refusal("#" + std::string(size_t{2} << 20, 'x')), "");
}

TEST(RecipeFile, EveryBuiltinLoads) {
  for (const std::string& name : builtin_recipes()) EXPECT_NO_THROW(load_recipe(name)) << name;
  EXPECT_EQ(load_recipe("weights-only").activations, "none");
  EXPECT_EQ(load_recipe("int16").activations, "int16");
}

TEST(RecipeFile, AnUnknownNameSuggestsBuiltins) {
  try {
    load_recipe("int8-symetric");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("int8-symmetric"), std::string::npos);
  }
}

RC_GTEST_PROP(RecipeFile, WritingAndReadingBackGivesTheSame, ()) {
  // Any bytes that are valid UTF-8: TOML texts are UTF-8.
  const auto text = rc::gen::container<std::string>(rc::gen::inRange<char>(1, 127));
  Recipe recipe;
  recipe.weights = *text;
  recipe.exclude = *rc::gen::container<std::vector<std::string>>(text);
  recipe.methods = *rc::gen::container<std::vector<std::string>>(text);
  recipe.samples = *rc::gen::positive<int64_t>();
  recipe.seed = static_cast<uint64_t>(*rc::gen::nonNegative<int64_t>());
  recipe.quantize_inputs = *rc::gen::arbitrary<bool>();
  LayerRule rule;
  rule.match = "x" + *text;
  rule.settings.range = *rc::gen::maybe(text) ? std::optional<std::string>(*text) : std::nullopt;
  recipe.rules.push_back(rule);
  const std::string written = to_toml(recipe);
  const Recipe read = parse_recipe(written, "r.toml");
  RC_ASSERT(to_toml(read) == written);
  RC_ASSERT(read.weights == recipe.weights);
  RC_ASSERT(read.exclude == recipe.exclude);
  RC_ASSERT(read.methods == recipe.methods);
  RC_ASSERT(read.samples == recipe.samples);
  RC_ASSERT(read.seed == recipe.seed);
  RC_ASSERT(read.rules[0].match == rule.match);
  RC_ASSERT(read.rules[0].settings.range == rule.settings.range);
}

}  // namespace
}  // namespace lowbit
