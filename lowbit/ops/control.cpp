#include "lowbit/ops/control.h"

#include <cstring>

#include "lowbit/base/checked.h"
#include "lowbit/ops/families.h"
#include "lowbit/ops/infer_helpers.h"
#include "lowbit/ops/op_helpers.h"

namespace lowbit {
namespace {

/// A loop that has not ended by then is taken for one that never ends.
constexpr int64_t kMaxIterations = 10'000'000;

const Graph& body_of(const Node& node, std::string_view key) {
  const Graph* body = node.attr_graph(key);
  require(body != nullptr, "the attribute '{}' with the subgraph is missing", key);
  return *body;
}

std::vector<Tensor> run_body(EvalContext& context, const Graph& body, std::vector<Tensor> inputs) {
  if (!context.run_subgraph) unsupported("a node with subgraphs runs in a graph only");
  return context.run_subgraph(body, std::move(inputs));
}

bool truth(const Tensor& tensor) {
  require(tensor.count() == 1 && tensor.dtype() == DType::bool_, "a condition must be one bool, but is {} {}",
          dtype_name(tensor.dtype()), dims_text(tensor.dims()));
  return tensor.data<bool>()[0];
}

/// Slice `index` of an axis, which disappears.
Tensor slice_of(const Node& node, const Tensor& x, int64_t axis, int64_t index) {
  const AxisView view = axis_view(x.dims(), axis);
  Dims dims = x.dims();
  dims.erase(dims.begin() + axis);
  Tensor y = make_output(node, x.dtype(), std::move(dims));
  const size_t row = static_cast<size_t>(view.inner) * dtype_bytes(x.dtype());
  if (row == 0) return y;
  std::byte* to = y.mutable_raw();
  for (int64_t o = 0; o < view.outer; ++o)
    std::memcpy(to + static_cast<size_t>(o) * row, x.raw().data() + static_cast<size_t>(o * view.length + index) * row,
                row);
  return y;
}

/// Results of all iterations along a new axis.
class Stack {
 public:
  void add(Tensor part) {
    if (!parts_.empty())
      require(part.dims() == parts_[0].dims() && part.dtype() == parts_[0].dtype(),
              "a scan output is {} in one iteration and {} in another", dims_text(parts_[0].dims()),
              dims_text(part.dims()));
    bytes_ = checked_add(bytes_, static_cast<int64_t>(part.byte_size()));
    require(bytes_ <= kMaxOutputBytes, "the scan outputs take more than the limit of 16 GiB");
    parts_.push_back(std::move(part));
  }

  /// `declared` gives type and shape if there was no iteration. axis in [-rank, rank) of the result.
  Tensor join(const Node& node, const Value& declared, int64_t axis, bool reverse) const {
    Dims dims;
    if (!parts_.empty())
      dims = parts_[0].dims();
    else if (declared.shape)
      for (const Dim& dim : *declared.shape) dims.push_back(dim.size.value_or(0));
    const DType type = parts_.empty() ? declared.dtype : parts_[0].dtype();
    const int64_t at = normalize_axis(axis, static_cast<int64_t>(dims.size()) + 1);
    dims.insert(dims.begin() + at, static_cast<int64_t>(parts_.size()));
    Tensor y = zero_output(node, type, dims);
    const AxisView view = axis_view(dims, at);
    const size_t row = static_cast<size_t>(view.inner) * dtype_bytes(type);
    if (y.byte_size() == 0) return y;
    std::byte* to = y.mutable_raw();
    for (int64_t o = 0; o < view.outer; ++o)
      for (int64_t i = 0; i < view.length; ++i) {
        const Tensor& part = parts_[static_cast<size_t>(reverse ? view.length - 1 - i : i)];
        std::memcpy(to + static_cast<size_t>(o * view.length + i) * row,
                    part.raw().data() + static_cast<size_t>(o) * row, row);
      }
    return y;
  }

