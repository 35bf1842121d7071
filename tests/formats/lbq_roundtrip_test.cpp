#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>

#include "lowbit/core/weights.h"
#include "lowbit/formats/format.h"
#include "tests/formats/lbq_samples.h"

namespace lowbit {
namespace {

using testing::lbq_bytes;
using testing::quantize_constant;
using testing::random_tensor;
using testing::read_lbq;
using testing::small_model;

void expect_same_value(const Value& a, const Value& b) {
  SCOPED_TRACE(a.name);
  EXPECT_EQ(a.name, b.name);
  EXPECT_EQ(a.dtype, b.dtype);
  ASSERT_EQ(a.constant.has_value(), b.constant.has_value());
  if (a.constant) {
    EXPECT_TRUE(identical(is_annotated_constant(a) ? weight_codes(a) : *a.constant, *b.constant));
  }
  ASSERT_EQ(a.quantization.has_value(), b.quantization.has_value());
  if (!a.quantization) return;
  EXPECT_TRUE(*a.quantization == *b.quantization);  // parameters bit for bit, but for -0 and 0
  EXPECT_EQ(a.quantization->origin, b.quantization->origin);
}

/// Everything that nodes refer to is the same; other values may be gone.
void expect_same_graph(const Graph& a, const Graph& b) {
  EXPECT_EQ(dump(a), dump(b));
  EXPECT_EQ(a.name, b.name);
  for (const Value& value : b.values) {
    const auto found = a.find_value(value.name);
    ASSERT_TRUE(found) << value.name;
    expect_same_value(a.value(*found), value);
  }
}

TEST(LbqRoundTrip, KeepsEverythingInAModel) {
  const Model model = small_model(), read = read_lbq(lbq_bytes(model));
  expect_same_graph(model.graph, read.graph);
  EXPECT_FALSE(read.graph.find_value("unused"));
  const Node& choose = *std::find_if(read.graph.nodes.begin(), read.graph.nodes.end(),
                                     [](const Node& node) { return node.name == "choose"; });
  const Graph& body = *choose.attr_graph("then_branch");
  EXPECT_EQ(dump(body), dump(*model.graph.nodes.back().attr_graph("then_branch")));
  ASSERT_EQ(body.captures.size(), 1u);
  EXPECT_EQ(read.graph.value(body.captures[0].first).name, "second_out");
  EXPECT_TRUE(identical(*read.graph.nodes[2].attr_tensor("t"), Tensor::from<int64_t>({2}, {1, 2})));
  EXPECT_EQ(read.producer, "test");
  EXPECT_EQ(read.description, "a sample");
  EXPECT_EQ(read.metadata, model.metadata);
  EXPECT_EQ(read.source_opsets[0].version, 21);
}

TEST(LbqRoundTrip, TextsOfTheModelAreSectionsOfTheirOwn) {
  const std::string bytes = lbq_bytes(small_model());
  const lbq::Container container = lbq::Container::open(testing::as_bytes(bytes), nullptr);
  EXPECT_EQ(container.text(lbq::kPreprocessing), "range=0..1");
  EXPECT_EQ(container.text(lbq::kRecipe), "weights = \"int4\"\n");
}

TEST(LbqRoundTrip, WritingWhatWasReadGivesTheSameBytes) {
  const std::string bytes = lbq_bytes(small_model());
  EXPECT_EQ(lbq_bytes(read_lbq(bytes)), bytes);
}

/// By the rules of docs/container.md: five ternary codes to a byte, codes of fewer bits than their type without gaps.
size_t predicted_bytes(const Tensor& codes, CodeRange range) {
  const int64_t n = codes.count();
  if (range.min == -1 && range.max == 1) return static_cast<size_t>((n + 4) / 5);
  int bits = 1;
  while (range.min < 0 ? range.min < -(1 << (bits - 1)) || range.max >= 1 << (bits - 1) : range.max >= 1 << bits)
    ++bits;
  return static_cast<size_t>(bits > 16 ? 4 * n : (n * bits + 7) / 8);
}

/// Every system of the build, at widths and granularities drawn at random, on tensors of any shape.
RC_GTEST_PROP(LbqRoundTrip, KeepsCodesAndParametersOfEverySystem, ()) {
  const NumberSystem& system =
      **rc::gen::elementOf(std::vector<const NumberSystem*>(number_systems().begin(), number_systems().end()));
  std::vector<std::string> names;
  const bool linear = system.name == "int" || system.name == "uint";  // others of many bits take long to fit
  for (int bits = system.min_bits; bits <= std::min(system.max_bits, linear ? 16 : 8); ++bits)
    for (const char* tail : {"", "-1", "-2", "-full", "-asym", "-sym"})
      if (const std::string text = std::to_string(bits) + tail; system.parse(text))
        names.push_back(std::string(system.name) + text);
  for (const char* tail : {"", "-2x16", "-3x5"})
    if (system.parse(tail)) names.push_back(std::string(system.name) + tail);
  RC_PRE(!names.empty());
  const std::string name = (*rc::gen::arbitrary<bool>() ? "std-" : "") + *rc::gen::elementOf(names);
  const Dims dims = *rc::gen::element(Dims{1}, Dims{7}, Dims{5, 6}, Dims{12, 3, 2}, Dims{40, 32}, Dims{2, 24, 16});
  const auto rank = static_cast<int>(dims.size());
  const Granularity granularity =
      *rc::gen::element(Granularity{}, Granularity{Granularity::Kind::channel, *rc::gen::inRange(0, rank), 1, 0},
                        Granularity{Granularity::Kind::group, *rc::gen::inRange(0, rank), 1, *rc::gen::inRange(1, 40)},
                        Granularity{Granularity::Kind::block, *rc::gen::inRange(0, rank), *rc::gen::inRange(1, 5),
                                    *rc::gen::inRange(1, 9)});
  testing::GraphBuilder b;
  const ValueId id = b.constant("w", random_tensor(dims, *rc::gen::arbitrary<uint64_t>(), -3, 2));
  try {
    quantize_constant(b.graph.value(id), name, granularity);
  } catch (const Error&) {
    RC_DISCARD("the system does not take this granularity");
  }
  b.output(b.node("Identity", "n", {id}));
  Model model;
  model.graph = b.graph;
  const Tensor codes = weight_codes(b.graph.value(id));
  const CodeRange range = b.graph.value(id).quantization->codes();
  const lbq::StoredTensor packed = lbq::store_tensor(codes, range, false);
  RC_ASSERT((packed.coding == lbq::Coding::raw ? codes.byte_size() : packed.made.size()) ==
            predicted_bytes(codes, range));
  const bool entropy = *rc::gen::arbitrary<bool>();
  const Model read = read_lbq(lbq_bytes(model, {entropy, {}}));
  const Value &before = b.graph.value(id), &after = read.graph.values[0];
  RC_ASSERT(identical(codes, weight_codes(after)));
  RC_ASSERT(before.quantization->params == after.quantization->params);
  RC_ASSERT(*before.quantization == *after.quantization);
  RC_ASSERT(identical(weight_values(before), weight_values(after)));
}

/// Random graphs: chains and fans of nodes over constants of every element type.
RC_GTEST_PROP(LbqRoundTrip, KeepsRandomGraphs, ()) {
  Random random(*rc::gen::arbitrary<uint64_t>());
  const auto below = [&](size_t n) { return static_cast<size_t>(random.uniform() * static_cast<double>(n)); };
  testing::GraphBuilder b;
  std::vector<ValueId> made = {b.input("x", {Dim(), 4})};
  const int count = *rc::gen::inRange(0, 30);
  for (int i = 0; i < count; ++i) {
    if (below(3) == 0) {
      const DType type = lbq::kTypes[1 + below(lbq::kTypes.size() - 1)];
      if (type == DType::string) continue;
      Tensor tensor(type, {static_cast<int64_t>(below(4)), static_cast<int64_t>(below(50))});
      std::byte* bytes = tensor.mutable_raw();
      const int most = type == DType::bool_ ? 2 : dtype_bits(type) < 8 ? 2 : 256;
      for (size_t k = 0; k < tensor.byte_size(); ++k)
        bytes[k] = static_cast<std::byte>(below(static_cast<size_t>(most)));
      made.push_back(b.constant("c" + std::to_string(i), std::move(tensor)));
      continue;
    }
    std::vector<ValueId> inputs;
    for (size_t k = below(4); k-- > 0;) inputs.push_back(below(6) == 0 ? kNone : made[below(made.size())]);
    made.push_back(b.node("Op" + std::to_string(below(3)), "n" + std::to_string(i), std::move(inputs)));
  }
  b.output(made.back());
  Model model;
  model.graph = b.graph;
  const std::string bytes = lbq_bytes(model);
  const Model read = read_lbq(bytes);
  RC_ASSERT(dump(read.graph) == dump(model.graph));
  for (const Value& value : read.graph.values) {
    const Value& before = b.graph.value(*b.graph.find_value(value.name));
    RC_ASSERT(value.constant.has_value() == before.constant.has_value());
    if (value.constant) {
      RC_ASSERT(identical(*value.constant, *before.constant));
    }
  }
  RC_ASSERT(lbq_bytes(read) == bytes);
}

TEST(LbqRoundTrip, APackedTensorTakesTheBitsOfItsFormat) {
  for (const auto& [name, bits] : std::initializer_list<std::pair<const char*, double>>{{"int2-full", 2},
                                                                                        {"int2", 1.6},
                                                                                        {"int3", 3},
                                                                                        {"uint5", 5},
                                                                                        {"int7", 7},
                                                                                        {"int12", 12},
                                                                                        {"ternary", 1.6},
                                                                                        {"binary", 1}}) {
    Tensor weights = random_tensor({100, 50}, 3);
    Value value;
    value.constant = weights;
    quantize_constant(value, name, {});
    const lbq::StoredTensor stored = lbq::store_tensor(*value.constant, value.quantization->codes(), false);
    EXPECT_EQ(static_cast<double>(stored.made.size()), std::ceil(5000 * bits / 8)) << name;
  }
}

TEST(LbqRoundTrip, EntropyCodingIsChosenOnlyWhereItIsSmaller) {
  std::vector<uint8_t> flat(4096), peaked(4096, 3);
  for (size_t i = 0; i < flat.size(); ++i) flat[i] = static_cast<uint8_t>(i % 16);  // 4 bits each: nothing to gain
  peaked[7] = 9;
  const CodeRange codes{0, 15};
  EXPECT_EQ(lbq::store_tensor(Tensor::from(Dims{4096}, flat), codes, true).coding, lbq::Coding::packed);
  EXPECT_EQ(lbq::store_tensor(Tensor::from(Dims{4096}, peaked), codes, true).coding, lbq::Coding::entropy);
}

TEST(LbqRoundTrip, TensorsAreAlignedAndMapped) {
  testing::GraphBuilder b;
  b.output(b.node("Add", "n", {b.constant("a", random_tensor({33}, 1)), b.constant("b", random_tensor({70}, 2))}));
  Model model;
  model.graph = b.graph;
  const std::string path = ::testing::TempDir() + "mapped.lbq";
  save_model(model, path);
  const auto file = MappedFile::open(path);
  const lbq::Container container = lbq::Container::open(file->bytes(), file);
  for (const lbq::TensorEntry& entry : container.tensors()) EXPECT_EQ(entry.offset % 64, 0u);
  const Model read = container.read_model();
  for (const char* name : {"a", "b"}) {
    const Tensor& tensor = *read.graph.value(*read.graph.find_value(name)).constant;
    EXPECT_TRUE(tensor.is_view());
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.raw().data()) % 64, 0u);
  }
}

TEST(LbqRoundTrip, ASectionIsFoundWithoutReadingTheModel) {
  const std::string bytes = testing::small_bytes();
  const lbq::Container container = lbq::Container::open(testing::as_bytes(bytes), nullptr);
  ASSERT_TRUE(container.find_section("plan/test"));
  EXPECT_EQ(container.find_section("plan/test")->values<uint8_t>()[2], 3);
  EXPECT_FALSE(container.find_section("plan/other"));
  EXPECT_EQ(container.named_sections().size(), 1u);
  const Tensor one = Tensor::from<uint8_t>({1}, {1});
  EXPECT_NO_THROW(lbq_bytes(small_model(), {true, {{std::string(32, 'n'), one}}}));
  EXPECT_THROW(lbq_bytes(small_model(), {true, {{std::string(33, 'n'), one}}}), Error);
}

}  // namespace
}  // namespace lowbit
