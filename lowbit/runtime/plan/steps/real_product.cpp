// MatMul of two float32 activations (attention): the columns of the second are gathered into blocks in every run,
// straight from their strides.
#include <algorithm>
#include <cstring>

#include "lowbit/kernels/float_layer.h"
#include "lowbit/runtime/plan/steps/steps.h"

namespace lowbit::plan {
namespace {

using kernels::kFloatColumns;

struct RealProductParams {
  kernels::QLayerShape shape;  // of one matrix
  Nest batch;                  // views: y, a, b over the batch axes
  Ref a, b, y;
  int64_t a_stride, b_stride_k, b_stride_n, y_stride;
  int64_t packed_bytes;
  kernels::Isa isa;
};

/// b as float_layer.h wants it: [block of 16 columns][k][16], zeros behind the last column.
void pack_columns(const RealProductParams& p, const float* b, float* packed) {
  const int64_t k = p.shape.in_channels, n = p.shape.out_channels;
  for (int64_t first = 0; first < n; first += kFloatColumns, packed += k * kFloatColumns) {
    const int64_t count = std::min<int64_t>(kFloatColumns, n - first);
    for (int64_t i = 0; i < k; ++i) {
      const float* from = b + i * p.b_stride_k + first * p.b_stride_n;
      float* to = packed + i * kFloatColumns;
      for (int64_t c = 0; c < count; ++c) to[c] = from[c * p.b_stride_n];
      std::fill(to + count, to + kFloatColumns, 0.0f);
    }
  }
}

void run_real_product(const void* raw, const RunContext& context, int64_t first, int64_t last,
                      std::byte* scratch) noexcept {
  const auto& p = *static_cast<const RealProductParams*>(raw);
  p.batch.run(first, last, [&](const auto& at, int64_t, int64_t) {
    pack_columns(p, context.at<const float>(p.b) + at[2], reinterpret_cast<float*>(scratch));
    kernels::FloatLayerCall call{};
    call.shape = &p.shape;
    call.packed = scratch;
    call.input = context.at<const float>(p.a) + at[1];
    call.input_stride = p.a_stride;
    call.output = context.at<float>(p.y) + at[0];
    call.output_stride = p.y_stride;
    call.pixel_end = p.shape.pixels();
    call.channel_end = p.shape.out_channels;
    call.scratch = scratch + p.packed_bytes;
    kernels::run_float_layer(call, p.isa);
  });
}

}  // namespace

bool make_real_product(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  for (size_t i = 0; i < 2; ++i) {
    if (!builder.ready(node.input(i))) return why = "an operand is not computed", false;
    const Tensor* known = builder.known(node.inputs[i]);
    const DType type = known ? known->dtype() : builder.graph().value(node.inputs[i]).dtype;
    if (type != DType::float32 && (known || type != DType::undefined)) return why = "an operand is not float32", false;
  }
  if (builder.known(node.inputs[0]) && builder.known(node.inputs[1])) return why = "its operands are constant", false;
  const Dims da = builder.dims(node.inputs[0]), db = builder.dims(node.inputs[1]);
  if (da.size() < 2 || db.size() < 2 || da.back() != db[db.size() - 2]) return why = "its operands do not fit", false;
  const Dims batch = broadcast_dims(Dims(da.begin(), da.end() - 2), Dims(db.begin(), db.end() - 2));
  if (batch.size() > Nest::kOuter) return why = "it has too many axes", false;
  View a = builder.real_operand(node.inputs[0]);
  if (a.dim(a.rank() - 1) > 1 && a.stride(a.rank() - 1) != 1)
    a = builder.real_operand(node.inputs[0], Order::row_major);
  const View b = builder.real_operand(node.inputs[1]);
  Dims dims = batch;
  dims.insert(dims.end(), {da[da.size() - 2], db.back()});
  const View y = builder.real_result(node.outputs[0], dims, Order::row_major);
  RealProductParams p{};
  p.shape = kernels::qgemm_shape(da[da.size() - 2], db.back(), da.back());
  p.batch = make_batch_nest(y, a, b, batch);
  p.a = a.ref();
  p.b = b.ref();
  p.y = y.ref();
  p.a_stride = a.stride(a.rank() - 2);
  p.b_stride_k = b.stride(b.rank() - 2);
  p.b_stride_n = b.stride(b.rank() - 1);
  p.y_stride = db.back();
  p.isa = kernels::active_isa();
  p.packed_bytes =
      static_cast<int64_t>(kernels::float_layer_packed_bytes(p.shape, kernels::FloatStorage::f32) + 63) / 64 * 64;
  Draft draft;
  draft.run = run_real_product;
  draft.tasks = p.batch.outer_count;
  draft.details.macs = p.batch.outer_count * p.shape.pixels() * p.shape.out_channels * p.shape.in_channels;
  draft.nanoseconds = static_cast<double>(draft.details.macs) / 25.0;
  draft.scratch_bytes = p.packed_bytes + static_cast<int64_t>(kernels::float_layer_scratch_bytes(p.shape));
  draft.reads = {a.buffer, b.buffer};
  draft.writes = {y.buffer};
  draft.details.bytes = 4 * (a.count() + b.count() + y.count());
  draft.details.kernel = "product float32";
  draft.params = std::make_shared<const RealProductParams>(p);
  builder.emit(n, std::move(draft));
  builder.finish_real(node.outputs[0]);
  return true;
}

}  // namespace lowbit::plan
