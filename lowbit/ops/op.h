// op.h: what an operator is. One row per operator: arity, attributes, shape inference, and a plain reference that is the definition of what it
// computes. Faster versions are optional (ops/accelerated.h) and compared with the reference for ever.
//
// To add one: a file ops/<name>.cpp with its rows, listed in ops/list.cpp.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/base/threads.h"
#include "lowbit/core/graph.h"

namespace lowbit {

/// What shape inference sees of one node. Unknown things stay unknown; only contradictions throw.
class InferContext {
 public:
  virtual ~InferContext() = default;
  virtual const Node& node() const = 0;
  virtual bool has_input(size_t i) const = 0;
  virtual DType input_dtype(size_t i) const = 0;
  /// Null if the rank is unknown (or the input absent).
  virtual const Shape* input_shape(size_t i) const = 0;
  /// The value of a constant (or folded) input, or null.
  virtual const Tensor* input_constant(size_t i) const = 0;
  /// The elements of a small integer input that holds shapes (0-D or 1-D), each known, symbolic or unknown; nothing if not tracked.
  virtual std::optional<std::vector<Dim>> input_dims(size_t i) const = 0;
  virtual void set_output(size_t i, DType type, std::optional<Shape> shape) = 0;
  /// For operators that compute with shapes (Shape, Gather, Concat, Add ...): the elements of the output.
  virtual void set_output_dims(size_t i, std::vector<Dim> dims) = 0;
};

/// What a reference sees of one node. Inputs were checked for count and null-ness by the row; dtypes and shapes are the reference's business.
class EvalContext {
 public:
  EvalContext(const Node& node, std::vector<const Tensor*> inputs, ThreadPool& threads) : node_(node), inputs_(std::move(inputs)), threads_(threads) {
    outputs_.resize(node.outputs.size());
  }
  const Node& node() const { return node_; }
  size_t input_count() const { return inputs_.size(); }
  bool has_input(size_t i) const { return i < inputs_.size() && inputs_[i] != nullptr; }
  /// Throws Error{bad_file} naming node and position if the input is absent.
  const Tensor& input(size_t i) const;
  const Tensor* optional_input(size_t i) const { return has_input(i) ? inputs_[i] : nullptr; }
  bool wants_output(size_t i) const { return i < node_.outputs.size() && node_.outputs[i] != kNone; }
  void set_output(size_t i, Tensor tensor) { if (i < outputs_.size()) outputs_[i] = std::move(tensor); }
  std::vector<Tensor>& outputs() { return outputs_; }
  ThreadPool& threads() const { return threads_; }
  /// Runs a subgraph attribute (If, Loop, Scan) with the given inputs; captures are bound by the evaluator. Set by the evaluator.
  std::function<std::vector<Tensor>(const Graph&, std::vector<Tensor>)> run_subgraph;

 private:
  const Node& node_;
  std::vector<const Tensor*> inputs_;
  ThreadPool& threads_;
  std::vector<Tensor> outputs_;
};

/// How an operator treats values; what passes, methods and the integer plan need to know of it without knowing it by name.
enum class OpKind : uint8_t {
  compute,     ///< Conv, MatMul, Gemm, ConvTranspose, LSTM ...: multiply-accumulate with (usually) constant weights
  elementwise, ///< broadcasts; each output element depends on the elements at the same place
  movement,    ///< output elements are input elements (Reshape, Transpose, Slice, Concat, MaxPool, Pad with zero ...): codes can move as they are
  reduction,   ///< pooling by mean, ReduceMean, softmax, normalization
  shape,       ///< works on shapes and indices, never on activations (Shape, Size, ConstantOfShape ...)
  control,     ///< has subgraphs
  quantize,    ///< QuantizeLinear and its relatives
  other,
};

struct OpDef {
  std::string_view domain;  ///< "" for ai.onnx
  std::string_view name;
  OpKind kind;
  int min_inputs, max_inputs;    ///< max < 0: any number
  int min_outputs, max_outputs;
  /// Space-separated attribute names that the operator knows; an import with another one is an error with the nearest names.
  std::string_view attributes;
  void (*infer)(InferContext& context);        ///< null: output types and shapes stay unknown
  void (*reference)(EvalContext& context);     ///< null: cannot run here (inspect still works)
  /// Random or otherwise not a function of its inputs: never folded.
  bool nondeterministic = false;
};

/// Every operator of this build, in alphabetical order within a domain.
std::span<const OpDef* const> op_table();
/// Null if unknown.
const OpDef* find_op(std::string_view domain, std::string_view name);
inline const OpDef* find_op(const Node& node) { return find_op(node.domain, node.op); }

/// Multiply-accumulates of a node with these input and output shapes (0 for what does none). Conv, ConvTranspose, MatMul, Gemm, LSTM/GRU/RNN, Einsum.
int64_t multiply_adds(const Graph& graph, const Node& node, const std::vector<const Dims*>& inputs, const std::vector<const Dims*>& outputs);

}  // namespace lowbit
