// MatMul of two activations (attention) on codes: the second operand is packed in every run, straight from its strides,
// so that transposed keys and split heads are never copied.
#include <algorithm>

#include <fmt/format.h>

#include "lowbit/kernels/qlayer.h"
#include "lowbit/runtime/plan/convert.h"
#include "lowbit/runtime/plan/nest.h"
#include "lowbit/runtime/plan/steps/steps.h"

namespace lowbit::plan {
namespace {

using kernels::Code;

/// y[m][n] = (a - z_a) (b - z_b) for each matrix of a batch. With b' = b shifted into int8 and z' its zero point there,
///   sum (a - z_a) (b' - z') = sum (a - z_a) b' - z' sum (a - z_a)
/// so that the layer kernel multiplies by b' and a row sum corrects it.
struct ProductParams {
  const kernels::QLayerKernel* kernel;
  kernels::QLayerShape shape;  // of one matrix
  Nest batch;                  // views: y, a, b over the batch axes; rows and n are 1
  Ref a, b, y;
  Code a_type, y_type;
  bool shifts;  ///< b is uint8
  int64_t a_stride, b_stride_k, b_stride_n, y_stride;
  int32_t zero_a, zero_b;  ///< zero_b: after the shift
  int32_t zero_y, low, high;
  float factor;
  double scale;
  size_t packed_bytes, kernel_scratch, sums_bytes;
};

int32_t code_at(const std::byte* data, int64_t i, Code type) {
  return type == Code::u8 ? static_cast<int32_t>(reinterpret_cast<const uint8_t*>(data)[i])
                          : static_cast<int32_t>(reinterpret_cast<const int8_t*>(data)[i]);
}

/// b as [n][k] int8.
void shift_columns(const ProductParams& p, const std::byte* b, int8_t* columns) {
  const int64_t k = p.shape.in_channels, n = p.shape.out_channels;
  const uint8_t flip = p.shifts ? 0x80 : 0;  // u8 - 128 as a byte
  const auto* from = reinterpret_cast<const uint8_t*>(b);
  if (p.b_stride_k == 1) {
    for (int64_t c = 0; c < n; ++c)
      for (int64_t i = 0; i < k; ++i) columns[c * k + i] = static_cast<int8_t>(from[c * p.b_stride_n + i] ^ flip);
  } else {
    for (int64_t i = 0; i < k; ++i)
      for (int64_t c = 0; c < n; ++c)
        columns[c * k + i] = static_cast<int8_t>(from[i * p.b_stride_k + c * p.b_stride_n] ^ flip);
  }
}

template <typename T>
void store_row(const ProductParams& p, const int32_t* acc, int32_t correction, T* y) {
  constexpr float kShift = 12582912.0f;  // 1.5 * 2^23: the sum has no fraction bits left
  const auto low = static_cast<float>(p.low - p.zero_y), high = static_cast<float>(p.high - p.zero_y);
  for (int64_t c = 0; c < p.shape.out_channels; ++c) {
    const float x = std::min(std::max(static_cast<float>(acc[c] - correction) * p.factor, low), high);
    y[c] = static_cast<T>(static_cast<int32_t>((x + kShift) - kShift) + p.zero_y);
  }
}

void finish_row(const ProductParams& p, const int32_t* acc, int32_t correction, std::byte* y) {
  switch (p.y_type) {
    case Code::u8:
      return store_row(p, acc, correction, reinterpret_cast<uint8_t*>(y));
    case Code::s8:
      return store_row(p, acc, correction, reinterpret_cast<int8_t*>(y));
    case Code::u16:
      return store_row(p, acc, correction, reinterpret_cast<uint16_t*>(y));
    case Code::s16:
      return store_row(p, acc, correction, reinterpret_cast<int16_t*>(y));
    default:
      for (int64_t c = 0; c < p.shape.out_channels; ++c)
        reinterpret_cast<float*>(y)[c] = static_cast<float>(static_cast<double>(acc[c] - correction) * p.scale);
  }
}

constexpr size_t kLine = 64;
size_t rounded(size_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

void run_matrix(const ProductParams& p, const std::byte* a, const std::byte* b, std::byte* y, std::byte* scratch) {
  const int64_t m = p.shape.pixels(), n = p.shape.out_channels, k = p.shape.in_channels;
  std::byte* packed = scratch;
  auto* sums = reinterpret_cast<int32_t*>(packed + p.packed_bytes);
  std::byte* kernel_scratch = packed + p.packed_bytes + p.sums_bytes;
  // The columns are only needed until they are packed; the sums come after.
  auto* columns = reinterpret_cast<int8_t*>(sums);
  shift_columns(p, b, columns);
  const kernels::QLayerWeights weights{columns, k, 1, 1, 1, nullptr, nullptr, nullptr, p.zero_a, p.a_type};
  p.kernel->pack(p.shape, weights, Code::s32, packed);
  kernels::QLayerCall call{};
  call.shape = &p.shape;
  call.packed = packed;
  call.input = a;
  call.input_stride = p.a_stride;
  call.output = sums;
  call.output_stride = n;
  call.out.type = Code::s32;
  call.pixel_end = m;
  call.channel_end = n;
  call.scratch = kernel_scratch;
  p.kernel->run(call);
  const auto y_bytes = static_cast<int64_t>(kernels::code_bytes(p.y_type));
  for (int64_t r = 0; r < m; ++r) {
    int32_t sum = 0;
    if (p.zero_b != 0) {
      for (int64_t i = 0; i < k; ++i) sum += code_at(a, r * p.a_stride + i, p.a_type);
      sum -= static_cast<int32_t>(k) * p.zero_a;
    }
    finish_row(p, sums + r * n, p.zero_b * sum, y + r * p.y_stride * y_bytes);
  }
}

void run_product(const void* raw, const RunContext& context, int64_t first, int64_t last, std::byte* scratch) noexcept {
  const auto& p = *static_cast<const ProductParams*>(raw);
  p.batch.run(first, last, [&](const auto& at, int64_t, int64_t) {
    run_matrix(p, context.raw(p.a) + at[1], context.raw(p.b) + at[2],
               context.raw(p.y) + at[0] * static_cast<int64_t>(kernels::code_bytes(p.y_type)), scratch);
  });
}

int32_t span_of(const Quantization& q) {
  const CodeRange range = q.codes();
  return std::max(range.max - q.linear_at(0).zero_point, q.linear_at(0).zero_point - range.min);
}

}  // namespace

bool make_product(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  const Quantization *qa = builder.context().per_tensor(node.input(0)),
                     *qb = builder.context().per_tensor(node.input(1));
  if (!qa || !qb) return why = "an operand stays float", false;
  if (builder.known(node.inputs[0]) || builder.known(node.inputs[1]))
    return why = "a constant operand has no matrix form here", false;
  const FusedActivation activation = fused_activation(builder.context(), node.outputs[0]);
  const Quantization* qy = builder.context().per_tensor(activation.output);
  const auto ta = code_of(code_dtype(*qa)), tb = code_of(code_dtype(*qb)),
             ty = qy ? code_of(code_dtype(*qy)) : std::optional(Code::f32);
  if (!ta || !tb || !ty || kernels::code_bytes(*ta) != 1 || kernels::code_bytes(*tb) != 1 || *ty == Code::s32)
    return why = "its codes are wider than 8 bits", false;
  const Dims da = builder.dims(node.inputs[0]), db = builder.dims(node.inputs[1]);
  if (da.size() < 2 || db.size() < 2 || da.back() != db[db.size() - 2]) return why = "its operands do not fit", false;
  const int64_t m = da[da.size() - 2], k = da.back(), columns = db.back();
  if (static_cast<int64_t>(span_of(*qa)) * span_of(*qb) > INT32_MAX / 2 / std::max<int64_t>(k, 1))
    return why = "its accumulators need 64 bits", false;
  const Dims batch = broadcast_dims(Dims(da.begin(), da.end() - 2), Dims(db.begin(), db.end() - 2));
  if (batch.size() > Nest::kOuter) return why = "it has too many axes", false;

  View a = builder.operand(node.inputs[0]);
  if (a.dim(a.rank() - 1) > 1 && a.stride(a.rank() - 1) != 1) a = builder.operand(node.inputs[0], Order::row_major);
  const View b = builder.operand(node.inputs[1]);
  Dims dims = batch;
  dims.insert(dims.end(), {m, columns});
  const View y = builder.result(activation.output, DType::float32, dims, Order::row_major);
  ProductParams p{};
  p.shape = kernels::qgemm_shape(m, columns, k);
  p.kernel = &kernels::select_qlayer(p.shape, *ta);
  p.batch = make_batch_nest(y, a, b, batch);
  p.a = a.ref();
  p.b = b.ref();
  p.y = y.ref();
  p.a_type = *ta;
  p.y_type = *ty;
  p.shifts = *tb == Code::u8;
  p.a_stride = a.stride(a.rank() - 2);
  p.b_stride_k = b.stride(b.rank() - 2);
  p.b_stride_n = b.stride(b.rank() - 1);
  p.y_stride = columns;
  p.zero_a = qa->linear_at(0).zero_point;
  p.zero_b = qb->linear_at(0).zero_point - (p.shifts ? 128 : 0);
  if (qy) {
    const OutputCodes codes = output_codes(*qy, activation);
    p.zero_y = codes.zero_point;
    p.low = codes.low;
    p.high = codes.high;
    p.factor = qa->linear_at(0).scale * qb->linear_at(0).scale / qy->linear_at(0).scale;
  }
  p.scale = static_cast<double>(qa->linear_at(0).scale) * static_cast<double>(qb->linear_at(0).scale);
  p.packed_bytes = rounded(p.kernel->packed_bytes(p.shape, Code::s32));
  p.kernel_scratch = p.kernel->scratch_bytes(p.shape);
  p.sums_bytes = rounded(static_cast<size_t>(std::max(m * columns * 4, k * columns)));
  Draft draft;
  draft.run = run_product;
  draft.tasks = p.batch.outer_count;
  draft.details.macs = p.batch.outer_count * m * columns * k;
  draft.nanoseconds =
      static_cast<double>(draft.details.macs) / 40.0 + static_cast<double>(p.batch.outer_count * k * columns);
  draft.scratch_bytes = static_cast<int64_t>(p.packed_bytes + p.sums_bytes + rounded(p.kernel_scratch));
  draft.reads = {a.buffer, b.buffer};
  draft.writes = {y.buffer};
  draft.details.integer = true;
  draft.details.bytes = a.count() + b.count() + y.count();
  draft.details.kernel = fmt::format("product {} x {} -> {}, {}", to_string(qa->format), to_string(qb->format),
                                     qy ? to_string(qy->format) : "float32", p.kernel->name);
  draft.details.nodes = {n};
  if (activation.node >= 0) {
    draft.details.nodes.push_back(activation.node);
    builder.cover(activation.node);
  }
  draft.params = std::make_shared<const ProductParams>(p);
  builder.emit(n, std::move(draft));
  return true;
}

}  // namespace lowbit::plan
