// Every number system at every granularity as ONNX nodes: they give the decoded values bit for bit, take the bytes that
// packing promises, and become the same annotation when read back.
#include "lowbit/passes/lower_weights.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "lowbit/core/weights.h"
#include "lowbit/formats/format.h"
#include "lowbit/ops/evaluate.h"
#include "lowbit/ops/infer_shapes.h"
#include "lowbit/passes/lower_qdq.h"
#include "lowbit/passes/packed_digits.h"
#include "lowbit/passes/raise_weights.h"
#include "tests/support/graph_builder.h"

namespace lowbit {
namespace {

using testing::GraphBuilder;
using testing::random_tensor;

/// A name of every system at every width it has; standardized ones at the least and the most.
std::vector<std::string> all_formats() {
  std::vector<std::string> names;
  for (const NumberSystem* system : number_systems()) {
    std::vector<std::string> found;
    for (const char* end : {"", "-2", "-asym", "-full", "-sym"})
      for (int bits = system->min_bits; bits <= system->max_bits; ++bits) {
        if (*end != 0 && bits != system->max_bits && bits != 4) continue;
        for (const std::string& tail : {std::to_string(bits) + end, "-" + std::to_string(bits) + end})
          if (system->parse(tail)) found.push_back(std::string(system->name) + tail);
      }
    if (system->parse("")) found.emplace_back(system->name);
    if (found.empty()) found = {"vq-2x16", "vq-3x5", "vq-4x300", "vq-7x2"};  // vector systems have no single width
    for (const std::string& name : {found.front(), found.back()}) names.push_back("std-" + name);
    names.insert(names.end(), found.begin(), found.end());
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

struct Place {
  const char* granularity;
  Dims dims;
  int64_t axis;
};
const std::vector<std::vector<Place>> kPlaces = {
    {{"tensor", {6, 20}, 0}, {"tensor", {3, 4, 3}, 0}},
    {{"channel", {6, 21}, 0}, {"channel", {21, 6}, 1}, {"channel", {3, 4, 5}, 1}},
    {{"group:8", {6, 24}, 0}, {"group:8", {24, 6}, 1}, {"group:500", {5, 30}, 0}, {"group:1", {3, 5}, 0}},
    {{"group:7", {6, 24}, 0}, {"group:7", {23, 5}, 1}, {"group:6", {3, 4, 3, 3}, 0}, {"group:9", {4, 3, 3}, 2}},
    {{"block:2x6", {6, 24}, 0}, {"block:4x7", {6, 2, 3, 3}, 0}, {"block:2x5", {11, 3, 2}, 1}},
};

/// y = x + w with w annotated; its constant holds the decoded values.
Model model_with(const std::string& format, const Place& place) {
  GraphBuilder b;
  const ValueId x = b.input("x", to_shape(place.dims));
  Tensor w = random_tensor(place.dims, 3, -2, 2);
  w.mutable_data<float>()[1] = 0;
  Quantization q;
  q.format = parse_number_format(format);
  q.granularity = parse_granularity(place.granularity);
  q.granularity.axis = q.granularity.kind == Granularity::Kind::tensor ? 0 : place.axis;
  q.params = fit_groups(q.format, q.granularity, w.dims(), w.data<float>(), {}, {});
  const ValueId weight = b.constant("layer/w:0", fake_quantize(q, w));
  b.graph.value(weight).quantization = q;
  b.output(b.node("Add", "sum", {x, weight}));
  Model model;
  model.graph = std::move(b.graph);
  return model;
}

Tensor decoded(const Model& model) {
  const Value& value = model.graph.value(*model.graph.find_value("layer/w:0"));
  return weight_values(value);
}

/// What the nodes in front of the weight compute.
Tensor computed(const Model& lowered) {
  Graph graph = lowered.graph;
  graph.outputs = {*graph.find_value("layer/w:0")};
  graph.inputs.clear();
  graph.remove_dead();
  if (const Tensor* constant = graph.constant(graph.outputs[0])) return *constant;
  ThreadPool threads(1);
  EvaluateOptions options;
  options.accelerated = false;
  return Evaluator(graph, threads, options).run_ordered({})[0];
}

/// Written to bytes and read from them.
Model through_file(const Model& model) {
  const FileFormat& onnx = **std::find_if(format_table().begin(), format_table().end(),
                                          [](const FileFormat* format) { return format->name == "onnx"; });
  StringSink sink;
  onnx.write(model, sink, {});
  return onnx.read(std::as_bytes(std::span(sink.text.data(), sink.text.size())), {});
}

/// Weights as files hold them: codes, but of vectors the values.
void hold_codes(Model& model) {
  for (Value& value : model.graph.values)
    if (is_annotated_constant(value))
      value.constant = value.quantization->format.vector_size > 1 ? weight_values(value) : weight_codes(value);
}

void expect_comes_back(const std::string& format, const Place& place, int64_t opset) {
  SCOPED_TRACE(format + " " + place.granularity + " " + dims_text(place.dims) + " opset " + std::to_string(opset));
  const Model model = model_with(format, place);
  LowerOptions options;
  options.max_opset = opset;
  const Model lowered = lower_model(model, options);
  EXPECT_TRUE(identical(computed(lowered), decoded(model)));
  Model read = through_file(lowered);
  for (const OpsetImport& import : read.source_opsets)
    EXPECT_TRUE(!import.domain.empty() || import.version <= opset) << import.version;
  raise_model(read);
  infer_shapes(read.graph);
  Model wanted = model;
  hold_codes(wanted);
  infer_shapes(wanted.graph);
  hold_codes(read);
  ASSERT_EQ(dump(read.graph), dump(wanted.graph));
  const Value& found = read.graph.value(*read.graph.find_value("layer/w:0"));
  ASSERT_TRUE(found.quantization);
  EXPECT_EQ(*found.quantization, *model.graph.value(*model.graph.find_value("layer/w:0")).quantization);
  EXPECT_TRUE(identical(decoded(read), decoded(model)));
}

class EverySystem : public ::testing::TestWithParam<std::string> {};

TEST_P(EverySystem, ComesBackFromItsFileAtEveryGranularity) {
  // Each granularity at one of its places, another one for each system, so that all places are met by many.
  const std::hash<std::string> hash;
  size_t turn = hash(GetParam()) % 1000;
  for (const std::vector<Place>& places : kPlaces) {
    const int64_t opset = std::array<int64_t, 3>{17, 21, 25}[turn % 3];
    expect_comes_back(GetParam(), places[turn % places.size()], opset);
    ++turn;
  }
}

TEST(LowerWeights, ComesBackFromEveryPlaceAtEveryOpset) {
  for (const char* format :
       {"int3", "int4-asym", "log4", "codebook3", "fp8-e4m3", "std-int4", "vq-2x16", "vq-3x5", "std-vq-4x8"})
    for (const std::vector<Place>& places : kPlaces)
      for (const Place& place : places)
        for (int64_t opset : {17, 21, 25}) expect_comes_back(format, place, opset);
}

INSTANTIATE_TEST_SUITE_P(LowerWeights, EverySystem, ::testing::ValuesIn(all_formats()), [](const auto& named) {
  std::string name = named.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

TEST(LowerWeights, TakesTheBytesThatPackingPromises) {
  // codes of n elements: ternary 5 in a byte, others `bits` bits.
  EXPECT_EQ(packed_digit_bytes(3, 1000), 200);
  EXPECT_EQ(packed_digit_bytes(2, 1000), 125);
  EXPECT_EQ(packed_digit_bytes(7, 1000), 375);
  EXPECT_EQ(packed_digit_bytes(16, 1000), 500);
  EXPECT_EQ(packed_digit_bytes(31, 1000), 625);
  EXPECT_EQ(packed_digit_bytes(127, 1000), 875);
  EXPECT_EQ(packed_digit_bytes(1 << 12, 1000), 1500);
  for (const auto& [format, bytes] : std::vector<std::pair<const char*, int64_t>>{{"ternary", 4000},
                                                                                  {"log4", 10000},
                                                                                  {"int3", 7500},
                                                                                  {"codebook5", 12500},
                                                                                  {"mxfp4", 10625},
                                                                                  {"vq-4x16", 2500}}) {
    const Model lowered =
        lower_model(model_with(format, {std::string(format) == "mxfp4" ? "group:32" : "tensor", {100, 200}, 0}));
    int64_t total = 0;
    for (const Value& value : lowered.graph.values)
      if (value.constant) total += value.constant->count() * dtype_bits(value.constant->dtype()) / 8;
    EXPECT_GE(total, bytes) << format;
    EXPECT_LE(total, bytes + 500) << format;
  }
}

TEST(LowerWeights, SimulatesWithFloatConstantsOfTheQuantizedValues) {
  const Model model = model_with("log4", kPlaces[0][0]);
  LowerOptions options;
  options.simulate = true;
  const Model lowered = lower_model(model, options);
  EXPECT_EQ(lowered.graph.nodes.size(), 1u);
  EXPECT_TRUE(lowered.metadata.empty());
  EXPECT_TRUE(identical(computed(lowered), decoded(model)));
}

TEST(LowerWeights, LeavesNodesThatDoNotGiveWhatTheHintClaims) {
  Model lowered = lower_model(model_with("log4", kPlaces[1][0]));
  for (Value& value : lowered.graph.values)
    if (value.name == "layer/w:0_scale") value.constant->mutable_data<float>()[2] *= 1.5f;
  Model changed = lowered;  // other values, still described truly: read as what it is now
  EXPECT_EQ(raise_weights(changed), 1);
  auto& text = lowered.metadata.back().second;
  const size_t at = text.find("log4");
  text.replace(at, 4, "log3");
  const size_t nodes = lowered.graph.nodes.size();
  EXPECT_EQ(raise_weights(lowered), 0);
  EXPECT_EQ(lowered.graph.nodes.size(), nodes);
}

TEST(LowerWeights, IgnoresHintsThatMakeNoSense) {
  const Model good = lower_model(model_with("codebook3", kPlaces[1][0]));
  for (
      const char* text :
      {"", "[", "{}", "[1, null, []]", R"([{"value": "layer/w:0", "system": "log4", "granularity": "tensor"}])",
       R"([{"value": "layer/w:0", "system": "codebook3", "granularity": "channel", "axis": 7, "levels": "x"}])",
       R"([{"value": "x", "system": "codebook3", "granularity": "channel", "levels": "layer/w:0_levels"}])",
       R"([{"value": "layer/w:0", "system": "none of these", "granularity": "channel"}])",
       R"([{"value": "layer/w:0", "system": "log4", "granularity": "channel", "parameters": [null, null], "rows": []}])"}) {
    Model model = good;
    model.metadata.back().second = text;
    EXPECT_EQ(raise_weights(model), 0) << text;
  }
}

}  // namespace
}  // namespace lowbit
