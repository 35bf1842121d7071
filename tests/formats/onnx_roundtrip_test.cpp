// Every model at hand loads, and what is written is read back as the same graph.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "lowbit/base/file.h"
#include "lowbit/formats/format.h"
#include "lowbit/formats/onnx/graph_reader.h"
#include "lowbit/formats/onnx/onnx.h"
#include "lowbit/ops/infer_shapes.h"

namespace lowbit {
namespace {

std::vector<std::string> models_below(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code none;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder, none))
    if (entry.path().extension() == ".onnx") paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::string written(const Model& model) {
  StringSink sink;
  onnx_format::write(model, sink, {});
  return sink.text;
}

void expect_same_constants(const Graph& a, const Graph& b) {
  size_t constants = 0;
  const auto uses = a.uses();
  for (size_t i = 0; i < a.values.size(); ++i) {
    const Value& value = a.values[i];
    if (!value.constant || uses[i].empty()) continue;
    ++constants;
    const auto other = b.find_value(value.name);
    ASSERT_TRUE(other && b.constant(*other)) << value.name;
    EXPECT_TRUE(identical(*value.constant, *b.constant(*other))) << value.name;
  }
  EXPECT_GT(constants, 0u);
}

TEST(OnnxAssets, AreThere) {
  if (!std::filesystem::exists(LOWBIT_ASSETS)) GTEST_SKIP() << "../shared/assets is not there";
  EXPECT_GE(models_below(LOWBIT_ASSETS).size(), 16u);
}

class OnnxAssetFile : public testing::TestWithParam<std::string> {};

TEST_P(OnnxAssetFile, LoadsAndRoundTrips) {
  const Model model = load_model(GetParam());
  onnx_format::validate(model.graph);
  EXPECT_FALSE(model.graph.inputs.empty());
  for (ValueId id : model.graph.inputs) EXPECT_FALSE(model.graph.value(id).constant) << model.graph.value(id).name;
  const std::string bytes = written(model);
  const Model again = onnx_format::read(std::as_bytes(std::span(bytes.data(), bytes.size())), {});
  onnx_format::validate(again.graph);
  EXPECT_EQ(dump(model.graph), dump(again.graph));
  expect_same_constants(model.graph, again.graph);
  EXPECT_EQ(written(again), bytes);
  EXPECT_EQ(model.metadata, again.metadata);
  EXPECT_EQ(model.producer, again.producer);
  Graph inferred = model.graph;
  EXPECT_NO_THROW(infer_shapes(inferred));
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = std::filesystem::path(info.param).stem();
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); }, '_');
  return name;
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(OnnxAssetFile);
INSTANTIATE_TEST_SUITE_P(All, OnnxAssetFile, testing::ValuesIn(models_below(LOWBIT_ASSETS)), test_name);

}  // namespace
}  // namespace lowbit
