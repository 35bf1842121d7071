// builder.h: what the step factories work with while a plan is made: where each value of the graph lies, in which order
// and type, and how to ask for another one. The builder adds conversions only where an order that a step needs is not
// there yet; moved axes, slices and concatenations are views wherever possible.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>

#include "lowbit/core/graph_index.h"
#include "lowbit/kernels/qlayer.h"
#include "lowbit/runtime/plan/plan.h"
#include "lowbit/runtime/plan/view.h"
#include "lowbit/runtime/plan/weights.h"
#include "lowbit/runtime/step.h"

namespace lowbit::plan {

class Builder;

/// Lowers one node (and what it fuses). False with the reason in `why` if the step does not cover this case.
using Factory = bool (*)(Builder& builder, int32_t node, std::string& why);

/// The codes of y = f(x) for every code of x, lowest first, where f is the operator of the node. Nothing with the
/// reason.
using TableMaker = std::optional<std::vector<int32_t>> (*)(const Graph& graph, const Node& node, const Quantization& x,
                                                           const Quantization& y, std::string& why);

/// Whether the value is kept as codes whose parameters are known while planning.
inline bool is_coded(const Value& value) { return value.quantization && !value.quantization->dynamic; }

/// Thrown while planning if the elements of a constant are needed that the graph lacks.
struct AbsentConstant {};

/// How a plan is made.
struct PlanOptions {
  int threads = 1;
  /// Float operators run by the toolkit's references, whose bits the reference executor has; else by the runtime's own
  /// fast ones, whose sums have another order.
  bool reference_float = false;
  /// Used where no step covers a node; null in the small runtime.
  Factory fallback = nullptr;
  TableMaker table = nullptr;
  /// Constants that the graph lacks because packed weights stand for them. May be null.
  const std::set<std::string>* absent = nullptr;
};

/// A Pad whose only reader may do the padding by itself. It is made only when somebody else asks for it.
struct PendingPad {
  int32_t node = -1;
  ValueId source = kNone;
  std::vector<int64_t> begin, end;  ///< by axis
};

/// A step before it is placed.
struct Draft {
  TaskFn run = nullptr;
  std::shared_ptr<const void> params;
  int64_t tasks = 1;
  double nanoseconds = 0;     ///< estimate on one thread, to decide over how many threads it is spread
  int64_t scratch_bytes = 0;  ///< of one chunk
  std::vector<BufferId> reads, writes;
  StepDetails details;
  /// (output, input): the output may take the input's bytes if the input is not needed later.
  std::vector<std::pair<BufferId, BufferId>> in_place;
};

class Builder {
 public:
  Builder(const Graph& graph, const std::vector<Dims>& input_dims, std::shared_ptr<WeightStore> weights,
          const PlanOptions& options);

  /// Lowers every node. Throws Error{unsupported} naming all nodes that nothing covers.
  std::shared_ptr<const Plan> build();

  const Graph& graph() const { return graph_; }
  const GraphIndex& index() const { return index_; }
  const LowerContext& context() const { return context_; }
  const PlanOptions& options() const { return options_; }
  WeightStore& weights() { return *weights_; }
  /// To be called before the elements of a constant are read from the graph itself. Throws AbsentConstant.
  void require_elements(ValueId id) const;
  /// The name of a constant if only this step reads it, for WeightStore::put(); else "".
  std::string own_constant(ValueId id) const;
  const Node& node(int32_t n) const { return graph_.nodes[static_cast<size_t>(n)]; }

  /// Whether the value is computed already (constants are).
  bool ready(ValueId id) const;
  const Dims& dims(ValueId id) const;
  /// The elements of a value that is known while planning: a constant, or a shape computed from known ones.
  const Tensor* known(ValueId id) const;
  void set_known(ValueId id, Tensor tensor);

  /// The value as it is kept: codes if it is annotated, else its own type.
  View operand(ValueId id, Order order = Order::any);
  /// The value as real numbers: annotated ones are decoded, by a step if they are not constant.
  View real_operand(ValueId id, Order order = Order::any);

  /// A constant of the graph as float32: what its codes stand for if it is annotated.
  Tensor real_constant(ValueId id) const;

  /// Room for a value that the step being made will write. With an annotation its type is that of the codes.
  View result(ValueId id, DType dtype, const Dims& dims, Order order);
  /// Room for the real numbers of a value; finish_real() encodes them if the value is annotated.
  View real_result(ValueId id, const Dims& dims, Order order);
  void finish_real(ValueId id);
  /// Declares a value as a view of bytes that exist.
  void alias(ValueId id, View view);
  /// Declares the result of a Pad without making it.
  void postpone(ValueId id, PendingPad pad, Dims dims);
  /// The Pad that has not been made yet, or null.
  const PendingPad* pending_pad(ValueId id) const;
  /// Room for intermediate results of one step.
  View temporary(DType dtype, const Dims& dims);
  /// Bytes that are known now.
  Ref constant(std::shared_ptr<const void> owner, const void* address, int64_t bytes);
  View constant_view(const Tensor& tensor);

  void emit(int32_t node, Draft draft);
  /// Nodes that the step being made fuses besides its own.
  void cover(int32_t node) { covered_.insert(node); }
  bool covered(int32_t node) const { return covered_.count(node) > 0; }

  /// The only node that reads the value, or -1; graph outputs have none.
  int32_t only_reader(ValueId id) const { return lowbit::only_reader(graph_, index_, id); }
  /// The buffer of a Concat's result that some of its inputs were already written into, or null.
  const View* concat_buffer(ValueId joined) const;
  /// Whether the graph's own output is this value.
  bool is_output(ValueId id) const { return outputs_.count(id) > 0; }

 private:
  struct Place {
    std::vector<View> views;       ///< as kept, in one or more orders
    std::vector<View> real_views;  ///< decoded
    std::optional<View> source;    ///< of an annotated graph input: the caller's floats, not encoded yet
    std::optional<Tensor> known;
    std::optional<PendingPad> pad;
    Dims dims;
    bool ready = false;
  };
  Place& place(ValueId id) { return places_[static_cast<size_t>(id)]; }
  const Place& place(ValueId id) const { return places_[static_cast<size_t>(id)]; }

  void add_inputs(const std::vector<Dims>& input_dims);
  void lower(int32_t node, std::vector<std::string>& missing);
  void add_outputs();
  bool write_straight_to_output(const View& view, int32_t index);
  View converted(const View& view, Order order);
  View encode_source(ValueId id, Order order);
  Place& ensure_constant(ValueId id);
  std::optional<View> inside_concat(ValueId id, DType dtype, const Dims& dims, Order order);
  View new_view(DType dtype, const Dims& dims, Order order);
  BufferId add_buffer(Buffer buffer);
  void finish(Plan& plan);
  void merge_in_place(std::vector<int32_t>& first, std::vector<int32_t>& last);
  void place_arena(Plan& plan);

  const Graph& graph_;
  GraphIndex index_;
  LowerContext context_;
  std::shared_ptr<WeightStore> weights_;
  PlanOptions options_;
  std::set<ValueId> outputs_;
  std::vector<Place> places_;
  std::vector<Draft> drafts_;
  std::vector<Buffer> buffers_;
  std::vector<BufferId> merged_into_;  ///< by buffer; -1 = itself
  std::map<ValueId, View> concats_;    ///< results of Concat that inputs were written into
  std::set<int32_t> covered_;
  std::vector<std::shared_ptr<const void>> owners_;
  std::vector<Port> inputs_, output_ports_;
  int32_t current_ = -1;
};

}  // namespace lowbit::plan
