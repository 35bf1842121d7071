#include "lowbit/api/recipe_check.h"

#include <gtest/gtest.h>

#include "lowbit/api/catalogue.h"
#include "lowbit/base/error.h"

namespace lowbit {
namespace {

std::string refusal(const Recipe& recipe) {
  try {
    check_recipe(recipe);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_argument);
    return error.what();
  }
  return "";
}

TEST(CheckRecipe, AcceptsTheDefault) { EXPECT_EQ(refusal(Recipe{}), ""); }

TEST(CheckRecipe, RefusesEveryUnknownNameAndSaysWhatThereIs) {
  Recipe recipe;
  recipe.weights = "nought4";
  EXPECT_NE(refusal(recipe).find("not available in this version"), std::string::npos);
  recipe = {};
  recipe.methods = {"bias-corect"};
  EXPECT_NE(refusal(recipe).find("bias-correct"), std::string::npos);
  recipe = {};
  recipe.symmetry = "symetric";
  EXPECT_NE(refusal(recipe).find("symmetric"), std::string::npos);
  recipe = {};
  recipe.rounding = "stochastic:often";
  EXPECT_NE(refusal(recipe), "");
  recipe = {};
  recipe.range = "minmix";
  EXPECT_NE(refusal(recipe).find("minmax"), std::string::npos);
}

TEST(CheckRecipe, LooksIntoTheRules) {
  Recipe recipe;
  recipe.rules.push_back({"conv*", {}});
  recipe.rules[0].settings.granularity = "chanel";
  EXPECT_NE(refusal(recipe), "");
}

TEST(WithoutData, KeepsMethodsThatWereAskedFor) {
  Recipe recipe;
  EXPECT_EQ(without_data(recipe, false).activations, "none");
  EXPECT_EQ(without_data(recipe, false).methods, recipe.methods);
}

TEST(Catalogue, EveryRowHasACellForEachHeadingAndASummary) {
  for (const std::string& topic : catalogue_topics()) {
    const Catalogue catalogue = read_catalogue(topic);
    for (const auto& row : catalogue.rows) {
      ASSERT_EQ(row.size(), catalogue.headings.size()) << topic;
      EXPECT_FALSE(row[0].empty()) << topic;
      for (size_t i = 0; i < row.size(); ++i) {
        const bool empty_summary = catalogue.headings[i] == "summary" && row[i].empty();
        EXPECT_FALSE(empty_summary) << topic << " " << row[0];
      }
    }
  }
  EXPECT_THROW(read_catalogue("op"), Error);
}

}  // namespace
}  // namespace lowbit
