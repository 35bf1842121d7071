// Nodes of older opsets compute what they meant then. Expected values by hand.
#include <gtest/gtest.h>
#include <onnx/onnx_pb.h>

#include <utility>

#include "lowbit/formats/onnx/graph_reader.h"
#include "lowbit/formats/onnx/onnx.h"
#include "lowbit/formats/onnx/upgrade.h"
#include "lowbit/ops/evaluate.h"

namespace lowbit {
namespace {

struct OldNode {
  explicit OldNode(const char* op, int64_t opset) {
    model.set_ir_version(8);
    model.add_opset_import()->set_version(opset);
    node = model.mutable_graph()->add_node();
    node->set_op_type(op);
    node->add_input("x");
    node->add_output("y");
    auto& x = *model.mutable_graph()->add_input();
    x.set_name("x");
    x.mutable_type()->mutable_tensor_type()->set_elem_type(1);
    model.mutable_graph()->add_output()->set_name("y");
  }
  OldNode& ints(const char* key, std::vector<int64_t> values) {
    auto& a = *node->add_attribute();
    a.set_name(key);
    a.set_type(onnx::AttributeProto::INTS);
    for (int64_t v : values) a.add_ints(v);
    return *this;
  }
  OldNode& integer(const char* key, int64_t value) {
    auto& a = *node->add_attribute();
    a.set_name(key);
    a.set_type(onnx::AttributeProto::INT);
    a.set_i(value);
    return *this;
  }
  OldNode& number(const char* key, float value) {
    auto& a = *node->add_attribute();
    a.set_name(key);
    a.set_type(onnx::AttributeProto::FLOAT);
    a.set_f(value);
    return *this;
  }
  OldNode& floats(const char* name, std::vector<int64_t> dims, std::vector<float> values) {
    auto& t = *model.mutable_graph()->add_initializer();
    t.set_name(name);
    t.set_data_type(1);
    for (int64_t d : dims) t.add_dims(d);
    for (float v : values) t.add_float_data(v);
    node->add_input(name);
    return *this;
  }
  OldNode& rank(int dims) {
    auto& shape = *model.mutable_graph()->mutable_input(0)->mutable_type()->mutable_tensor_type()->mutable_shape();
    for (int i = 0; i < dims; ++i) shape.add_dim();
    return *this;
  }
  Tensor run(Tensor x) const {
    const std::string bytes = model.SerializeAsString();
    const Model loaded = onnx_format::read(std::as_bytes(std::span(bytes)), {});
    onnx_format::validate(loaded.graph);
    ThreadPool threads(1);
    return Evaluator(loaded.graph, threads).run_ordered({{"x", std::move(x)}})[0];
  }
  onnx::ModelProto model;
  onnx::NodeProto* node;
};

Tensor floats(Dims dims, std::vector<float> values) { return Tensor::from<float>(std::move(dims), values); }

TEST(OnnxUpgrade, SoftmaxFlattenedAtItsAxis) {
  // Two rows of four equal numbers: a quarter each, where the last axis alone would give a half.
  const Tensor y = OldNode("Softmax", 11).integer("axis", 1).run(Tensor(DType::float32, {2, 2, 2}));
  EXPECT_TRUE(identical(y, floats({2, 2, 2}, std::vector<float>(8, 0.25f))));
  const Tensor last = OldNode("Softmax", 11).integer("axis", 2).run(Tensor(DType::float32, {2, 2, 2}));
  EXPECT_TRUE(identical(last, floats({2, 2, 2}, std::vector<float>(8, 0.5f))));
}

TEST(OnnxUpgrade, AttributesThatBecameInputs) {
  const Tensor x = floats({1, 3}, {-1, 0, 5});
  EXPECT_TRUE(identical(OldNode("Clip", 6).number("min", 0).number("max", 2).run(x), floats({1, 3}, {0, 0, 2})));
  EXPECT_TRUE(identical(OldNode("Squeeze", 11).ints("axes", {0}).run(x), floats({3}, {-1, 0, 5})));
  EXPECT_TRUE(identical(OldNode("Unsqueeze", 11).ints("axes", {0}).run(x), floats({1, 1, 3}, {-1, 0, 5})));
  EXPECT_TRUE(identical(OldNode("Slice", 9).ints("starts", {1}).ints("ends", {9}).ints("axes", {1}).run(x),
                        floats({1, 2}, {0, 5})));
  EXPECT_TRUE(identical(OldNode("Pad", 10).ints("pads", {0, 1, 0, 0}).number("value", 7).run(x),
                        floats({1, 4}, {7, -1, 0, 5})));
  EXPECT_TRUE(identical(OldNode("ReduceSum", 11).ints("axes", {1}).integer("keepdims", 0).run(x), floats({1}, {4})));
  EXPECT_TRUE(identical(OldNode("ReduceMax", 13).ints("axes", {1}).integer("keepdims", 0).run(x), floats({1}, {5})));
  OldNode top("TopK", 9);
  top.node->add_output("indices");
  EXPECT_TRUE(identical(top.integer("k", 1).integer("axis", 1).run(x), floats({1, 1}, {5})));
  EXPECT_TRUE(identical(OldNode("Dropout", 7).number("ratio", 0.9f).run(x), x));
  EXPECT_TRUE(identical(OldNode("Reshape", 1).ints("shape", {3, 1}).run(x), floats({3, 1}, {-1, 0, 5})));
}

TEST(OnnxUpgrade, ResizingBeforeOpset11) {
  const Tensor x = floats({1, 1, 1, 4}, {1, 2, 3, 4});
  EXPECT_TRUE(identical(OldNode("Upsample", 9).floats("s", {4}, {1, 1, 1, 2}).run(x),
                        floats({1, 1, 1, 8}, {1, 1, 2, 2, 3, 3, 4, 4})));
  // ONNX's own case of opset 10: 0.6 of four gives the first and the third.
  EXPECT_TRUE(identical(OldNode("Resize", 10).floats("s", {4}, {1, 1, 1, 0.6f}).run(x), floats({1, 1, 1, 2}, {1, 3})));
}

TEST(OnnxUpgrade, BroadcastingAlongAnAxis) {
  const Tensor x(DType::float32, {1, 2, 2});
  const Tensor y = OldNode("Add", 6).rank(3).integer("broadcast", 1).integer("axis", 1).floats("b", {2}, {1, 2}).run(x);
  EXPECT_TRUE(identical(y, floats({1, 2, 2}, {1, 1, 2, 2})));
}

TEST(OnnxUpgrade, GroupNormalizationPerGroup) {
  OldNode old("GroupNormalization", 18);
  old.integer("num_groups", 2).floats("s", {2}, {1, 10}).floats("b", {2}, {0, 100});
  const Tensor y = old.run(floats({1, 4, 1}, {-1, 1, -1, 1}));
  const std::vector<float> expected = {-1, 1, 90, 110};
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(y.data<float>()[i], expected[i], 1e-3f);
}

TEST(OnnxUpgrade, RowsAreOrderedByOperatorAndOpset) {
  const auto rows = onnx_format::upgrade_rows();
  for (size_t i = 1; i < rows.size(); ++i)
    EXPECT_LT(std::pair(rows[i - 1].op, rows[i - 1].below), std::pair(rows[i].op, rows[i].below));
}

}  // namespace
}  // namespace lowbit
