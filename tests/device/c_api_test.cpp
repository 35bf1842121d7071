// The C interface over containers: results, and what every misuse gives.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <set>

#include "lowbit/device/container_model.h"
#include "lowbit/device/device_steps.h"
#include "lowbit/formats/lbq/lbq.h"
#include "lowbit/runtime/executor.h"
#include "lowbit/runtime/lookup.h"
#include "lowbit/runtime/lowbit_runtime.h"
#include "lowbit/runtime/reference_steps.h"
#include "tests/support/graph_builder.h"

namespace lowbit {
namespace {

using testing::GraphBuilder;
using testing::random_tensor;

Model small_model() {
  GraphBuilder g;
  const ValueId x = g.input("x", {Dim("N"), Dim(3), Dim(8), Dim(8)});
  g.annotate(x, "uint8", 1.0f / 255, 0);
  const ValueId w = g.constant("w", random_tensor({5, 3, 3, 3}, 2)), b = g.constant("b", random_tensor({5}, 3));
  g.annotate_weight(w, "int8", 0);
  const ValueId y = g.node("Conv", "conv", {x, w, b}, {{"pads", std::vector<int64_t>{1, 1, 1, 1}}});
  g.annotate(y, "uint8", 0.02f, 100);
  const ValueId s = g.node("Sigmoid", "sigmoid", {y});
  g.annotate(s, "uint8", 1.0f / 255, 0);
  const ValueId p = g.node("GlobalAveragePool", "pool", {s});
  g.annotate(p, "uint8", 1.0f / 255, 0);
  g.output(p);
  Model model;
  model.graph = g.graph;
  return model;
}

std::string bytes_of(const Model& model) {
  StringSink sink;
  lbq::write_model(model, sink);
  return sink.text;
}

/// Model and session of a container in memory, freed at the end.
struct Opened {
  explicit Opened(const std::string& container, size_t skip = 0) : bytes(container) {
    EXPECT_EQ(lowbit_model_from_memory(bytes.data() + skip, bytes.size() - skip, &model), LOWBIT_OK)
        << lowbit_last_error();
    EXPECT_EQ(lowbit_session_create(model, nullptr, &session), LOWBIT_OK) << lowbit_last_error();
  }
  ~Opened() {
    lowbit_session_free(session);
    lowbit_model_free(model);
  }
  std::string bytes;
  lowbit_model* model = nullptr;
  lowbit_session* session = nullptr;
};

/// Runs the session on seeded inputs of its own shapes.
std::vector<float> answer(lowbit_session* session) {
  lowbit_port in_port, out_port;
  EXPECT_EQ(lowbit_session_input(session, 0, &in_port), LOWBIT_OK);
  EXPECT_EQ(lowbit_session_output(session, 0, &out_port), LOWBIT_OK);
  const Tensor x = random_tensor(Dims(in_port.dims, in_port.dims + in_port.rank), 4, 0, 1);
  std::vector<float> y(out_port.bytes / sizeof(float));
  const void* in = x.raw().data();
  void* out = y.data();
  EXPECT_EQ(lowbit_session_run(session, &in, &in_port.bytes, &out, &out_port.bytes), LOWBIT_OK) << lowbit_last_error();
  return y;
}

TEST(CInterface, GivesTheBitsOfTheExecutor) {
  const Model model = small_model();
  Opened opened(bytes_of(model));
  const Tensor x = random_tensor({1, 3, 8, 8}, 4, 0, 1);
  ThreadPool one(1);
  const Tensor expected = Executor(model.graph, one).run_ordered({{"x", x}})[0];
  std::vector<float> y(5);
  const void* in = x.raw().data();
  void* out = y.data();
  const size_t in_bytes = x.byte_size(), out_bytes = y.size() * sizeof(float);
  ASSERT_EQ(lowbit_session_run(opened.session, &in, &in_bytes, &out, &out_bytes), LOWBIT_OK) << lowbit_last_error();
  EXPECT_TRUE(identical(Tensor::from<float>({1, 5, 1, 1}, y), expected));
}

TEST(CInterface, DescribesInputsAndOutputsAndTakesOtherShapes) {
  Opened opened(bytes_of(small_model()));
  ASSERT_EQ(lowbit_session_inputs(opened.session), 1u);
  lowbit_port port;
  ASSERT_EQ(lowbit_session_input(opened.session, 0, &port), LOWBIT_OK);
  EXPECT_STREQ(port.name, "x");
  EXPECT_EQ(port.type, LOWBIT_FLOAT32);
  EXPECT_EQ(port.rank, 4u);
  EXPECT_EQ(port.bytes, 3u * 8 * 8 * 4);
  const int64_t dims[] = {4, 3, 8, 8};
  const int64_t* shapes[] = {dims};
  const size_t ranks[] = {4};
  ASSERT_EQ(lowbit_session_set_shapes(opened.session, shapes, ranks, 1), LOWBIT_OK) << lowbit_last_error();
  ASSERT_EQ(lowbit_session_output(opened.session, 0, &port), LOWBIT_OK);
  EXPECT_EQ(port.dims[0], 4);
  EXPECT_GT(lowbit_session_memory(opened.session), 0u);
}

TEST(CInterface, AnswersMisuseWithAStatusAndALine) {
  Opened opened(bytes_of(small_model()));
  std::vector<float> x(192), y(5);
  const void* in = x.data();
  void* out = y.data();
  size_t in_bytes = 768, out_bytes = 20;
  EXPECT_EQ(lowbit_session_run(nullptr, &in, &in_bytes, &out, &out_bytes), LOWBIT_BAD_ARGUMENT);
  EXPECT_EQ(lowbit_session_run(opened.session, nullptr, &in_bytes, &out, &out_bytes), LOWBIT_BAD_ARGUMENT);
  in_bytes = 764;
  EXPECT_EQ(lowbit_session_run(opened.session, &in, &in_bytes, &out, &out_bytes), LOWBIT_BAD_ARGUMENT);
  EXPECT_NE(std::strstr(lowbit_last_error(), "768"), nullptr) << lowbit_last_error();
  in_bytes = 768;
  const void* odd = reinterpret_cast<const char*>(x.data()) + 1;
  EXPECT_EQ(lowbit_session_run(opened.session, &odd, &in_bytes, &out, &out_bytes), LOWBIT_BAD_ARGUMENT);
  const int64_t empty[] = {0, 3, 8, 8}, huge[] = {int64_t{1} << 60, 3, 8, 8};
  const size_t ranks[] = {4};
  for (const int64_t* dims : {empty, huge})
    EXPECT_NE(lowbit_session_set_shapes(opened.session, &dims, ranks, 1), LOWBIT_OK);
  EXPECT_EQ(lowbit_session_run(opened.session, &in, &in_bytes, &out, &out_bytes), LOWBIT_OK) << lowbit_last_error();
  lowbit_session* session = nullptr;
  for (const int threads : {0, -3, 10000}) {
    const lowbit_session_options options{threads, nullptr, nullptr};
    EXPECT_EQ(lowbit_session_create(opened.model, &options, &session), LOWBIT_BAD_ARGUMENT) << threads;
    EXPECT_EQ(session, nullptr);
  }
  lowbit_port port;
  EXPECT_EQ(lowbit_session_input(opened.session, 1, &port), LOWBIT_BAD_ARGUMENT);
  lowbit_model* model = nullptr;
  EXPECT_EQ(lowbit_model_open("/no/such/file.lbq", &model), LOWBIT_BAD_FILE);
  EXPECT_EQ(lowbit_model_from_memory("rubbish", 7, &model), LOWBIT_BAD_FILE);
  lowbit_model_free(nullptr);
  lowbit_session_free(nullptr);
}

TEST(CInterface, RefusesDamagedContainers) {
  const std::string good = bytes_of(small_model());
  for (size_t at = 0; at < good.size(); at += 37) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    lowbit_model* model = nullptr;
    const lowbit_status status = lowbit_model_from_memory(bad.data(), bad.size(), &model);
    if (status == LOWBIT_OK) lowbit_model_free(model);  // padding that nothing reads
    EXPECT_TRUE(status == LOWBIT_OK || status == LOWBIT_BAD_FILE || status == LOWBIT_UNSUPPORTED)
        << at << ": " << lowbit_last_error();
  }
}

TEST(CInterface, TakesContainersAtAnyAddress) {
  const Model model = small_model();
  const std::string bytes = bytes_of(model);
  Opened aligned(bytes);
  std::vector<float> wanted = answer(aligned.session);
  for (size_t shift = 0; shift < 64; shift += 7) {
    Opened moved(std::string(shift, ' ') + bytes, shift);
    EXPECT_EQ(answer(moved.session), wanted);
  }
}

TEST(CInterface, NamesTheOperatorThatItDoesNotRun) {
  GraphBuilder g;
  const ValueId x = g.input("x", to_shape({2, 3}));
  g.output(g.node("Det", "strange", {x}));
  Model model;
  model.graph = g.graph;
  const std::string bytes = bytes_of(model);
  lowbit_model* loaded = nullptr;
  lowbit_session* session = nullptr;
  ASSERT_EQ(lowbit_model_from_memory(bytes.data(), bytes.size(), &loaded), LOWBIT_OK);
  EXPECT_EQ(lowbit_session_create(loaded, nullptr, &session), LOWBIT_UNSUPPORTED);
  EXPECT_NE(std::strstr(lowbit_last_error(), "Det 'strange'"), nullptr) << lowbit_last_error();
  lowbit_model_free(loaded);
}

TEST(CInterface, SpreadsWorkOverTheCallersPool) {
  Opened opened(bytes_of(small_model()));
  int calls = 0;
  const lowbit_session_options options{2,
                                       [](void* pool, void (*task)(void*, size_t), void* argument, size_t n) {
                                         ++*static_cast<int*>(pool);
                                         for (size_t i = n; i-- > 0;) task(argument, i);
                                       },
                                       &calls};
  lowbit_session* session = nullptr;
  ASSERT_EQ(lowbit_session_create(opened.model, &options, &session), LOWBIT_OK) << lowbit_last_error();
  const int64_t dims[] = {64, 3, 8, 8};
  const int64_t* shapes[] = {dims};
  const size_t ranks[] = {4};
  ASSERT_EQ(lowbit_session_set_shapes(session, shapes, ranks, 1), LOWBIT_OK);
  std::vector<float> x(64 * 192), y(64 * 5);
  const void* in = x.data();
  void* out = y.data();
  const size_t in_bytes = x.size() * 4, out_bytes = y.size() * 4;
  EXPECT_EQ(lowbit_session_run(session, &in, &in_bytes, &out, &out_bytes), LOWBIT_OK) << lowbit_last_error();
  EXPECT_GT(calls, 0);
  lowbit_session_free(session);
}

/// A container with packed weights; `change` may spoil the section first (its checksum is right all the same).
std::string prepacked(const Model& model, const std::function<void(std::string& section)>& change = {}) {
  lbq::SaveOptions options;
  options.sections = prepacked_sections(model.graph);
  if (change) {
    const Tensor& made = options.sections[0].bytes;
    std::string text(reinterpret_cast<const char*>(made.raw().data()), made.byte_size());
    change(text);
    const auto* data = reinterpret_cast<const uint8_t*>(text.data());
    options.sections[0].bytes = Tensor::from({static_cast<int64_t>(text.size())}, std::span(data, text.size()));
  }
  StringSink sink;
  lbq::write_model(model, sink, options);
  return sink.text;
}

TEST(PackedSection, ReplacesTheWeightsForTheDefaultShapesOnly) {
  const Model model = small_model();
  const std::string bytes = prepacked(model);
  Opened plain(bytes_of(model)), packed(bytes);
  const std::shared_ptr<const void> owner(bytes.data(), [](const void*) {});
  const auto loaded = compile_container(std::as_bytes(std::span(bytes)), owner, device_steps());
  const ValueId w = *loaded->graph().find_value("w");
  EXPECT_EQ(loaded->graph().constant(w)->dims(), (Dims{5, 3, 3, 3}));
  EXPECT_EQ(loaded->weights()->sources(), std::set<std::string>{"w"});
  const Tensor codes = loaded->graph().constant(w)->cast(DType::float32);
  for (const float code : codes.values<float>()) EXPECT_EQ(code, 0);  // nobody read them
  EXPECT_EQ(answer(packed.session), answer(plain.session));
  const int64_t dims[] = {3, 3, 8, 8};
  const int64_t* shapes[] = {dims};
  const size_t ranks[] = {4};
  for (lowbit_session* session : {packed.session, plain.session})
    ASSERT_EQ(lowbit_session_set_shapes(session, shapes, ranks, 1), LOWBIT_OK) << lowbit_last_error();
  EXPECT_EQ(answer(packed.session), answer(plain.session));
}

TEST(PackedSection, OfOtherVersionsOrInstructionSetsIsIgnored) {
  const Model model = small_model();
  Opened plain(bytes_of(model)), other(prepacked(model, [](std::string&section) { section[4] = 77; }));
  EXPECT_EQ(answer(other.session), answer(plain.session));
}

TEST(PackedSection, ThatLacksAnEntryIsCompletedFromTheWeights) {
  const Model model = small_model();
  // "conv/..." becomes another key, which nobody asks for.
  Opened plain(bytes_of(model)),
      other(prepacked(model, [](std::string&section) { section[section.find("conv/")] = 'k'; }));
  EXPECT_EQ(answer(other.session), answer(plain.session));
}

TEST(PackedSection, WithImpossibleNumbersIsRefused) {
  const Model model = small_model();
  const size_t head = 400;
  for (size_t at = 8; at < head; ++at)
    for (const int flip : {0x01, 0x80}) {
      const std::string bytes =
          prepacked(model, [&](std::string& section) { section[at] = static_cast<char>(section[at] ^ flip); });
      lowbit_model* loaded = nullptr;
      lowbit_session* session = nullptr;
      const lowbit_status status = lowbit_model_from_memory(bytes.data(), bytes.size(), &loaded);
      ASSERT_TRUE(status == LOWBIT_OK || status == LOWBIT_BAD_FILE) << at << ": " << lowbit_last_error();
      if (status != LOWBIT_OK) continue;
      if (lowbit_session_create(loaded, nullptr, &session) == LOWBIT_OK) answer(session);
      lowbit_session_free(session);
      lowbit_model_free(loaded);
    }
}

TEST(DeviceTables, EqualTheToolkitsReferences) {
  for (const char* op : {"Relu", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid", "HardSwish", "Elu", "Gelu", "Softplus",
                         "Mish", "Abs", "Neg", "Clip"}) {
    GraphBuilder g;
    const ValueId x = g.input("x", to_shape({4}));
    const ValueId low = g.constant("low", Tensor::scalar(0.0f)), high = g.constant("high", Tensor::scalar(6.0f));
    g.annotate(x, "uint8", 0.05f, 128);
    const ValueId y = std::string(op) == "Clip" ? g.node(op, "f", {x, low, high}) : g.node(op, "f", {x});
    g.annotate(y, "uint8", 0.03f, 100);
    std::string why;
    const auto ours = device_steps().table(g.graph, g.graph.nodes[0], *g.graph.value(x).quantization,
                                           *g.graph.value(y).quantization, why);
    const auto theirs =
        lookup_table(g.graph, g.graph.nodes[0], *g.graph.value(x).quantization, *g.graph.value(y).quantization, why);
    ASSERT_TRUE(ours && theirs) << op << ": " << why;
    EXPECT_EQ(*ours, *theirs) << op;
  }
}

}  // namespace
}  // namespace lowbit
