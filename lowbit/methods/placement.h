// placement.h: which values of a graph become low-bit, before any number is known. Engines fuse Q/DQ pairs around
// certain operators only, and tails and softmax chains lose accuracy for nothing, so a value is quantized where integer
// arithmetic uses it and nowhere else:
//   - anchors are Conv, Gemm and MatMul; their float inputs are quantized
//   - an operator with an integer form (element-wise, pooling, movement) joins if an anchor is behind it and something
//   integer before it
//   - constant weights of any operator (weight_slots.h) become low-bit even where the arithmetic stays float
//   - what only reaches outputs, softmax or normalization stays float: the last layer gives its accumulator as it is
//   (Conv excepted: engines
//     run it in integers only if its result is quantized)
#pragma once

#include <string>
#include <vector>

#include "lowbit/core/graph.h"
#include "lowbit/methods/recipe.h"
#include "lowbit/methods/weight_slots.h"

namespace lowbit {

/// What a node does with its values.
enum class NodeRole : uint8_t {
  floating,      ///< stays float
  anchor,        ///< multiply-accumulates in integers
  integer,       ///< joins its anchors: element-wise, mean, table
  movement,      ///< moves codes: result has the parameters of its first input
  concat,        ///< moves codes of several inputs
  weights_only,  ///< float arithmetic with low-bit weights
  dynamic,       ///< multiply-accumulates in integers, its input quantized at inference; the result is float
};

struct NodePlan {
  NodeRole role = NodeRole::floating;
  std::string reason;               ///< why it stays float
  LayerSettings settings;           ///< of this layer, all four set
  ValueId weight = kNone;           ///< its first constant weight, if it has one that can be low-bit
  int64_t channel_axis = 0;         ///< of that weight
  std::vector<WeightSlot> weights;  ///< all its constant weights that become low-bit
};

struct Placement {
  std::vector<NodePlan> nodes;  ///< by node index
  std::vector<char> quantized;  ///< by value: an activation that gets an annotation
  /// By value: the value whose parameters it shares (movement results follow their source, a branch that only a Concat
  /// reads follows its result), or itself.
  std::vector<ValueId> parameters_of;
};

/// Settings of a layer: the recipe's, then its rules in order. Throws Error{bad_argument} if a selector of the recipe
/// matches no layer, naming the nearest.
Placement place(const Graph& graph, const Recipe& recipe, bool with_activations);

/// "default" becomes the granularity that belongs to the number system of the weights, or one group for each channel.
std::string settled_granularity(const std::string& granularity, const std::string& weights);

/// The name and op of a node match a selector ("conv_*", "op:Conv").
bool matches(const std::string& selector, const Node& node);

/// The recipe's settings with those of the rules that match the node on top. A rule that names weights of a
/// block-scaled form without a granularity gets that form's own.
LayerSettings settings_of(const Recipe& recipe, const Node& node);
/// Why the node's weights stay float whatever it computes: "excluded", "not included", "its weights stay float"; empty
/// if they need not.
std::string kept_weights_reason(const Recipe& recipe, const Node& node, const LayerSettings& settings);

}  // namespace lowbit
