// gradient_tape.h: runs an annotated network on one block of samples, values rounded to their annotations, keeps what
// every node saw, and takes gradients back through it. Rounding counts as the identity inside the range of its codes
// and as a constant outside of it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "lowbit/base/threads.h"
#include "lowbit/core/graph.h"

namespace lowbit {

/// What of a network is learned, and which nodes gradients have to pass.
struct TapePlan {
  std::vector<char> learns_weight;  ///< by node: the constant at input 1
  std::vector<char> learns_shift;   ///< by node: a number for each channel that is added to its result
  std::vector<int64_t> shift_axis;  ///< by node: the axis of the result that counts those channels; from the end if < 0
  std::vector<char> reached;        ///< by value: depends on something that is learned
  std::vector<char> stops;          ///< by value: gradients do not pass from its readers to what makes it
  size_t last = 0;                  ///< nodes behind are not run
};

/// Marks `reached`; the other members are set. Returns the names of operators on the way that have no gradient.
std::vector<std::string> finish_plan(const Graph& graph, const std::vector<ValueId>& losses, TapePlan& plan);

class Tape {
 public:
  /// Weight of a node (its input 1), or null: as annotated. Shift of a node's result, or null.
  struct Learned {
    std::vector<const Tensor*> weights;
    std::vector<const std::vector<float>*> shifts;
  };

  Tape(const Graph& graph, const TapePlan& plan, const std::vector<Tensor>& constants, const Learned& learned)
      : graph_(graph), plan_(plan), constants_(constants), learned_(learned) {}

  /// inputs: by position in graph.inputs. On the calling thread.
  void run(const std::vector<Tensor>& inputs);
  /// A value as its readers saw it.
  const Tensor& value(ValueId id) const { return values_[static_cast<size_t>(id)]; }

  /// Gradients of the weights and shifts that are learned, by node; empty where the loss does not depend on them.
  struct Gradients {
    std::vector<Tensor> weights;
    std::vector<std::vector<float>> shifts;
  };
  /// seeds: dL / d value for the values in which the loss is made.
  Gradients back(const std::vector<std::pair<ValueId, Tensor>>& seeds) const;

 private:
  const Tensor* input(const Node& node, size_t i) const;
  void round(ValueId id);
  Tensor through_rounding(ValueId id, Tensor gradient) const;

  const Graph& graph_;
  const TapePlan& plan_;
  const std::vector<Tensor>& constants_;  ///< by value, decoded
  const Learned& learned_;
  std::vector<Tensor> values_, unrounded_;
};

}  // namespace lowbit
