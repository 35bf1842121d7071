// LSTM, GRU and RNN over kernels/recurrent.h: with low-bit weights and codes of the activations, or in float32.
#include <algorithm>
#include <array>
#include <cstring>

#include <fmt/format.h>

#include "lowbit/kernels/recurrent.h"
#include "lowbit/runtime/plan/convert.h"
#include "lowbit/runtime/plan/lowbit_blob.h"
#include "lowbit/runtime/plan/steps/steps.h"
#include "lowbit/runtime/recurrent_node.h"

namespace lowbit::plan {
namespace {

using kernels::RecurrentLayer;

constexpr int64_t kMostDirections = 2;
int64_t rounded_up(int64_t bytes) { return (bytes + 63) / 64 * 64; }

struct RecurrentParams {
  std::array<RecurrentLayer, kMostDirections> layers;
  RecurrentNode node;  ///< directions, strides
  int64_t steps, batch;
  Ref x, h0, c0, lengths;
  bool has_h0, has_c0, has_lengths, wide_lengths, flips, coded;
  float x_scale;
  int32_t x_zero;
  std::array<Ref, 3> outputs;  ///< Y, Y_h, Y_c
  std::array<bool, 3> wanted;
  int64_t kernel_bytes;
};

/// Lengths as the kernel wants them; what a caller passes beyond the steps counts as all of them.
void read_lengths(const RecurrentParams& p, const RunContext& context, int64_t* lengths) {
  for (int64_t i = 0; i < p.batch; ++i) {
    const int64_t n =
        p.wide_lengths ? context.at<const int64_t>(p.lengths)[i] : context.at<const int32_t>(p.lengths)[i];
    lengths[i] = std::clamp<int64_t>(n, 0, p.steps);
  }
}

void run_steps_of(const void* raw, const RunContext& context, int64_t, int64_t, std::byte* scratch) noexcept {
  const auto& p = *static_cast<const RecurrentParams*>(raw);
  kernels::RecurrentCall call;
  call.steps = p.steps;
  call.batch = p.batch;
  p.node.set_strides(call);
  call.scratch = scratch;
  auto* lengths = reinterpret_cast<int64_t*>(scratch + p.kernel_bytes);
  auto* codes = reinterpret_cast<int8_t*>(lengths) + rounded_up(p.batch * 8);
  const int64_t elements = p.steps * p.batch * p.node.inputs;
  if (!p.coded) {
    call.x = context.at<const float>(p.x);
  } else {
    call.x_codes = context.at<const int8_t>(p.x);
    call.x_scale = p.x_scale;
    call.x_zero = p.x_zero;
    const auto* from = context.at<const uint8_t>(p.x);
    for (int64_t i = 0; i < elements && p.flips; ++i) codes[i] = static_cast<int8_t>(from[i] ^ 0x80);
    if (p.flips) call.x_codes = codes;
  }
  if (p.has_lengths) {
    read_lengths(p, context, lengths);
    call.lengths = lengths;
    if (p.wanted[0])
      std::memset(context.raw(p.outputs[0]), 0,
                  static_cast<size_t>(p.steps * p.batch * p.node.directions * p.node.layer.hidden) * sizeof(float));
  }
  const kernels::TaskPool pool{context.parallel.run, context.parallel.pool, context.parallel.threads};
  for (int64_t d = 0; d < p.node.directions; ++d) {
    const int64_t at = p.node.direction_offset(d, p.batch);
    const auto output = [&](size_t i) { return p.wanted[i] ? context.at<float>(p.outputs[i]) + at : nullptr; };
    call.h0 = p.has_h0 ? context.at<const float>(p.h0) + at : nullptr;
    call.c0 = p.has_c0 ? context.at<const float>(p.c0) + at : nullptr;
    call.y = output(0);
    call.last_h = output(1);
    call.last_c = output(2);
    kernels::run_recurrent(p.layers[static_cast<size_t>(d)], call, pool, kernels::active_isa());
  }
}

/// While the step is made.
struct RecurrentMaker {
  Builder& builder;
  int32_t n;
  RecurrentNode read;
  RecurrentParams p{};
  Draft draft{};
  int64_t weight_bytes = 0;
  int bits = 32;

