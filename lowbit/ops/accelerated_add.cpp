#include "lowbit/ops/accelerated_rows.h"
#include "lowbit/ops/dispatch.h"

namespace lowbit {
namespace {

void add(const float* __restrict a, const float* __restrict b, float* __restrict y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = a[i] + b[i];
}

/// NaN stays NaN, as in the reference.
void add_relu(const float* __restrict a, const float* __restrict b, float* __restrict y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    const float sum = a[i] + b[i];
    y[i] = sum < 0.0f ? 0.0f : sum;
  }
}

/// The sum at the end of a residual block, with the Relu behind it in the same pass over memory.
bool run_add(FastContext& context) {
  const Tensor &a = context.input(0), &b = context.input(1);
  if (a.dtype() != DType::float32 || b.dtype() != DType::float32 || a.dims() != b.dims()) return false;
  Tensor y = make_output(context.node(), DType::float32, a.dims());
  const float *pa = a.data<float>(), *pb = b.data<float>();
  float* out = y.mutable_data<float>();
  constexpr int64_t kBlock = int64_t{1} << 15;
  const auto sum = context.relu ? add_relu : add;
  context.threads().parallel_blocks(
      a.count(), kBlock, [=](int64_t begin, int64_t end) { sum(pa + begin, pb + begin, out + begin, end - begin); });
  context.set_output(0, std::move(y));
  return true;
}

}  // namespace

std::span<const AcceleratedRow> accelerated_sums() {
  static constexpr AcceleratedRow kRows[] = {{"Add", run_add, /*channels_last=*/false, /*relu=*/true}};
  return kRows;
}

}  // namespace lowbit
