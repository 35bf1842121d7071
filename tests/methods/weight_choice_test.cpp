#include "lowbit/methods/weight_choice.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "lowbit/base/error.h"
#include "lowbit/base/random.h"

namespace lowbit {
namespace {

TEST(AutoWeights, NamesAreParsed) {
  EXPECT_EQ(parse_auto("auto:4"), 4.0);
  EXPECT_EQ(parse_auto("auto:3.5"), 3.5);
  EXPECT_EQ(parse_auto("int4"), std::nullopt);
  for (const char* name : {"auto:", "auto:0", "auto:x", "auto:17", "auto:nan"})
    EXPECT_THROW(parse_auto(name), Error) << name;
}

int64_t bits_of(const std::vector<std::vector<Choice>>& layers, const std::vector<size_t>& chosen) {
  int64_t bits = 0;
  for (size_t i = 0; i < layers.size(); ++i) bits += layers[i][chosen[i]].bits;
  return bits;
}

double error_of(const std::vector<std::vector<Choice>>& layers, const std::vector<size_t>& chosen) {
  double error = 0;
  for (size_t i = 0; i < layers.size(); ++i) error += layers[i][chosen[i]].error;
  return error;
}

/// The least error of all combinations within the budget; infinity if there is none.
double by_brute_force(const std::vector<std::vector<Choice>>& layers, int64_t budget) {
  std::vector<size_t> chosen(layers.size(), 0);
  double best = std::numeric_limits<double>::infinity();
  for (;;) {
    if (bits_of(layers, chosen) <= budget) best = std::min(best, error_of(layers, chosen));
    size_t at = 0;
    while (at < layers.size() && ++chosen[at] == layers[at].size()) chosen[at++] = 0;
    if (at == layers.size()) return best;
  }
}

RC_GTEST_PROP(AutoWeights, BitsAreSpreadAsWellAsByBruteForce, ()) {
  const size_t count = *rc::gen::inRange<size_t>(1, 6);
  std::vector<std::vector<Choice>> layers(count);
  int64_t least = 0, most = 0;
  for (auto& layer : layers) {
    layer.resize(*rc::gen::inRange<size_t>(1, 6));
    int64_t low = std::numeric_limits<int64_t>::max(), high = 0;
    for (Choice& choice : layer) {
      choice = {*rc::gen::inRange<int64_t>(1, 2000), 1.0 + *rc::gen::inRange(0, 1000)};
      low = std::min(low, choice.bits);
      high = std::max(high, choice.bits);
    }
    least += low;
    most += high;
  }
  const int64_t budget = *rc::gen::inRange<int64_t>(least / 2, most + 2);
  const std::vector<size_t> chosen = spread_bits(layers, budget);
  const double best = by_brute_force(layers, budget);
  if (best == std::numeric_limits<double>::infinity()) {
    RC_ASSERT(bits_of(layers, chosen) == least);
    return;
  }
  RC_ASSERT(bits_of(layers, chosen) <= budget);
  // Fewer than 2^14 bits are counted one by one, so the result is exact.
  RC_ASSERT(error_of(layers, chosen) == best);
}

TEST(AutoWeights, LargeBudgetsAreNearlySpent) {
  Random random(3);
  std::vector<std::vector<Choice>> layers(60);
  for (auto& layer : layers)
    for (int bits = 1; bits <= 8; ++bits)
      layer.push_back({bits * 1'000'000 + random.below(1000), random.uniform() + std::pow(4.0, -bits) * 100});
  const int64_t budget = 60LL * 3'500'000;
  const std::vector<size_t> chosen = spread_bits(layers, budget);
  EXPECT_LE(bits_of(layers, chosen), budget);
  EXPECT_GT(static_cast<double>(bits_of(layers, chosen)), 0.99 * static_cast<double>(budget));
}

/// x -> MatMul a -> MatMul b, b much smaller and with outliers.
Graph two_layers() {
  Random random(7);
  Graph graph;
  const auto weight = [&](Dims dims, double outliers) {
    Tensor tensor(DType::float32, std::move(dims));
    for (float& value : tensor.mutable_values<float>())
      value = static_cast<float>(random.normal() * (random.uniform() < outliers ? 8 : 1));
    return tensor;
  };
  ValueId x = graph.add_value("x", DType::float32);
  graph.inputs = {x};
  for (const auto& [name, tensor] :
       {std::pair<std::string, Tensor>{"first*[1]", weight({64, 128}, 0)}, {"second", weight({128, 16}, 0.05)}}) {
    const ValueId w = graph.add_constant(name + ".w", tensor), y = graph.add_value(name + ".y", DType::float32);
    Node node;
    node.name = name;
    node.op = "MatMul";
    node.inputs = {x, w};
    node.outputs = {y};
    graph.nodes.push_back(node);
    x = y;
  }
  graph.outputs = {x};
  return graph;
}

int64_t stored(const Graph& graph, const Placement& placement) {
  int64_t bits = 0;
  for (size_t n = 0; n < placement.nodes.size(); ++n) {
    const NodePlan& plan = placement.nodes[n];
    Quantization quantization;
    quantization.format = parse_number_format(*plan.settings.weights);
    quantization.granularity = parse_granularity(*plan.settings.granularity);
    quantization.granularity.axis = plan.channel_axis;
    bits += storage_bits(quantization, graph.constant(plan.weight)->dims());
  }
  return bits;
}

TEST(AutoWeights, TheMeanStaysWithinTheBudgetAndTheRecipeSaysWhatWasChosen) {
  const Graph graph = two_layers();
  ThreadPool threads(2);
  for (const double budget : {2.0, 3.5, 4.0}) {
    Recipe recipe;
    recipe.activations = "none";
    recipe.weights = fmt::format("auto:{:g}", budget);
    Placement placement = place(graph, recipe, false);
    std::vector<std::string> notes;
    resolve_auto(graph, nullptr, threads, placement, recipe, notes);
    const int64_t elements = 64 * 128 + 128 * 16;
    EXPECT_LE(static_cast<double>(stored(graph, placement)), budget * static_cast<double>(elements));
    EXPECT_GT(static_cast<double>(stored(graph, placement)), 0.8 * budget * static_cast<double>(elements));
    EXPECT_EQ(recipe.rules.size(), 2u);
    EXPECT_EQ(recipe.weight_range, "mse");
    EXPECT_FALSE(placement.nodes[0].reason.empty());
    // The recipe alone leads to the same placement.
    const Placement again = place(graph, recipe, false);
    for (size_t n = 0; n < 2; ++n) {
      EXPECT_EQ(again.nodes[n].settings.weights, placement.nodes[n].settings.weights);
      EXPECT_EQ(again.nodes[n].settings.granularity, placement.nodes[n].settings.granularity);
    }
  }
}

TEST(AutoWeights, OtherRecipesStayAsTheyAre) {
  const Graph graph = two_layers();
  ThreadPool threads(1);
  Recipe recipe;
  recipe.weights = "int4";
  Placement placement = place(graph, recipe, false);
  std::vector<std::string> notes;
  resolve_auto(graph, nullptr, threads, placement, recipe, notes);
  EXPECT_TRUE(notes.empty());
  EXPECT_TRUE(recipe.rules.empty());
  EXPECT_EQ(recipe.weights, "int4");
}

}  // namespace
}  // namespace lowbit