  const Node& node() const { return builder.node(n); }
  const float* vector(const std::vector<float>& values);
  bool add_lowbit(size_t input, int64_t d, bool real, LowbitEntry& entry, std::string& why);
  void add_float(size_t input, int64_t d, kernels::RecurrentFloatMatrix& matrix);
  void keep(const Blob& blob) {
    draft.reads.push_back(builder.constant(blob.bytes, blob.bytes.get(), static_cast<int64_t>(blob.size)).buffer);
    weight_bytes += static_cast<int64_t>(blob.size);
  }
  LowbitForm form(size_t input, bool real) const {
    const int64_t k = input == 1 ? read.inputs : read.layer.hidden;
    return {read.layer.gates() * read.layer.padded_hidden(), k, true, input == 1 && !real, real};
  }
};

const float* RecurrentMaker::vector(const std::vector<float>& values) {
  if (values.empty()) return nullptr;
  const auto bytes = allocate_aligned(values.size() * sizeof(float) + kernels::kReadSlack);
  std::memcpy(bytes.get(), values.data(), values.size() * sizeof(float));
  keep({bytes, values.size() * sizeof(float)});
  return reinterpret_cast<const float*>(bytes.get());
}

/// The matrix of an input and direction, packed or from the store.
bool RecurrentMaker::add_lowbit(size_t input, int64_t d, bool real, LowbitEntry& entry, std::string& why) {
  const std::string key =
      fmt::format("{}/{}/{}{}", node().name, input == 1 ? "input" : "recurrent", d, real ? "/decoded" : "");
  auto blob = builder.weights().find(key);
  if (!blob || !open_lowbit(*blob, form(input, real))) {
    builder.require_elements(node().inputs[input]);
    const WeightOrder order{{0, 1, 2}, 2};
    const Value& weight = builder.graph().value(node().inputs[input]);
    const auto matrix = real ? real_level_matrix(weight, order, why) : level_matrix(weight, order, why);
    if (!matrix) return false;
    blob = make_lowbit(*matrix, read.row_order(d), form(input, real), why);
    if (!blob) return false;
    builder.weights().put(key, *blob, builder.own_constant(node().inputs[input]));
  }
  entry = *open_lowbit(*blob, form(input, real));
  bits = kernels::lowbit_bits(entry.matrix.coding);
  keep(*blob);
  return true;
}

/// Rows padded between the gates, as float32 or in few bits.
void RecurrentMaker::add_float(size_t input, int64_t d, kernels::RecurrentFloatMatrix& matrix) {
  std::string why;
  const int64_t rows = read.layer.gates() * read.layer.padded_hidden(), k = form(input, true).k;
  matrix.shape = kernels::qgemm_shape(1, rows, k);
  // Decoding pays where a matrix is used once; the recurrent one is used at every step of a sequence.
  const Dims& x = builder.dims(node().inputs[0]);
  const bool once = input == 1 || (x.size() == 3 && x[0] * x[1] == 1);
  if (LowbitEntry entry;
      once && builder.graph().value(node().inputs[input]).quantization && add_lowbit(input, d, true, entry, why)) {
    matrix.lowbit = {entry.matrix, entry.real_levels};
    return;
  }
  const std::string key = fmt::format("{}/float/{}/{}", node().name, input, d);
  const size_t bytes = kernels::float_layer_packed_bytes(matrix.shape, kernels::FloatStorage::f32);
  auto blob = builder.weights().find(key);
  if (!blob || blob->size != bytes) {
    const Tensor values = builder.real_constant(node().inputs[input]);
    std::vector<float> padded(static_cast<size_t>(rows * k), 0.0f);
    const std::vector<int64_t> order = read.row_order(d);
    for (int64_t i = 0; i < rows; ++i)
      if (const int64_t from = order[static_cast<size_t>(i)]; from >= 0)
        std::copy_n(values.data<float>() + from * k, k, padded.begin() + i * k);
    const auto packed = allocate_aligned(bytes);
    kernels::float_layer_pack(matrix.shape, {padded.data(), k, 1, 1, 1}, kernels::FloatStorage::f32, packed.get());
    blob = Blob{packed, bytes};
    builder.weights().put(key, *blob, builder.own_constant(node().inputs[input]));
  }
  matrix.packed = blob->bytes.get();
  keep(*blob);
}

/// Optional inputs: lengths and first states. False if one does not fit.
bool add_optional_inputs(RecurrentMaker& m, std::string& why) {
  Builder& builder = m.builder;
  RecurrentParams& p = m.p;
  const Dims state = m.read.state_dims(p.batch);
  for (const size_t input : {size_t{4}, size_t{5}, size_t{6}}) {
    const ValueId id = input == 6 && !m.node().is("LSTM") ? kNone : m.node().input(input);
    if (id == kNone) continue;
    if (!builder.ready(id) || builder.dims(id) != (input == 4 ? Dims{p.batch} : state))
      return why = "its lengths or first states do not fit", false;
    const View view = input == 4 ? builder.operand(id, Order::row_major) : builder.real_operand(id, Order::row_major);
    if (view.dtype != DType::float32 && (input != 4 || (view.dtype != DType::int32 && view.dtype != DType::int64)))
      return why = "its lengths or first states are of another type", false;
    (input == 4 ? p.has_lengths : input == 5 ? p.has_h0 : p.has_c0) = true;
    (input == 4 ? p.lengths : input == 5 ? p.h0 : p.c0) = view.ref();
    if (input == 4) p.wide_lengths = view.dtype == DType::int64;
    m.draft.reads.push_back(view.buffer);
  }
  return true;
}

bool known_lengths_fit(const Builder& builder, ValueId id, int64_t steps) {
  const Tensor* known = builder.known(id);
  if (!known || !is_integer(known->dtype())) return known == nullptr;
  const std::vector<int64_t> lengths = to_int64(*known);
  return std::all_of(lengths.begin(), lengths.end(), [&](int64_t n) { return n >= 0 && n <= steps; });
}

bool emit_recurrent(RecurrentMaker& m, std::string& why) {
  Builder& builder = m.builder;
  const Node& node = m.node();
  RecurrentParams& p = m.p;
  const Dims dims = builder.dims(node.inputs[0]);
  if (dims.size() != 3 || dims[2] != m.read.inputs) return why = "its input does not fit its weights", false;
  p.node = m.read;
  p.steps = dims[m.read.batch_first ? 1 : 0];
  p.batch = dims[m.read.batch_first ? 0 : 1];
  if (!known_lengths_fit(builder, node.input(4), p.steps))
    return why = "a sequence length does not fit its steps", false;
  if (!add_optional_inputs(m, why)) return false;
  const View x = p.coded ? builder.operand(node.inputs[0], Order::row_major)
                         : builder.real_operand(node.inputs[0], Order::row_major);
  p.x = x.ref();
  m.draft.reads.push_back(x.buffer);
  const int threads = builder.options().threads;
  for (int64_t d = 0; d < m.read.directions; ++d)
    p.kernel_bytes = std::max(p.kernel_bytes, rounded_up(static_cast<int64_t>(kernels::recurrent_scratch_bytes(
                                                  p.layers[static_cast<size_t>(d)], p.steps, p.batch, threads))));
  m.draft.scratch_bytes = p.kernel_bytes + rounded_up(p.batch * 8) + (p.flips ? rounded_up(x.count()) : 0);
  for (size_t i = 0; i < node.outputs.size() && i < 3; ++i) {
    if (node.outputs[i] == kNone) continue;
    const Dims out = i == 0 ? m.read.output_dims(p.steps, p.batch) : m.read.state_dims(p.batch);
    const View y = builder.real_result(node.outputs[i], out, Order::row_major);
    p.outputs[i] = y.ref();
    p.wanted[i] = true;
    m.draft.writes.push_back(y.buffer);
  }
  Draft& draft = m.draft;
  draft.run = run_steps_of;
  const int64_t rows = m.read.layer.gates() * m.read.layer.hidden;
  draft.details.macs = m.read.directions * p.steps * p.batch * rows * (m.read.inputs + m.read.layer.hidden);
  draft.details.bytes = m.weight_bytes + x.count() * (p.coded ? 1 : 4);
  draft.details.integer = !p.layers[0].floats;
  draft.details.kernel = fmt::format("{} {}, weights stored in {} bits", node.op,
                                     p.layers[0].floats ? "float32"
                                     : p.coded          ? "codes"
                                                        : "dynamic codes",
                                     m.bits);
  draft.details.note = "gates and states in float32";
  draft.params = std::make_shared<const RecurrentParams>(p);
  builder.emit(m.n, std::move(draft));
  for (size_t i = 0; i < node.outputs.size() && i < 3; ++i)
    if (node.outputs[i] != kNone) builder.finish_real(node.outputs[i]);
  return true;
}

/// Biases and directions of p.layers, behind their weights.
void set_direction(RecurrentMaker& m, int64_t d) {
  RecurrentLayer& layer = m.p.layers[static_cast<size_t>(d)];
  const RecurrentNode::Biases biases = m.read.biases(d);
  layer.input_bias = m.vector(biases.input);
  layer.recurrent_bias = m.vector(biases.recurrent);
  layer.peephole = m.vector(m.read.peepholes(d));
  layer.reverse = m.read.reverse || d == 1;
}

std::optional<RecurrentMaker> begin(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  if (!builder.ready(node.input(0)) || builder.known(node.inputs[0]))
    return why = "its input is constant", std::nullopt;
  const Value& x = builder.graph().value(node.inputs[0]);
  if (x.dtype != DType::float32 && x.dtype != DType::undefined) return why = "its input is not float32", std::nullopt;
  auto read = read_recurrent(builder.graph(), node, why);
  if (!read) return std::nullopt;
  RecurrentMaker m{builder, n, std::move(*read)};
  m.p.layers.fill(m.read.layer);
  return m;
}

}  // namespace

bool make_recurrent(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  auto m = begin(builder, n, why);
  if (!m) return false;
  const auto& x = builder.graph().value(node.inputs[0]).quantization;
  if (!x || (!x->dynamic && !builder.context().per_tensor(node.inputs[0]))) return why = "its input stays float", false;
  if (!x->linear() || x->format.bits != 8) return why = "its input is of no 8-bit linear system", false;
  if (!builder.context().linear(node.inputs[1]) || !builder.context().linear(node.inputs[2]))
    return why = "its weights have no linear annotation", false;
  m->p.coded = !x->dynamic;
  if (m->p.coded) {
    m->p.flips = code_dtype(*x) == DType::uint8;
    m->p.x_scale = x->linear_at(0).scale;
    m->p.x_zero = x->linear_at(0).zero_point - (m->p.flips ? 128 : 0);
  }
  for (int64_t d = 0; d < m->read.directions; ++d) {
    LowbitEntry input, recurrent;
    if (!m->add_lowbit(1, d, false, input, why) || !m->add_lowbit(2, d, false, recurrent, why)) return false;
    m->p.layers[static_cast<size_t>(d)].input = input.matrix;
    m->p.layers[static_cast<size_t>(d)].recurrent = recurrent.matrix;
    set_direction(*m, d);
  }
  return emit_recurrent(*m, why);
}

bool make_real_recurrent(Builder& builder, int32_t n, std::string& why) {
  auto m = begin(builder, n, why);
  if (!m) return false;
  const auto& x = builder.graph().value(builder.node(n).inputs[0]).quantization;
  if (x && x->dynamic && builder.context().linear(builder.node(n).inputs[1]))
    return why = why.empty() ? "its input is rounded when it comes" : why, false;
  for (int64_t d = 0; d < m->read.directions; ++d) {
    RecurrentLayer& layer = m->p.layers[static_cast<size_t>(d)];
    layer.floats = true;
    m->add_float(1, d, layer.float_input);
    m->add_float(2, d, layer.float_recurrent);
    set_direction(*m, d);
  }
  return emit_recurrent(*m, why);
}

}  // namespace lowbit::plan
