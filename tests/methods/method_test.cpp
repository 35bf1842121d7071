#include "lowbit/methods/method.h"

#include <gtest/gtest.h>

#include <set>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

std::string refusal(const std::string& text) {
  try {
    parse_method(text);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(MethodTable, RowsAreCompleteAndTheirNamesDiffer) {
  std::set<std::string_view> names;
  for (const Method* method : method_table()) {
    EXPECT_TRUE(names.insert(method->name).second) << method->name;
    EXPECT_FALSE(method->summary.empty() || method->paper.empty()) << method->name;
    EXPECT_NE(method->apply, nullptr) << method->name;
    for (const MethodOption& option : method->options) {
      EXPECT_LE(option.low, option.fallback) << method->name << ":" << option.name;
      EXPECT_LE(option.fallback, option.high) << method->name << ":" << option.name;
    }
  }
}

TEST(ParseMethod, ReadsOptions) {
  const MethodCall call = parse_method("gptq:damping=0.1:order=0");
  EXPECT_EQ(call.method->name, "gptq");
  EXPECT_EQ(call.set.at("damping"), 0.1);
  EXPECT_EQ(call.set.at("order"), 0);
  EXPECT_TRUE(parse_method("bias-correct").set.empty());
}

TEST(ParseMethod, SaysWhatIsWrongAndWhatIsNear) {
  EXPECT_NE(refusal("gptk").find("gptq"), std::string::npos);
  EXPECT_NE(refusal("gptq:dampening=1").find("damping"), std::string::npos);
  EXPECT_NE(refusal("gptq:damping=lots").find("lots"), std::string::npos);
  EXPECT_NE(refusal("gptq:damping=1e9").find("1e9"), std::string::npos);
  EXPECT_NE(refusal("gptq:damping").find("NAME=NUMBER"), std::string::npos);
  EXPECT_NE(refusal("bias-correct:x=1").find("it has none"), std::string::npos);
  EXPECT_NE(refusal(""), "");
  EXPECT_NE(refusal(":"), "");
}

}  // namespace
}  // namespace lowbit
