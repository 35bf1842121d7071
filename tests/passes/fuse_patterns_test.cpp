#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "lowbit/passes/passes.h"
#include "tests/passes/same_results.h"

namespace lowbit {
namespace {

using namespace testing;

/// Writes formulas of one input as nodes.
class Formula {
 public:
  explicit Formula(const Dims& dims) : x(builder_.input("x", to_shape(dims))) {}

  ValueId number(double value) { return builder_.constant("number", Tensor::scalar(static_cast<float>(value))); }
  ValueId call(const std::string& op, std::vector<ValueId> inputs, Attributes attributes = {}) {
    return builder_.node(op, "node" + std::to_string(count_++), std::move(inputs), std::move(attributes));
  }
  ValueId constant(Tensor tensor) { return builder_.constant("constant", std::move(tensor)); }
  Graph graph_of(ValueId result) {
    builder_.output(result);
    return builder_.graph;
  }

 private:
  GraphBuilder builder_;
  int count_ = 0;

 public:
  const ValueId x;
};

/// What is left of a formula over [2, 3, 8] when `pass` has run.
Rewritten rewrite(int (*pass)(Graph&), const std::function<ValueId(Formula&)>& write) {
  Formula formula({2, 3, 8});
  return apply_and_compare(formula.graph_of(write(formula)), pass);
}

void expect_one_node(const Rewritten& after, const std::string& op) {
  EXPECT_EQ(after.changed, 1);
  ASSERT_EQ(after.graph.nodes.size(), 1u) << dump(after.graph);
  EXPECT_EQ(after.graph.nodes[0].op, op);
}

/// 1 + erf(x / sqrt 2)
ValueId one_plus_erf(Formula& f, bool divides) {
  const ValueId inner =
      divides ? f.call("Div", {f.x, f.number(std::sqrt(2.0))}) : f.call("Mul", {f.number(std::sqrt(0.5)), f.x});
  return f.call("Add", {f.call("Erf", {inner}), f.number(1)});
}

TEST(FuseGelu, KnowsThreeSpellings) {
  for (bool divides : {false, true}) {
    expect_one_node(rewrite(fuse_gelu,
                            [&](Formula& f) {  // (x * (1 + erf)) * 0.5
                              return f.call("Mul", {f.call("Mul", {f.x, one_plus_erf(f, divides)}), f.number(0.5)});
                            }),
                    "Gelu");
    expect_one_node(rewrite(fuse_gelu,
                            [&](Formula& f) {  // (x * 0.5) * (1 + erf)
                              return f.call("Mul", {f.call("Mul", {f.x, f.number(0.5)}), one_plus_erf(f, divides)});
                            }),
                    "Gelu");
    expect_one_node(rewrite(fuse_gelu,
                            [&](Formula& f) {  // x * (0.5 * (1 + erf))
                              return f.call("Mul", {f.x, f.call("Mul", {f.number(0.5), one_plus_erf(f, divides)})});
                            }),
                    "Gelu");
  }
}

TEST(FuseGelu, LeavesOtherFormulas) {
  const auto other = [](double half, double one) {
    return rewrite(fuse_gelu,
                   [&](Formula& f) {
                     const ValueId erf = f.call("Erf", {f.call("Div", {f.x, f.number(std::sqrt(2.0))})});
                     return f.call("Mul", {f.call("Mul", {f.x, f.number(half)}), f.call("Add", {erf, f.number(one)})});
                   })
        .changed;
  };
  EXPECT_EQ(other(0.5, 1), 1);
  EXPECT_EQ(other(0.51, 1), 0);
  EXPECT_EQ(other(0.5, 1.1), 0);
  // The two factors read different values.
  EXPECT_EQ(rewrite(fuse_gelu,
                    [](Formula& f) {
                      const ValueId relu = f.call("Relu", {f.x});
                      return f.call("Mul", {f.call("Mul", {relu, f.number(0.5)}), one_plus_erf(f, true)});
                    })
                .changed,
            0);
}

TEST(FuseGelu, AConstantThatAddsADimensionIsNoNumber) {
  EXPECT_EQ(rewrite(fuse_gelu,
                    [](Formula& f) {
                      const ValueId half = f.constant(Tensor::from<float>({1, 1, 1, 1}, {0.5f}));
                      return f.call("Mul", {f.call("Mul", {f.x, half}), one_plus_erf(f, true)});
                    })
                .changed,
            0);
}

/// clip(x + 3, 0, 6)
ValueId relu6(Formula& f) { return f.call("Clip", {f.call("Add", {f.x, f.number(3)}), f.number(0), f.number(6)}); }

TEST(FuseHardSwish, KnowsThreeSpellings) {
  expect_one_node(
      rewrite(fuse_hard_swish,
              [](Formula& f) {  // x * HardSigmoid(x)
                return f.call("Mul", {f.x, f.call("HardSigmoid", {f.x}, {{"alpha", 1.f / 6}, {"beta", 0.5f}})});
              }),
      "HardSwish");
  for (bool divides : {false, true}) {
    const auto sixth = [&](Formula& f, ValueId y) {
      return divides ? f.call("Div", {y, f.number(6)}) : f.call("Mul", {y, f.number(1.0 / 6)});
    };
    expect_one_node(rewrite(fuse_hard_swish,
                            [&](Formula& f) {
                              return f.call("Mul", {f.x, sixth(f, relu6(f))});
                            }),
                    "HardSwish");
    expect_one_node(rewrite(fuse_hard_swish,
                            [&](Formula& f) {
                              return sixth(f, f.call("Mul", {relu6(f), f.x}));
                            }),
                    "HardSwish");
  }
}

TEST(FuseHardSwish, LeavesOtherFormulas) {
  EXPECT_EQ(rewrite(fuse_hard_swish,
                    [](Formula& f) {  // alpha 0.2, the default
                      return f.call("Mul", {f.x, f.call("HardSigmoid", {f.x})});
                    })
                .changed,
            0);
  EXPECT_EQ(rewrite(fuse_hard_swish,
                    [](Formula& f) {
                      return f.call("Div", {f.number(6), f.call("Mul", {f.x, relu6(f)})});
                    })
                .changed,
            0);
}

/// Layer normalization in primitive operators over `axes`.
ValueId layer_norm(Formula& f, bool with_pow, int64_t axis, Dims scale_dims) {
  const ValueId axes = f.constant(Tensor::from<int64_t>({1}, {axis}));
  const ValueId centred = f.call("Sub", {f.x, f.call("ReduceMean", {f.x, axes})});
  const ValueId square = with_pow ? f.call("Pow", {centred, f.number(2)}) : f.call("Mul", {centred, centred});
  const ValueId variance = f.call("ReduceMean", {square, axes});
  const ValueId root = f.call("Sqrt", {f.call("Add", {variance, f.number(1e-3)})});
  const ValueId scaled = f.call("Mul", {f.call("Div", {centred, root}), f.constant(random_tensor(scale_dims, 7))});
  return f.call("Add", {scaled, f.constant(random_tensor(scale_dims, 8))});
}

TEST(FuseLayerNorm, KnowsBothSpellingsOfTheSquare) {
  for (bool with_pow : {false, true})
    for (int64_t axis : {-1, 2}) {
      const Rewritten after = rewrite(fuse_layer_norm, [&](Formula& f) { return layer_norm(f, with_pow, axis, {8}); });
      expect_one_node(after, "LayerNormalization");
      EXPECT_FLOAT_EQ(after.graph.nodes[0].attr_float("epsilon", 0), 1e-3f);
    }
}

TEST(FuseLayerNorm, LeavesOtherAxesAndBroadcasts) {
  EXPECT_EQ(rewrite(fuse_layer_norm, [](Formula& f) { return layer_norm(f, true, 1, {8}); }).changed, 0);
  EXPECT_EQ(rewrite(fuse_layer_norm, [](Formula& f) { return layer_norm(f, true, -1, {1, 3, 8}); }).changed, 0);
}

}  // namespace
}  // namespace lowbit
