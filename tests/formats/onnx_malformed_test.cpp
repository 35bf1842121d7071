// Hostile and damaged ONNX files: each is refused with one of our errors or is sound, never anything else.
#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <ctime>
#include <filesystem>
#include <functional>
#include <limits>

#include "lowbit/base/random.h"
#include "lowbit/formats/format.h"
#include "lowbit/formats/onnx/graph_reader.h"
#include "lowbit/formats/onnx/onnx.h"

namespace lowbit {
namespace {

Bytes as_bytes(const std::string& text) { return std::as_bytes(std::span(text.data(), text.size())); }

void add_float_value(onnx::ValueInfoProto& info, const char* name) {
  info.set_name(name);
  info.mutable_type()->mutable_tensor_type()->set_elem_type(1);
}

/// y = Add(x, w), w float32[32] as raw data
onnx::ModelProto sound_model() {
  onnx::ModelProto model;
  model.set_ir_version(8);
  model.add_opset_import()->set_version(17);
  auto& graph = *model.mutable_graph();
  graph.set_name("g");
  add_float_value(*graph.add_input(), "x");
  add_float_value(*graph.add_output(), "y");
  auto& w = *graph.add_initializer();
  w.set_name("w");
  w.set_data_type(1);
  w.add_dims(32);
  w.set_raw_data(std::string(128, '\0'));
  auto& node = *graph.add_node();
  node.set_op_type("Add");
  node.set_name("add");
  node.add_input("x");
  node.add_input("w");
  node.add_output("y");
  return model;
}

/// The message of the refusal; empty if it loads (then it must be valid). Anything but lowbit::Error fails the test.
std::string refusal(const std::string& file, const std::string& folder = "") {
  try {
    const Model model = onnx_format::read(as_bytes(file), {"m.onnx", folder, nullptr, false});
    onnx_format::validate(model.graph);
  } catch (const Error& error) {
    EXPECT_TRUE(error.code() == ErrorCode::bad_file || error.code() == ErrorCode::unsupported) << error.what();
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return error.what();
  }
  return "";
}

std::string refusal(const onnx::ModelProto& model, const std::string& folder = "") {
  return refusal(model.SerializeAsString(), folder);
}

struct Case {
  const char* name;
  std::function<void(onnx::ModelProto&)> damage;
};

onnx::TensorProto& weight(onnx::ModelProto& m) { return *m.mutable_graph()->mutable_initializer(0); }
onnx::NodeProto& add_node(onnx::ModelProto& m) { return *m.mutable_graph()->mutable_node(0); }

const std::vector<Case>& cases() {
  using M = onnx::ModelProto;
  static const std::vector<Case> kCases = {
      {"no graph", [](M& m) { m.clear_graph(); }},
      {"no ir_version", [](M& m) { m.clear_ir_version(); }},
      {"no opset", [](M& m) { m.clear_opset_import(); }},
      {"opset 0", [](M& m) { m.mutable_opset_import(0)->set_version(0); }},
      {"opset 1000", [](M& m) { m.mutable_opset_import(0)->set_version(1000); }},
      {"two opsets", [](M& m) { m.add_opset_import()->set_version(18); }},
      {"no outputs", [](M& m) { m.mutable_graph()->clear_output(); }},
      {"unmade output", [](M& m) { m.mutable_graph()->mutable_output(0)->set_name("z"); }},
      {"undefined input", [](M& m) { add_node(m).set_input(0, "nowhere"); }},
      {"cycle", [](M& m) { add_node(m).set_input(0, "y"); }},
      {"no operator", [](M& m) { add_node(m).clear_op_type(); }},
      {"duplicate output", [](M& m) { add_node(m).add_output("y"); }},
      {"output named as input", [](M& m) { add_node(m).add_output("x"); }},
      {"duplicate initializer", [](M& m) { *m.mutable_graph()->add_initializer() = weight(m); }},
      {"duplicate input", [](M& m) { add_float_value(*m.mutable_graph()->add_input(), "x"); }},
      {"nameless initializer", [](M& m) { weight(m).clear_name(); }},
      {"raw data short", [](M& m) { weight(m).set_raw_data(std::string(127, '\0')); }},
      {"raw data long", [](M& m) { weight(m).set_raw_data(std::string(129, '\0')); }},
      {"negative dim", [](M& m) { weight(m).set_dims(0, -32); }},
      {"wrapping dims", [](M& m) { weight(m).set_dims(0, int64_t{1} << 62), weight(m).add_dims(4); }},
      {"huge dim", [](M& m) { weight(m).set_dims(0, int64_t{1} << 40); }},
      {"many dims",
       [](M& m) {
         for (int i = 0; i < 100000; ++i) weight(m).add_dims(1);
       }},
      {"unknown type", [](M& m) { weight(m).set_data_type(99); }},
      {"complex type", [](M& m) { weight(m).set_data_type(14); }},
      {"strings as raw data", [](M& m) { weight(m).set_data_type(8); }},
      {"data in two places", [](M& m) { weight(m).add_float_data(1); }},
      {"wrong data field",
       [](M& m) {
         weight(m).clear_raw_data();
         for (int i = 0; i < 32; ++i) weight(m).add_int64_data(1);
       }},
      {"data field short", [](M& m) { weight(m).clear_raw_data(), weight(m).add_float_data(1); }},
      {"no data", [](M& m) { weight(m).clear_raw_data(); }},
      {"segment", [](M& m) { weight(m).mutable_segment()->set_end(3); }},
      {"input of another type",
       [](M& m) {
         m.mutable_graph()->mutable_input(0)->set_name("w");
         m.mutable_graph()->mutable_input(0)->mutable_type()->mutable_tensor_type()->set_elem_type(7);
         add_node(m).set_input(0, "w");
       }},
      {"dim -2",
       [](M& m) {
         m.mutable_graph()
             ->mutable_input(0)
             ->mutable_type()
             ->mutable_tensor_type()
             ->mutable_shape()
             ->add_dim()
             ->set_dim_value(-2);
       }},
      {"attribute twice",
       [](M& m) {
         for (int i = 0; i < 2; ++i) {
           auto& a = *add_node(m).add_attribute();
           a.set_name("a");
           a.set_i(1);
         }
       }},
      {"attribute without value", [](M& m) { add_node(m).add_attribute()->set_name("a"); }},
      {"attribute reference",
       [](M& m) {
         auto& a = *add_node(m).add_attribute();
         a.set_name("a");
         a.set_ref_attr_name("b");
       }},
      {"NaN weight",
       [](M& m) {
         const float nan = std::nanf("");
         weight(m).mutable_raw_data()->replace(20, 4, reinterpret_cast<const char*>(&nan), 4);
       }},
      {"sparse index out of range",
       [](M& m) {
         auto& s = *m.mutable_graph()->add_sparse_initializer();
         s.add_dims(10), s.mutable_values()->set_name("s"), s.mutable_values()->set_data_type(1),
             s.mutable_values()->add_dims(1), s.mutable_values()->add_float_data(1);
         s.mutable_indices()->set_data_type(7), s.mutable_indices()->add_dims(1),
             s.mutable_indices()->add_int64_data(10);
       }},
      {"sparse bomb",
       [](M& m) {
         auto& s = *m.mutable_graph()->add_sparse_initializer();
         s.add_dims(int64_t{1} << 35), s.mutable_values()->set_name("s"), s.mutable_values()->set_data_type(1),
             s.mutable_values()->add_dims(1), s.mutable_values()->add_float_data(1);
         s.mutable_indices()->set_data_type(7), s.mutable_indices()->add_dims(1),
             s.mutable_indices()->add_int64_data(10);
       }},
  };
  return kCases;
}

TEST(OnnxMalformed, TheSoundModelLoads) { EXPECT_EQ(refusal(sound_model()), ""); }

TEST(OnnxMalformed, EachDamageIsRefused) {
  for (const Case& c : cases()) {
    onnx::ModelProto model = sound_model();
    c.damage(model);
    EXPECT_NE(refusal(model), "") << c.name;
  }
}

TEST(OnnxMalformed, EveryTruncationIsRefusedOrSound) {
  const std::string file = sound_model().SerializeAsString();
  size_t loaded = 0;
  for (size_t length = 0; length < file.size(); ++length) loaded += refusal(file.substr(0, length)).empty();
  // Only the opset import follows the graph, so that no proper prefix is a model.
  EXPECT_EQ(loaded, 0u);
}

TEST(OnnxMalformed, BitFlipsAreRefusedOrSound) {
  const std::string file = sound_model().SerializeAsString();
  Random random(5);
  for (int i = 0; i < 2000; ++i) {
    std::string damaged = file;
    const auto bit = static_cast<size_t>(random.below(static_cast<int64_t>(file.size()) * 8));
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    refusal(damaged);
  }
}

TEST(OnnxMalformed, SmallConstantsMayBeInfinite) {
  onnx::ModelProto model = sound_model();
  weight(model).set_dims(0, 1);
  const float infinity = std::numeric_limits<float>::infinity();
  weight(model).set_raw_data(&infinity, 4);
  EXPECT_EQ(refusal(model), "");
}

TEST(OnnxMalformed, DeepNestingIsRefused) {
  onnx::ModelProto model = sound_model();
  onnx::GraphProto* graph = model.mutable_graph();
  for (int depth = 0; depth < 60; ++depth) {
    auto& attribute = *graph->add_node()->add_attribute();
    attribute.set_name("body");
    graph = attribute.mutable_g();
  }
  EXPECT_NE(refusal(model).find("nested"), std::string::npos);
  onnx::ModelProto types = sound_model();
  auto* type = types.mutable_graph()->mutable_input(0)->mutable_type();
  for (int depth = 0; depth < 2000; ++depth) type = type->mutable_sequence_type()->mutable_elem_type();
  EXPECT_NE(refusal(types), "");
}

onnx::ModelProto doubling_functions(int levels) {
  onnx::ModelProto model = sound_model();
  for (int level = 0; level < levels; ++level) {
    auto& function = *model.add_functions();
    function.set_name("f" + std::to_string(level));
    function.set_domain("d");
    function.add_input("a");
    function.add_output("c");
    for (int i = 0; i < 2; ++i) {
      auto& node = *function.add_node();
      const bool last = level + 1 == levels;
      node.set_op_type(last ? "Neg" : "f" + std::to_string(level + 1));
      if (!last) node.set_domain("d");
      node.add_input(i == 0 ? "a" : "b");
      node.add_output(i == 0 ? "b" : "c");
    }
  }
  add_node(model).set_op_type("f0");
  add_node(model).set_domain("d");
  add_node(model).mutable_input()->RemoveLast();
  return model;
}

TEST(OnnxMalformed, FunctionsAreInlinedAndBombsRefusedAtOnce) {
  const std::string file = doubling_functions(4).SerializeAsString();
  EXPECT_EQ(onnx_format::read(as_bytes(file), {}).graph.nodes.size(), 16u);
  const std::clock_t start = std::clock();  // processor time: a busy machine is no failure
  EXPECT_NE(refusal(doubling_functions(40)), "");
  EXPECT_NE(refusal(doubling_functions(30)), "");
  EXPECT_LT(std::clock() - start, 2 * CLOCKS_PER_SEC);
  onnx::ModelProto recursive = doubling_functions(2);
  recursive.mutable_functions(1)->mutable_node(0)->set_op_type("f0");
  recursive.mutable_functions(1)->mutable_node(0)->set_domain("d");
  EXPECT_NE(refusal(recursive), "");
}

TEST(OnnxMalformed, ALongChainIsReadQuicklyInAnyOrder) {
  constexpr int kNodes = 100000;
  onnx::ModelProto model = sound_model();
  auto& graph = *model.mutable_graph();
  graph.clear_node();
  for (int i = kNodes; i-- > 0;) {
    auto& node = *graph.add_node();
    node.set_op_type("Neg");
    node.add_input(i == 0 ? "x" : "v" + std::to_string(i));
    node.add_output(i + 1 == kNodes ? "y" : "v" + std::to_string(i + 1));
  }
  const std::clock_t start = std::clock();  // processor time: a busy machine is no failure
  EXPECT_EQ(refusal(model), "");
  EXPECT_LT(std::clock() - start, 20 * CLOCKS_PER_SEC);
}

class ExternalData : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "lowbit_external_" + std::to_string(getpid());
    std::filesystem::create_directories(folder_ + "/model");
    write_file(folder_ + "/secret", std::string(128, '\0'));
    write_file(folder_ + "/model/data", std::string(128, '\0'));
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string refusal_of(const std::vector<std::pair<std::string, std::string>>& entries) {
    onnx::ModelProto model = sound_model();
    weight(model).clear_raw_data();
    weight(model).set_data_location(onnx::TensorProto::EXTERNAL);
    for (const auto& [key, value] : entries) {
      auto& entry = *weight(model).add_external_data();
      entry.set_key(key);
      entry.set_value(value);
    }
    return refusal(model, folder_ + "/model");
  }
  std::string folder_;
};

TEST_F(ExternalData, IsReadOnlyBesideTheModel) {
  EXPECT_EQ(refusal_of({{"location", "data"}}), "");
  EXPECT_EQ(refusal_of({{"location", "data"}, {"offset", "0"}, {"length", "128"}}), "");
  EXPECT_EQ(symlink("../secret", (folder_ + "/model/link").c_str()), 0);
  EXPECT_EQ(mkfifo((folder_ + "/model/pipe").c_str(), 0600), 0);
  for (const std::string& location :
       {std::string("../secret"), folder_ + "/secret", std::string("data\0x", 6), std::string("link"),
        std::string("pipe"), std::string(""), std::string("."), std::string("none"), std::string("sub/../../secret")})
    EXPECT_NE(refusal_of({{"location", location}}), "") << location;
  for (const char* offset : {"1", "128", "-1", "9223372036854775807", "1e3", "18446744073709551616"})
    EXPECT_NE(refusal_of({{"location", "data"}, {"offset", offset}}), "") << offset;
  EXPECT_NE(refusal_of({{"location", "data"}, {"length", "64"}}), "");
  EXPECT_NE(refusal_of({{"location", "data"}, {"owner", "me"}}), "");
}

}  // namespace
}  // namespace lowbit
