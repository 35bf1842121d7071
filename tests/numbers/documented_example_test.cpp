// The system that docs/number-systems.md adds as its example: the page's own code, in the form that the table gives
// every row (numbers/standardized.h). tests/CMakeLists.txt takes the code out of the page.
#include <gtest/gtest.h>

#include <array>

#include "lowbit/base/random.h"
#include "lowbit/numbers/fit_data.h"
#include "lowbit/numbers/standardized.h"

namespace lowbit {

extern const NumberSystem quadratic_system;

namespace {

NumberFormat quadratic(const NumberSystem& row, std::string_view tail) {
  NumberFormat format = row.parse(tail).value();
  format.system = &row;
  return format;
}

TEST(DocumentedExample, WorksAsARowOfTheTable) {
  static const NumberSystem row = standardizable<quadratic_system>();
  const NumberFormat format = quadratic(row, "4");
  EXPECT_EQ(to_string(format), "quadratic4");
  EXPECT_FALSE(row.parse("9").has_value());
  const float params[] = {49};
  std::vector<float> levels(15);
  std::vector<int32_t> codes(15);
  for (int32_t code = -7; code <= 7; ++code) codes[static_cast<size_t>(code + 7)] = code;
  decode(format, params, codes.data(), 15, levels.data());
  EXPECT_EQ(levels, (std::vector<float>{-49, -36, -25, -16, -9, -4, -1, 0, 1, 4, 9, 16, 25, 36, 49}));
  const std::array<float, 6> x = {2.4f, 2.6f, -30, 100, 0.4f, -0.6f};
  std::vector<int32_t> found(x.size());
  encode(format, params, x.data(), static_cast<int64_t>(x.size()), found.data());
  EXPECT_EQ(found, (std::vector<int32_t>{1, 2, -5, 7, 0, -1}));
}

TEST(DocumentedExample, FitsByTheRulesOfAllSystems) {
  static const NumberSystem row = standardizable<quadratic_system>();
  Random random(5);
  std::vector<float> x(300);
  for (float& value : x) value = static_cast<float>(random.normal() * random.normal());
  NumberFormat format = quadratic(row, "4");
  for (const bool standardized : {false, true}) {
    format.standardized = standardized;
    std::vector<float> covering(static_cast<size_t>(row.param_count(format))), best = covering;
    row.fit(format, x, {}, {.rule = FitRule::minmax}, covering.data());
    row.fit(format, x, {}, {.rule = FitRule::mse}, best.data());
    EXPECT_LE(squared_error(format, best.data(), {x, {}}), squared_error(format, covering.data(), {x, {}}));
  }
}

}  // namespace
}  // namespace lowbit
