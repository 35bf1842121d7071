// Methods that change the float network before it is quantized: the function stays, the ranges get better.
#include <gtest/gtest.h>

#include "lowbit/methods/channel_links.h"
#include "tests/methods/method_runner.h"

namespace lowbit {
namespace {

using testing::apply_method;
using testing::GraphBuilder;
using testing::random_tensor;
using testing::squared_error;

const std::vector<int64_t> kPads = {1, 1, 1, 1};

/// Multiplies channel c of the first axis by factor^c ... of random powers of two up to 2^8, and undoes it behind.
std::vector<float> powers_of_two(int64_t channels, uint64_t seed) {
  Random random(seed);
  std::vector<float> powers;
  for (int64_t c = 0; c < channels; ++c) powers.push_back(std::ldexp(1.0f, static_cast<int>(random.below(9))));
  return powers;
}

Tensor scaled(Tensor x, int64_t axis, const std::vector<float>& factors, bool inverse) {
  int64_t inner = 1;
  for (int64_t d = axis + 1; d < x.rank(); ++d) inner *= x.dim(d);
  for (int64_t e = 0; e < x.count(); ++e) {
    const float f = factors[static_cast<size_t>(e / inner % x.dim(axis))];
    x.mutable_data<float>()[e] *= inverse ? 1 / f : f;
  }
  return x;
}

/// Conv, activation, depthwise Conv, activation, 1x1 Conv, mean, Gemm; ranges of the channels between the layers spread
/// by up to 2^8 if `spread`.
GraphBuilder depthwise_network(bool spread, bool clip = false) {
  GraphBuilder b;
  const std::vector<float> p = spread ? powers_of_two(8, 1) : std::vector<float>(8, 1.0f),
                           q = spread ? powers_of_two(8, 2) : std::vector<float>(8, 1.0f);
  const ValueId x = b.input("x", {8, 4, 6, 6});
  const auto activate = [&](ValueId v, const std::string& name) {
    if (!clip) return b.node("Relu", name, {v});
    return b.node("Clip", name,
                  {v, b.constant(name + "_low", Tensor::scalar(0.f)), b.constant(name + "_high", Tensor::scalar(6.f))});
  };
  const ValueId w1 = b.constant("w1", scaled(random_tensor({8, 4, 3, 3}, 3), 0, p, false)),
                b1 = b.constant("b1", scaled(random_tensor({8}, 4), 0, p, false)),
                w2 = b.constant("w2", scaled(scaled(random_tensor({8, 1, 3, 3}, 5), 0, p, true), 0, q, false)),
                b2 = b.constant("b2", scaled(random_tensor({8}, 6), 0, q, false)),
                w3 = b.constant("w3", scaled(random_tensor({6, 8, 1, 1}, 7), 1, q, true)),
                b3 = b.constant("b3", random_tensor({6}, 8)), w4 = b.constant("w4", random_tensor({6, 5}, 9));
  const ValueId h1 = activate(b.node("Conv", "c1", {x, w1, b1}, {{"pads", kPads}}), "r1");
  const ValueId h2 = activate(b.node("Conv", "c2", {h1, w2, b2}, {{"pads", kPads}, {"group", int64_t{8}}}), "r2");
  const ValueId h3 = activate(b.node("Conv", "c3", {h2, w3, b3}), "r3");
  b.output(b.node("Gemm", "head", {b.node("Flatten", "flat", {b.node("GlobalAveragePool", "mean", {h3})}), w4}));
  b.graph.value(h1).shape = b.graph.value(h2).shape = Shape{8, 8, 6, 6};
  b.graph.value(b.graph.nodes[b.graph.nodes.size() - 3].outputs[0]).shape = Shape{8, 6, 1, 1};
  return b;
}

const Tensor& data() {
  static const Tensor x = random_tensor({8, 4, 6, 6}, 11);
  return x;
}

/// Error of the network with weights of 8 bits, by one scale or by output channel, and activations of 8 bits by their
/// extremes.
double low_bit_error(const Graph& graph, bool by_channel) {
  Graph annotated = graph;
  for (Node& node : annotated.nodes)
    if (annotated.constant(node.input(1)) && (node.is("Conv") || node.is("Gemm"))) {
      Quantization q;
      q.format = parse_number_format("int8");
      if (by_channel) q.granularity = {Granularity::Kind::channel, node.is("Conv") ? 0 : 1, 1, 0};
      const Tensor& w = *annotated.constant(node.inputs[1]);
      q.params = fit_groups(q.format, q.granularity, w.dims(), w.data<float>(), {}, {});
      annotated.value(node.inputs[1]).quantization = q;
    }
  ThreadPool threads(1);
  EvaluateOptions options;
  options.on_value = [&](const Graph&, ValueId id, Tensor& x) {
    NumberFormat format = parse_number_format("uint8");
    format.asymmetric = true;
    const auto [low, high] = std::minmax_element(x.values<float>().begin(), x.values<float>().end());
    const bool before_activation = annotated.value(id).name.starts_with("c");
    if (!before_activation && !annotated.is_output(id))
      annotated.value(id).quantization =
          linear_quantization(format, linear_params(format, std::min(*low, 0.f), std::max(*high, 0.f)), "test");
  };
  Evaluator(graph, threads, options).run_ordered({{"x", data()}});
  return squared_error(testing::float_result(graph, data()), testing::low_bit_result(annotated, data()));
}

double per_tensor_error(const Graph& graph) { return low_bit_error(graph, false); }
double per_channel_error(const Graph& graph) { return low_bit_error(graph, true); }

double power_of(const Tensor& x) { return squared_error(x, Tensor(DType::float32, x.dims())); }

TEST(ChannelLinks, AreFoundThroughActivationsDepthwiseLayersPoolingAndFlatten) {
  const GraphBuilder b = depthwise_network(false);
  const auto links = find_channel_links(b.graph);
  ASSERT_EQ(links.size(), 3u);
  for (const ChannelLink& link : links) {
    EXPECT_EQ(link.readers.size(), 1u);
    EXPECT_TRUE(link.through_relu);
  }
}

TEST(ChannelLinks, AResidualSumIsNone) {
  GraphBuilder b;
  const ValueId x = b.input("x", {1, 4, 4, 4}), w = b.constant("w", random_tensor({4, 4, 1, 1}, 1));
  const ValueId v = b.constant("v", random_tensor({4, 4, 1, 1}, 2));
  const ValueId h = b.node("Conv", "c1", {x, w});
  b.output(b.node("Conv", "c2", {b.node("Add", "sum", {h, x}), v}));
  EXPECT_TRUE(find_channel_links(b.graph).empty());
}

TEST(FloatMethods, LeaveTheFunctionAsItIs) {
  for (const char* method : {"equalize", "smooth", "awq", "absorb-bias", "rotate", "fill-range"})
    for (bool clip : {false, true}) {
      GraphBuilder b = depthwise_network(true, clip);
      const Graph before = b.graph;
      apply_method(method, b.graph, before, {data()});
      const Tensor wanted = testing::float_result(before, data());
      EXPECT_LT(squared_error(wanted, testing::float_result(b.graph, data())), 1e-8 * power_of(wanted))
          << method << " " << clip;
    }
}

TEST(Equalize, RestoresANetworkWhoseChannelRangesWereSpread) {
  GraphBuilder b = depthwise_network(true);
  const double good = per_tensor_error(depthwise_network(false).graph), spread = per_tensor_error(b.graph);
  const Graph before = b.graph;
  apply_method("equalize", b.graph, before, {data()});
  EXPECT_GT(spread, 30 * good);
  EXPECT_LT(per_tensor_error(b.graph), 3 * good);
}

TEST(Equalize, NeedsNoDataUnlessThereIsAClip) {
  GraphBuilder b = depthwise_network(true, true);
  const Graph before = b.graph;
  const MethodCall call = parse_method("equalize");
  const Recipe recipe;
  ThreadPool threads(1);
  const MethodContext context{
      .recipe = recipe, .threads = threads, .float_graph = &before, .batches = {}, .progress = {}, .set = {}};
  call.method->apply(b.graph, context);
  EXPECT_TRUE(identical(*b.graph.constant(*b.graph.find_value("w1")), *before.constant(*before.find_value("w1"))));
}

TEST(Smooth, RestoresANetworkWhoseChannelRangesWereSpread) {
  GraphBuilder b = depthwise_network(true);
  const double spread = per_tensor_error(b.graph);
  const Graph before = b.graph;
  apply_method("smooth", b.graph, before, {data()});
  EXPECT_LT(per_tensor_error(b.graph), 0.2 * spread);
}

TEST(FillRange, GivesEveryChannelTheCodesOfItsTensor) {
  for (const bool clip : {false, true}) {
    GraphBuilder b = depthwise_network(!clip, clip);
    const double before_error = per_channel_error(b.graph),
                 good = per_channel_error(depthwise_network(false, clip).graph);
    const Graph before = b.graph;
    apply_method("fill-range", b.graph, before, {data()});
    EXPECT_LT(per_channel_error(b.graph), clip ? before_error : 0.1 * before_error) << clip;
    EXPECT_LT(per_channel_error(b.graph), 2 * good) << clip;
  }
}

TEST(FillRange, StopsWhereTheWeightsWouldLoseMoreThanTheActivationsGain) {
  // Hidden channel 1 hardly moves. Filled up, it would bring the rounding of its weight along: with weights of two bits
  // that is far more than its own rounding ever was.
  GraphBuilder b;
  const ValueId x = b.input("x", {64, 2});
  const ValueId w1 = b.constant("w1", Tensor::from<float>({2, 2}, {1, 0, 0, 0.001f})),
                w2 = b.constant("w2", Tensor::from<float>({2, 1}, {1, 1}));
  b.output(b.node("Gemm", "l2", {b.node("Relu", "r", {b.node("Gemm", "l1", {x, w1})}), w2}));
  const Graph before = b.graph;
  const auto growth = [&](const std::string& weights) {
    Graph graph = before;
    const MethodCall call = parse_method("fill-range");
    Recipe recipe;
    recipe.weights = weights;
    ThreadPool threads(1);
    const MethodContext context{.recipe = recipe,
                                .threads = threads,
                                .float_graph = &before,
                                .batches = testing::batches_of(before, {random_tensor({64, 2}, 3, 0, 1)}),
                                .progress = {},
                                .set = {}};
    call.method->apply(graph, context);
    return graph.constant(w1)->data<float>()[3] / 0.001f;
  };
  EXPECT_GT(growth("none"), 900);
  EXPECT_LT(growth("int2"), 0.1f * growth("none"));
  EXPECT_LT(growth("int2"), growth("int8"));
}

TEST(AbsorbBias, ShrinksTheRangeOfAnActivationThatIsAlwaysLarge) {
  GraphBuilder b;
  const ValueId x = b.input("x", {8, 4, 6, 6});
  const ValueId w1 = b.constant("w1", random_tensor({4, 4, 1, 1}, 1)),
                b1 = b.constant("b1", Tensor::from<float>({4}, {50, 20, 0, 9})),
                w2 = b.constant("w2", random_tensor({3, 4, 1, 1}, 2));
  const ValueId h = b.node("Relu", "r", {b.node("Conv", "c1", {x, w1, b1})});
  b.output(b.node("Conv", "c2", {h, w2}));
  const Graph before = b.graph;
  apply_method("absorb-bias", b.graph, before, {data()});
  EXPECT_LT(b.graph.constant(b.graph.nodes[0].inputs[2])->data<float>()[0], 10);
  const Tensor wanted = testing::float_result(before, data());
  EXPECT_LT(squared_error(wanted, testing::float_result(b.graph, data())), 1e-4 * power_of(wanted));
  EXPECT_LT(per_tensor_error(b.graph), 0.3 * per_tensor_error(before));
}

/// Two matrix layers with one hidden channel that carries most of the values, and int4 weights for the whole tensor.
TEST(Awq, ProtectsWeightsThatMeetLargeActivations) {
  GraphBuilder b;
  const ValueId x = b.input("x", {64, 8});
  Tensor first = random_tensor({8, 8}, 1);
  for (int64_t i = 0; i < 8; ++i) first.mutable_data<float>()[i] *= 30;  // row 0 of transB: hidden channel 0
  const ValueId w1 = b.constant("w1", first), w2 = b.constant("w2", random_tensor({6, 8}, 2));
  b.output(b.node("Gemm", "l2", {b.node("Relu", "r", {b.node("Gemm", "l1", {x, w1}, {{"transB", int64_t{1}}})}), w2},
                  {{"transB", int64_t{1}}}));
  const Tensor samples = random_tensor({64, 8}, 3);
  const auto error = [&](const Graph& graph) {
    Graph annotated = graph;
    const ValueId id = annotated.nodes[2].inputs[1];
    Quantization q;
    q.format = parse_number_format("int4");
    q.granularity = {Granularity::Kind::channel, 0, 1, 0};
    const Tensor& w = *annotated.constant(id);
    q.params = fit_groups(q.format, q.granularity, w.dims(), w.data<float>(), {}, {});
    annotated.value(id).quantization = q;
    return squared_error(testing::float_result(graph, samples), testing::low_bit_result(annotated, samples));
  };
  const Graph before = b.graph;
  const MethodCall call = parse_method("awq");
  Recipe recipe;
  recipe.weights = "int4";
  ThreadPool threads(1);
  const MethodContext context{.recipe = recipe,
                              .threads = threads,
                              .float_graph = &before,
                              .batches = testing::batches_of(before, {samples}),
                              .progress = {},
                              .set = {}};
  call.method->apply(b.graph, context);
  EXPECT_LT(error(b.graph), 0.5 * error(before));
}

TEST(Rotate, SpreadsAnOutlierChannelOfAResidualStream) {
  GraphBuilder b;
  const ValueId x = b.input("x", {16, 12});
  Tensor first = random_tensor({12, 8}, 1);
  for (int64_t i = 0; i < 12; ++i) first.mutable_data<float>()[i * 8 + 3] *= 100;  // hidden channel 3
  const ValueId w1 = b.constant("w1", first), w2 = b.constant("w2", random_tensor({8, 16}, 2)),
                w3 = b.constant("w3", random_tensor({16, 8}, 3)), w4 = b.constant("w4", random_tensor({8, 4}, 4));
  const ValueId stream = b.node("Gemm", "in", {x, w1});
  const ValueId branch = b.node("Gemm", "down", {b.node("Relu", "relu", {b.node("Gemm", "up", {stream, w2})}), w3});
  b.output(b.node("Gemm", "head", {b.node("Add", "sum", {stream, branch}), w4}));
  const Graph before = b.graph;
  apply_method("rotate", b.graph, before, {random_tensor({16, 12}, 5)});
  const auto largest_share = [](const Tensor& w) {  // of the largest column in the sum of squares
    std::vector<double> squares(8, 0.0);
    double all = 0;
    for (int64_t e = 0; e < w.count(); ++e) {
      const double s = static_cast<double>(w.data<float>()[e]) * static_cast<double>(w.data<float>()[e]);
      squares[static_cast<size_t>(e % 8)] += s;
      all += s;
    }
    return *std::max_element(squares.begin(), squares.end()) / all;
  };
  EXPECT_GT(largest_share(*before.constant(w1)), 0.9);
  EXPECT_LT(largest_share(*b.graph.constant(w1)), 0.3);
}

}  // namespace
}  // namespace lowbit
