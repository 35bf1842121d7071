#include "lowbit/core/quantization.h"

#include <gtest/gtest.h>

#include "lowbit/core/graph.h"
#include "lowbit/core/graph_index.h"
#include "lowbit/core/weights.h"
#include "tests/support/graph_builder.h"

namespace lowbit {
namespace {

Value annotated(const char* format, Tensor constant, std::vector<float> params) {
  Value value;
  value.constant = std::move(constant);
  value.quantization.emplace();
  value.quantization->format = parse_number_format(format);
  value.quantization->params = std::move(params);
  return value;
}

TEST(AnnotatedConstants, FloatsAreEncodedAndRounded) {
  const Value value = annotated("int4", Tensor::from<float>({3}, {1.1f, -0.6f, 100}), {0.5f, 0});
  EXPECT_FALSE(holds_codes(value));
  EXPECT_TRUE(identical(weight_codes(value), Tensor::from<int8_t>({3}, {2, -1, 7})));
  EXPECT_TRUE(identical(weight_values(value), Tensor::from<float>({3}, {1, -0.5f, 3.5f})));
  EXPECT_TRUE(identical(unrounded_values(value), *value.constant));
}

TEST(AnnotatedConstants, CodesAreReturnedWithoutACopy) {
  const Value value = annotated("int4", Tensor::from<int8_t>({3}, {2, -1, 7}), {0.5f, 0});
  EXPECT_TRUE(holds_codes(value));
  EXPECT_EQ(weight_codes(value).raw().data(), value.constant->raw().data());
  EXPECT_TRUE(identical(weight_values(value), Tensor::from<float>({3}, {1, -0.5f, 3.5f})));
  EXPECT_TRUE(identical(unrounded_values(value), weight_values(value)));
}

TEST(AnnotatedConstants, ADynamicAnnotationSaysNothingAboutAConstant) {
  Value value = annotated("int8", Tensor::from<float>({1}, {0.3f}), {});
  value.quantization->dynamic = true;
  EXPECT_FALSE(is_annotated_constant(value));
  EXPECT_TRUE(identical(weight_values(value), *value.constant));
}

TEST(AnnotatedConstants, CodesTakeTheNarrowestType) {
  for (const auto& [format, type] : std::initializer_list<std::pair<const char*, DType>>{{"uint8", DType::uint8},
                                                                                         {"int8", DType::int8},
                                                                                         {"int1", DType::int8},
                                                                                         {"uint12", DType::uint16},
                                                                                         {"int16", DType::int16},
                                                                                         {"ternary", DType::int8}}) {
    Quantization quantization;
    quantization.format = parse_number_format(format);
    EXPECT_EQ(code_dtype(quantization), type) << format;
  }
}

TEST(AnnotatedConstants, AScalarIsReadAsItsValue) {
  Graph graph;
  const ValueId id = graph.add_value("limit");
  graph.value(id) = annotated("uint8", Tensor::scalar(uint8_t{12}), {0.5f, 0});
  EXPECT_EQ(scalar_constant(graph, id), 6.0);
}

}  // namespace
}  // namespace lowbit
