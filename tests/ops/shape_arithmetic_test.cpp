// Shapes computed in the graph itself: Shape -> Gather -> Concat -> Reshape and the like, with a symbolic batch.
#include <gtest/gtest.h>

#include "lowbit/ops/infer_shapes.h"
#include "tests/ops/single_op.h"

namespace lowbit {
namespace {

class ShapeArithmetic : public ::testing::Test {
 protected:
  ValueId add(const std::string& op, std::vector<ValueId> inputs, Attributes attributes = {}) {
    Node node;
    node.op = op;
    node.name = graph.fresh_node_name(op);
    node.inputs = std::move(inputs);
    node.outputs = {graph.add_value(node.name)};
    node.attributes = std::move(attributes);
    graph.nodes.push_back(node);
    return node.outputs[0];
  }
  ValueId constant(const Tensor& tensor) { return graph.add_constant("c", tensor); }
  ValueId input(Shape shape) {
    const ValueId id = graph.add_value("x", DType::float32, std::move(shape));
    graph.inputs.push_back(id);
    return id;
  }
  std::string shape_after_inference(ValueId id) {
    graph.outputs = {id};
    infer_shapes(graph);
    return graph.value(id).shape ? shape_text(*graph.value(id).shape) : "unknown";
  }
  Graph graph;
};

TEST_F(ShapeArithmetic, FlattenByShapeGatherConcatReshapeKeepsTheBatchSymbol) {
  const ValueId x = input({Dim("N"), 3, 4, 5});
  const ValueId batch = add("Gather", {add("Shape", {x}), constant(Tensor::scalar<int64_t>(0))});
  const ValueId target =
      add("Concat", {add("Unsqueeze", {batch, constant(ints({0}))}), constant(ints({-1}))}, {{"axis", int64_t{0}}});
  EXPECT_EQ(shape_after_inference(add("Reshape", {x, target})), "Nx60");
}

TEST_F(ShapeArithmetic, HeadsOfAttentionSplitAndMergeWithTwoSymbols) {
  const ValueId x = input({Dim("N"), Dim("S"), 768});
  const ValueId split = add("Reshape", {x, constant(ints({0, 0, 12, 64}))});
  const ValueId swapped = add("Transpose", {split}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}});
  const ValueId back = add("Transpose", {swapped}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}});
  const ValueId shape = add("Shape", {back});
  const ValueId front = add("Slice", {shape, constant(ints({0})), constant(ints({2}))});
  const ValueId target = add("Concat", {front, constant(ints({-1}))}, {{"axis", int64_t{0}}});
  EXPECT_EQ(shape_after_inference(add("Reshape", {back, target})), "NxSx768");
  EXPECT_EQ(shape_text(*graph.value(swapped).shape), "Nx12xSx64");
}

TEST_F(ShapeArithmetic, ArithmeticOnKnownDimensionsIsExact) {
  const ValueId x = input({2, 6, 8});
  const ValueId shape = add("Cast", {add("Shape", {x})}, {{"to", int64_t{7}}});
  const ValueId doubled = add("Mul", {shape, constant(ints({1, 2, 3}))});
  const ValueId halved = add("Div", {doubled, constant(ints({1, 4, 1}))});
  EXPECT_EQ(shape_after_inference(add("ConstantOfShape", {halved})), "2x3x24");
}

TEST_F(ShapeArithmetic, ProductOfTheRestKeepsItsNumber) {
  const ValueId x = input({Dim("N"), 3, 4});
  const ValueId rest = add("Shape", {x}, {{"start", int64_t{1}}});
  const ValueId product = add("ReduceProd", {rest}, {{"keepdims", int64_t{1}}});
  const ValueId target = add("Concat", {constant(ints({-1})), product}, {{"axis", int64_t{0}}});
  EXPECT_EQ(shape_after_inference(add("Reshape", {x, target})), "Nx12");
}

TEST_F(ShapeArithmetic, ExpandToAShapeWithASymbol) {
  const ValueId x = input({Dim("N"), 7});
  const ValueId token = constant(Tensor::from<float>({1, 1}, {1.0f}));
  EXPECT_EQ(shape_after_inference(add("Expand", {token, add("Shape", {x})})), "Nx7");
}

TEST_F(ShapeArithmetic, ConcatAddsWhatIsKnownAndPadKeepsSymbols) {
  const ValueId x = input({Dim("N"), 3, 8});
  const ValueId joined = add("Concat", {x, x}, {{"axis", int64_t{1}}});
  EXPECT_EQ(shape_after_inference(add("Pad", {joined, constant(ints({0, 0, 1, 0, 0, 2}))})), "Nx6x11");
}

TEST_F(ShapeArithmetic, SlicingToTheEndKeepsASymbolAndCuttingItDoesNot) {
  const ValueId x = input({Dim("N"), Dim("S"), 8});
  const ValueId whole =
      add("Slice", {x, constant(ints({0, 1})), constant(ints({INT64_MAX, INT64_MAX})), constant(ints({1, 2}))});
  EXPECT_EQ(shape_after_inference(whole), "NxSx7");
  const ValueId cut = add("Slice", {x, constant(ints({1})), constant(ints({INT64_MAX})), constant(ints({0}))});
  EXPECT_EQ(shape_after_inference(cut), "?xSx8");
}

TEST_F(ShapeArithmetic, RangeOverASymbolHasItsLength) {
  const ValueId x = input({Dim("N"), 8});
  const ValueId n = add("Gather", {add("Shape", {x}), constant(Tensor::scalar<int64_t>(0))});
  const ValueId zero = constant(Tensor::scalar<int64_t>(0)), one = constant(Tensor::scalar<int64_t>(1));
  EXPECT_EQ(shape_after_inference(add("Range", {zero, n, one})), "N");
}

TEST_F(ShapeArithmetic, ContradictionsNameTheNode) {
  const ValueId x = input({2, 3});
  try {
    shape_after_inference(add("Reshape", {x, constant(ints({4, 2}))}));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_file);
    EXPECT_NE(std::string(error.what()).find("Reshape"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace lowbit