 private:
  std::vector<Tensor> parts_;
  int64_t bytes_ = 0;
};

void run_if(EvalContext& context) {
  const Graph& body = body_of(context.node(), truth(context.input(0)) ? "then_branch" : "else_branch");
  std::vector<Tensor> results = run_body(context, body, {});
  require(results.size() >= context.node().outputs.size(), "the branch gives {} values for {} outputs", results.size(),
          context.node().outputs.size());
  for (size_t i = 0; i < context.node().outputs.size(); ++i) context.set_output(i, std::move(results[i]));
}

void run_loop(EvalContext& context) {
  const Node& node = context.node();
  const Graph& body = body_of(node, "body");
  const int64_t trips = context.has_input(0) ? int_scalar(context, 0) : -1;
  bool go_on = !context.has_input(1) || truth(context.input(1));
  std::vector<Tensor> carried;
  for (size_t i = 2; i < context.input_count(); ++i) carried.push_back(context.input(i));
  require(body.outputs.size() >= carried.size() + 1 && body.inputs.size() == carried.size() + 2,
          "the body has {} inputs and {} outputs for {} carried values", body.inputs.size(), body.outputs.size(),
          carried.size());
  std::vector<Stack> scans(body.outputs.size() - 1 - carried.size());
  for (int64_t i = 0; go_on && (trips < 0 || i < trips); ++i) {
    if (i >= kMaxIterations)
      throw Error(ErrorCode::unsupported, fmt::format("a loop of more than {} iterations", kMaxIterations));
    std::vector<Tensor> inputs{Tensor::scalar<int64_t>(i), Tensor::scalar<bool>(go_on)};
    inputs.insert(inputs.end(), carried.begin(), carried.end());
    std::vector<Tensor> results = run_body(context, body, std::move(inputs));
    go_on = truth(results[0]);
    for (size_t k = 0; k < carried.size(); ++k) carried[k] = std::move(results[k + 1]);
    for (size_t k = 0; k < scans.size(); ++k) scans[k].add(std::move(results[carried.size() + 1 + k]));
  }
  for (size_t k = 0; k < carried.size(); ++k) context.set_output(k, carried[k]);
  for (size_t k = 0; k < scans.size(); ++k)
    context.set_output(carried.size() + k,
                       scans[k].join(node, body.value(body.outputs[carried.size() + 1 + k]), 0, /*reverse=*/false));
}

/// Attributes of Scan for its scan inputs or outputs, one number each.
std::vector<int64_t> scan_attribute(const Node& node, std::string_view key, size_t count) {
  std::vector<int64_t> numbers = node.attr_ints(key, std::vector<int64_t>(count, 0));
  require(numbers.size() == count, "{} has {} numbers, but {} are needed", key, numbers.size(), count);
  return numbers;
}

/// The counts that a Scan node and its body must agree on.
struct ScanLayout {
  size_t states, scan_inputs, scan_outputs;
};

ScanLayout scan_layout(const Node& node, const Graph& body) {
  const int64_t scanned = node.attr_int("num_scan_inputs", 0);
  const auto inputs = static_cast<int64_t>(node.inputs.size());
  require(scanned >= 1 && scanned <= inputs, "num_scan_inputs is {} with {} inputs", scanned, inputs);
  const auto states = static_cast<size_t>(inputs - scanned);
  require(body.inputs.size() == node.inputs.size() && body.outputs.size() >= states,
          "the body has {} inputs and {} outputs for a Scan of {} inputs", body.inputs.size(), body.outputs.size(),
          inputs);
  return {states, static_cast<size_t>(scanned), body.outputs.size() - states};
}

/// Number of iterations: the common length of the scanned axes, which are made non-negative.
int64_t scan_length(const EvalContext& context, const ScanLayout& layout, std::vector<int64_t>& axes) {
  int64_t length = -1;
  for (size_t k = 0; k < layout.scan_inputs; ++k) {
    const Tensor& x = context.input(layout.states + k);
    axes[k] = normalize_axis(axes[k], x.rank());
    require(length < 0 || x.dim(axes[k]) == length, "the scan inputs have {} and {} slices", length, x.dim(axes[k]));
    length = x.dim(axes[k]);
  }
  if (length > kMaxIterations) unsupported("a scan of {} iterations; the limit is {}", length, kMaxIterations);
  return length;
}

void run_scan(EvalContext& context) {
  const Node& node = context.node();
  const Graph& body = body_of(node, "body");
  const ScanLayout layout = scan_layout(node, body);
  std::vector<int64_t> axes = scan_attribute(node, "scan_input_axes", layout.scan_inputs);
  const std::vector<int64_t> directions = scan_attribute(node, "scan_input_directions", layout.scan_inputs);
  const std::vector<int64_t> out_axes = scan_attribute(node, "scan_output_axes", layout.scan_outputs);
  const std::vector<int64_t> out_directions = scan_attribute(node, "scan_output_directions", layout.scan_outputs);
  const int64_t length = scan_length(context, layout, axes);
  std::vector<Tensor> states;
  for (size_t k = 0; k < layout.states; ++k) states.push_back(context.input(k));
  std::vector<Stack> scans(layout.scan_outputs);
  for (int64_t i = 0; i < length; ++i) {
    std::vector<Tensor> inputs = states;
    for (size_t k = 0; k < layout.scan_inputs; ++k)
      inputs.push_back(
          slice_of(node, context.input(layout.states + k), axes[k], directions[k] != 0 ? length - 1 - i : i));
    std::vector<Tensor> results = run_body(context, body, std::move(inputs));
    for (size_t k = 0; k < layout.states; ++k) states[k] = std::move(results[k]);
    for (size_t k = 0; k < scans.size(); ++k) scans[k].add(std::move(results[layout.states + k]));
  }
  for (size_t k = 0; k < layout.states; ++k) context.set_output(k, states[k]);
  for (size_t k = 0; k < scans.size(); ++k)
    context.set_output(layout.states + k, scans[k].join(node, body.value(body.outputs[layout.states + k]), out_axes[k],
                                                        out_directions[k] != 0));
}

/// What holds whichever branch runs.
std::optional<Shape> common_shape(const std::optional<Shape>& a, const std::optional<Shape>& b) {
  if (!a || !b || a->size() != b->size()) return std::nullopt;
  Shape result(a->size());
  for (size_t i = 0; i < a->size(); ++i)
    if ((*a)[i].same_as((*b)[i])) result[i] = (*a)[i];
  return result;
}

void infer_if(InferContext& context) {
  const Graph& yes = body_of(context.node(), "then_branch");
  const Graph& no = body_of(context.node(), "else_branch");
  require(yes.outputs.size() == no.outputs.size(), "the branches give {} and {} values", yes.outputs.size(),
          no.outputs.size());
  for (size_t i = 0; i < yes.outputs.size(); ++i) {
    const Value &a = yes.value(yes.outputs[i]), &b = no.value(no.outputs[i]);
    context.set_output(i, a.dtype == b.dtype ? a.dtype : DType::undefined, common_shape(a.shape, b.shape));
  }
}

void infer_loop(InferContext& context) {
  const Graph& body = body_of(context.node(), "body");
  const size_t carried = context.node().inputs.size() < 2 ? 0 : context.node().inputs.size() - 2;
  for (size_t i = 1; i < body.outputs.size(); ++i) {
    const Value& value = body.value(body.outputs[i]);
    if (i <= carried) {
      // With no iteration the input is the output, so both must agree.
      context.set_output(i - 1, value.dtype, common_shape(value.shape, shape_of(context, i + 1)));
      continue;
    }
    std::optional<Shape> stacked = value.shape;
    if (stacked) stacked->insert(stacked->begin(), Dim());
    context.set_output(i - 1, value.dtype, std::move(stacked));
  }
}

void infer_scan(InferContext& context) {
  const Graph& body = body_of(context.node(), "body");
  const ScanLayout layout = scan_layout(context.node(), body);
  const std::vector<int64_t> out_axes = scan_attribute(context.node(), "scan_output_axes", layout.scan_outputs);
  const std::vector<int64_t> in_axes = scan_attribute(context.node(), "scan_input_axes", layout.scan_inputs);
  Dim length;
  if (const Shape* x = context.input_shape(layout.states))
    length = (*x)[infer_axis(context.node(), in_axes[0], x->size())];
  for (size_t i = 0; i < body.outputs.size(); ++i) {
    const Value& value = body.value(body.outputs[i]);
    std::optional<Shape> shape = value.shape;
    if (shape && i >= layout.states) {
      const int64_t axis = normalize_axis(out_axes[i - layout.states], static_cast<int64_t>(shape->size()) + 1);
      shape->insert(shape->begin() + axis, length);
    }
    context.set_output(i, value.dtype, std::move(shape));
  }
}

void set_type(Graph& body, size_t input, DType type) {
  Value& value = body.value(body.inputs[input]);
  if (value.dtype == DType::undefined) value.dtype = type;
}

}  // namespace

void seed_body_inputs(const InferContext& context, Graph& body) {
  const Node& node = context.node();
  if (node.is("Loop")) {
    // Shapes of carried values may change from one iteration to the next; only their types are known.
    for (size_t i = 0; i < body.inputs.size(); ++i)
      set_type(body, i, i == 0 ? DType::int64 : i == 1 ? DType::bool_ : context.input_dtype(i));
  } else if (node.is("Scan")) {
    const ScanLayout layout = scan_layout(node, body);
    const std::vector<int64_t> axes = scan_attribute(node, "scan_input_axes", layout.scan_inputs);
    for (size_t i = 0; i < body.inputs.size(); ++i) {
      set_type(body, i, context.input_dtype(i));
      Value& value = body.value(body.inputs[i]);
      if (value.shape || !context.input_shape(i)) continue;
      value.shape = *context.input_shape(i);
      if (i < layout.states) continue;
      const size_t axis = infer_axis(node, axes[i - layout.states], value.shape->size());
      value.shape->erase(value.shape->begin() + static_cast<std::ptrdiff_t>(axis));
    }
  }
}

std::span<const OpDef> control_ops() {
  static const OpDef rows[] = {
      {"", "If", OpKind::control, 1, 1, 1, -1, "else_branch then_branch", infer_if, run_if},
      {"", "Loop", OpKind::control, 0, -1, 1, -1, "body", infer_loop, run_loop},
      {"", "Scan", OpKind::control, 1, -1, 1, -1,
       "body num_scan_inputs scan_input_axes scan_input_directions scan_output_axes scan_output_directions", infer_scan,
       run_scan},
  };
  return rows;
}

}  // namespace lowbit
