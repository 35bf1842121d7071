#include "lowbit/kernels/qlayer.h"

#include <string_view>

#include "lowbit/base/error.h"
#include "lowbit/kernels/ref/ref.h"

namespace lowbit::kernels {

#if defined(__x86_64__)
namespace avx2 {
extern const QLayerKernel qlayer_kernel;
}
#endif

std::span<const QLayerKernel> qlayer_table() {
  static const QLayerKernel rows[] = {
#if defined(__x86_64__)
    avx2::qlayer_kernel,
#endif
    ref::qlayer_kernel
  };
  return rows;
}

const QLayerKernel& select_qlayer(const QLayerShape& shape, Code input, Isa isa) {
  const QLayerKernel* best = nullptr;
  for (const QLayerKernel& row : qlayer_table())
    if (row.isa <= isa && row.offers(shape, input) && (!best || row.isa > best->isa)) best = &row;
  LOWBIT_CHECK(best);
  return *best;
}

const QLayerKernel* find_qlayer(std::string_view name) {
  for (const QLayerKernel& row : qlayer_table())
    if (row.name == name) return &row;
  return nullptr;
}

void set_onnx_strides(const QLayerShape& shape, QLayerWeights& weights) {
  weights.stride_x = 1;
  weights.stride_y = shape.kernel_w;
  weights.stride_in = shape.kernel_h * shape.kernel_w;
  weights.stride_out = shape.group_in() * weights.stride_in;
}

}  // namespace lowbit::kernels
