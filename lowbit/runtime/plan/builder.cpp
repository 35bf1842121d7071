#include "lowbit/runtime/plan/builder.h"

#include "lowbit/core/weights.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/runtime/plan/convert.h"
#include "lowbit/runtime/plan/steps/steps.h"

namespace lowbit::plan {
namespace {

/// An annotation that is stored as codes: static, one scale and zero point.
DType kept_dtype(const Value& value, DType given) { return is_coded(value) ? code_dtype(*value.quantization) : given; }

bool same_place(const View& a, const View& b) {
  return a.buffer == b.buffer && a.offset == b.offset && a.dims == b.dims && a.strides == b.strides;
}

}  // namespace

Builder::Builder(const Graph& graph, const std::vector<Dims>& input_dims, std::shared_ptr<WeightStore> weights,
                 const PlanOptions& options)
    : graph_(graph),
      index_(graph),
      context_{graph_, index_},
      weights_(std::move(weights)),
      options_(options),
      outputs_(graph.outputs.begin(), graph.outputs.end()),
      places_(graph.values.size()) {
  for (const Value& value : graph.values) {
    const bool coded = is_coded(value) && !value.constant;
    if (coded && (!value.quantization->linear() || value.quantization->params.size() != 2 ||
                  code_dtype(*value.quantization) == DType::int32))
      throw Error(ErrorCode::unsupported,
                  fmt::format("'{}' is kept as {}; plans take linear codes of at most 16 bits with one scale",
                              printable(value.name, 80), to_string(value.quantization->format)));
  }
  add_inputs(input_dims);
}

void Builder::add_inputs(const std::vector<Dims>& input_dims) {
  LOWBIT_CHECK(input_dims.size() == graph_.inputs.size());
  for (size_t i = 0; i < graph_.inputs.size(); ++i) {
    const ValueId id = graph_.inputs[i];
    const Value& value = graph_.value(id);
    const DType dtype = value.dtype == DType::undefined ? DType::float32 : value.dtype;
    if (dtype_bytes(dtype) == 0 || element_count(input_dims[i]) == 0)
      throw Error(ErrorCode::unsupported,
                  fmt::format("input '{}' has no elements or no fixed element size", printable(value.name, 80)));
    inputs_.push_back({value.name, dtype, input_dims[i]});
    const BufferId buffer = add_buffer(
        {Buffer::Kind::input, static_cast<int32_t>(i), static_cast<int64_t>(inputs_.back().bytes()), 0, nullptr});
    View view{dtype, input_dims[i],
              strides_in(input_dims[i], axis_order(Order::row_major, static_cast<int64_t>(input_dims[i].size()))),
              buffer, 0};
    Place& made = place(id);
    made.dims = input_dims[i];
    made.ready = true;
    if (!is_coded(value)) {
      made.views.push_back(std::move(view));
      continue;
    }
    if (dtype != DType::float32)
      throw Error(ErrorCode::unsupported,
                  fmt::format("input '{}' is annotated but not float32", printable(value.name, 80)));
    made.source = std::move(view);
  }
}

bool Builder::ready(ValueId id) const { return id != kNone && (graph_.constant(id) || place(id).ready); }

const Dims& Builder::dims(ValueId id) const {
  const Tensor* tensor = known(id);
  return tensor ? tensor->dims() : place(id).dims;
}

const Tensor* Builder::known(ValueId id) const {
  if (id == kNone) return nullptr;
  if (const Tensor* constant = graph_.constant(id)) return constant;
  return place(id).known ? &*place(id).known : nullptr;
}

void Builder::set_known(ValueId id, Tensor tensor) {
  Place& made = place(id);
  made.dims = tensor.dims();
  made.known = std::move(tensor);
  made.ready = true;
}

BufferId Builder::add_buffer(Buffer buffer) {
  buffers_.push_back(buffer);
  return static_cast<BufferId>(buffers_.size()) - 1;
}

View Builder::new_view(DType dtype, const Dims& dims, Order order) {
  View view{dtype, dims, strides_in(dims, axis_order(order, static_cast<int64_t>(dims.size()))), -1, 0};
  view.buffer =
      add_buffer({Buffer::Kind::arena, 0, view.count() * static_cast<int64_t>(dtype_bytes(dtype)), 0, nullptr});
  return view;
}

View Builder::temporary(DType dtype, const Dims& dims) { return new_view(dtype, dims, Order::row_major); }

Ref Builder::constant(std::shared_ptr<const void> owner, const void* address, int64_t bytes) {
  owners_.push_back(std::move(owner));
  return {add_buffer({Buffer::Kind::constant, 0, bytes, 0, static_cast<const std::byte*>(address)}), 0};
}

View Builder::constant_view(const Tensor& tensor) {
  // Kernels read whole vectors: the bytes behind a constant must be readable too.
  const std::shared_ptr<std::byte> bytes = allocate_aligned(tensor.byte_size() + kernels::kReadSlack);
  std::memcpy(bytes.get(), tensor.raw().data(), tensor.byte_size());
  View view{tensor.dtype(), tensor.dims(), row_major_strides(tensor.dims()), -1, 0};
  view.buffer = constant(bytes, bytes.get(), static_cast<int64_t>(tensor.byte_size())).buffer;
  return view;
}

Builder::Place& Builder::ensure_constant(ValueId id) {
  Place& made = place(id);
  if (!made.views.empty()) return made;
  require_elements(id);
  const Tensor* tensor = known(id);
  LOWBIT_CHECK(tensor != nullptr);
  const Value& value = graph_.value(id);
  made.dims = tensor->dims();
  const bool coded = value.constant && is_coded(value) && value.quantization->params.size() == 2;
  made.views.push_back(constant_view(coded ? weight_codes(value) : *tensor));
  made.ready = true;
  return made;
}

View Builder::converted(const View& view, Order order) {
  View to = new_view(view.dtype, view.dims, order);
  emit(current_, copy_draft(view, to));
  return to;
}

View Builder::encode_source(ValueId id, Order order) {
  Place& made = place(id);
  const Quantization& quantization = *graph_.value(id).quantization;
  View to = new_view(code_dtype(quantization), made.dims, order == Order::any ? Order::row_major : order);
  Draft draft = encode_draft(*made.source, to, quantization);
  draft.details.note = "graph input";
  emit(current_, std::move(draft));
  made.views.push_back(to);
  return to;
}

void Builder::postpone(ValueId id, PendingPad pad, Dims dims) {
  Place& made = place(id);
  made.pad = std::move(pad);
  made.dims = std::move(dims);
  made.ready = true;
}

const PendingPad* Builder::pending_pad(ValueId id) const {
  const auto& pad = place(id).pad;
  return pad ? &*pad : nullptr;
}

View Builder::operand(ValueId id, Order order) {
  Place& made = known(id) ? ensure_constant(id) : place(id);
  LOWBIT_CHECK(made.ready);
  if (made.pad) {
    const PendingPad pad = *made.pad;
    made.pad.reset();
    emit_pad(*this, id, pad, order);
  }
  for (const View& view : made.views)
    if (satisfies(view, order)) return view;
  if (made.views.empty() && made.source) return encode_source(id, order);
  LOWBIT_CHECK(!made.views.empty());
  const View view = converted(made.views[0], order);
  place(id).views.push_back(view);
  return view;
}

void Builder::require_elements(ValueId id) const {
  if (options_.absent && id != kNone && options_.absent->count(graph_.value(id).name) > 0) throw AbsentConstant{};
}

std::string Builder::own_constant(ValueId id) const {
  return graph_.constant(id) && only_reader(id) >= 0 ? graph_.value(id).name : "";
}

Tensor Builder::real_constant(ValueId id) const {
  require_elements(id);
  const Value& value = graph_.value(id);
  return is_coded(value) ? weight_values(value) : to_float32(*value.constant);
}

View Builder::real_operand(ValueId id, Order order) {
  const Value& value = graph_.value(id);
  if (!is_coded(value)) return operand(id, order);
  Place& made = place(id);
  for (const View& view : made.real_views)
    if (satisfies(view, order)) return view;
  if (made.real_views.empty() && value.constant) made.real_views.push_back(constant_view(real_constant(id)));
  if (!made.real_views.empty()) {
    if (satisfies(made.real_views[0], order)) return made.real_views[0];
    const View view = converted(made.real_views[0], order);
    place(id).real_views.push_back(view);
    return view;
  }
  const View codes = operand(id, Order::any);
  View real = codes;
  real.dtype = DType::float32;
  real.offset = 0;
  real.strides = strides_in(codes.dims, order == Order::any ? memory_order(codes) : axis_order(order, codes.rank()));
  real.buffer = add_buffer({Buffer::Kind::arena, 0, real.count() * 4, 0, nullptr});
  emit(current_, decode_draft(codes, real, *value.quantization));
  place(id).real_views.push_back(real);
  return real;
}

View Builder::result(ValueId id, DType dtype, const Dims& dims, Order order) {
  const DType kept = kept_dtype(graph_.value(id), dtype);
  std::optional<View> inside = inside_concat(id, kept, dims, order);
  const View view = inside ? *inside : new_view(kept, dims, order == Order::any ? Order::row_major : order);
  alias(id, view);
  return view;
}

View Builder::real_result(ValueId id, const Dims& dims, Order order) {
  if (!is_coded(graph_.value(id))) return result(id, DType::float32, dims, order);
  Place& made = place(id);
  made.dims = dims;
  made.real_views.push_back(new_view(DType::float32, dims, order == Order::any ? Order::row_major : order));
  return made.real_views.back();
}

void Builder::finish_real(ValueId id) {
  const Value& value = graph_.value(id);
  if (!is_coded(value)) return;
  // Whoever reads the value reads what its codes stand for, not the float result.
  const View real = place(id).real_views.back();
  place(id).real_views.clear();
  View codes = real;
  codes.dtype = code_dtype(*value.quantization);
  codes.buffer =
      add_buffer({Buffer::Kind::arena, 0, codes.count() * static_cast<int64_t>(dtype_bytes(codes.dtype)), 0, nullptr});
  emit(current_, encode_draft(real, codes, *value.quantization));
  alias(id, codes);
}

void Builder::alias(ValueId id, View view) {
  Place& made = place(id);
  made.dims = view.dims;
  made.ready = true;
  if (made.views.empty() || !same_place(made.views[0], view)) made.views.insert(made.views.begin(), std::move(view));
}

void Builder::emit(int32_t node, Draft draft) {
  StepDetails& details = draft.details;
  if (node >= 0) {
    details.name = this->node(node).name;
    details.op = this->node(node).op;
    if (details.nodes.empty()) details.nodes = {node};
  }
  owners_.push_back(draft.params);
  drafts_.push_back(std::move(draft));
}

void Builder::lower(int32_t n, std::vector<std::string>& missing) {
  current_ = n;
  const Node& node = this->node(n);
  const size_t emitted = drafts_.size();
  std::string why;
  for (const StepRow& row : find_rows(node)) {
    if (options_.reference_float && !row.same_bits) continue;
    if (row.make(*this, n, why)) return;
    LOWBIT_CHECK(drafts_.size() >= emitted);
  }
  if (options_.fallback && options_.fallback(*this, n, why)) return;
  missing.push_back(fmt::format("{} '{}'{}", printable(node.full_op(), 60), printable(node.name, 60),
                                why.empty() ? "" : " (" + why + ")"));
}

std::shared_ptr<const Plan> Builder::build() {
  std::vector<std::string> missing;
  for (size_t n = 0; n < graph_.nodes.size(); ++n) {
    if (covered(static_cast<int32_t>(n))) continue;
    lower(static_cast<int32_t>(n), missing);
    if (!missing.empty()) break;  // what follows has no inputs
  }
  if (!missing.empty())
    throw Error(ErrorCode::unsupported, "no step runs " + join(missing, ", ") + " with these input shapes");
  add_outputs();
  auto plan = std::make_shared<Plan>();
  finish(*plan);
  return plan;
}

std::optional<View> Builder::inside_concat(ValueId id, DType dtype, const Dims& dims, Order order) {
  // The reader must be a Concat of values that are kept alike, whose other inputs' sizes are known from the graph. A
  // single channel would leave no contiguous axis.
  if (dims.size() < 3 || dims[1] == 1) return std::nullopt;
  const auto& readers = index_.readers(id);
  for (const Graph::Use& use : readers) {
    if (use.position < 0) continue;
    const Node& concat = node(use.node);
    if (!concat.is("Concat") || is_output(concat.output()) || is_output(id)) continue;
    const ValueId joined = concat.output();
    const auto plan = concat_layout(*this, concat, id, dims);
    if (!plan) continue;
    auto found = concats_.find(joined);
    if (found == concats_.end()) {
      if (order != Order::channels_last || dims.size() < 3 || plan->axis != 1) return std::nullopt;
      found = concats_.emplace(joined, new_view(dtype, plan->dims, order)).first;
    }
    const View& whole = found->second;
    if (whole.dtype != dtype || whole.dims != plan->dims || order != Order::channels_last) return std::nullopt;
    View part = whole;
    part.dims = dims;
    part.offset += plan->begin * whole.stride(plan->axis);
    return part;
  }
  return std::nullopt;
}

const View* Builder::concat_buffer(ValueId joined) const {
  const auto found = concats_.find(joined);
  return found == concats_.end() ? nullptr : &found->second;
}

}  // namespace lowbit::plan
