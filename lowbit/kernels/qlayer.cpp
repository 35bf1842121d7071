#include "lowbit/kernels/qlayer.h"

#include <string_view>

#include "lowbit/base/error.h"
#include "lowbit/kernels/ref/ref.h"

namespace lowbit::kernels {

// The rows stand at the end of the files of each instruction set.
#if defined(__x86_64__)
namespace avx2 {
extern const QLayerKernel qlayer_kernels[2];
}
namespace avx512 {
extern const QLayerKernel qlayer_kernels[2];
}
namespace avx512vnni {
extern const QLayerKernel qlayer_kernels[2];
}
#elif defined(__aarch64__)
namespace neon {
extern const QLayerKernel qlayer_kernels[2];
}
namespace neondot {
extern const QLayerKernel qlayer_kernels[2];
}
#endif

std::span<const QLayerKernel> qlayer_table() {
  static const QLayerKernel rows[] = {
#if defined(__x86_64__)
    avx512vnni::qlayer_kernels[0],
    avx512vnni::qlayer_kernels[1],
#if !defined(LOWBIT_SMALL_RUNTIME)  // machines with AVX-512 but no VNNI run AVX2's there: docs/runtime.md
    avx512::qlayer_kernels[0],
    avx512::qlayer_kernels[1],
#endif
    avx2::qlayer_kernels[0],
    avx2::qlayer_kernels[1],
#elif defined(__aarch64__)
    neondot::qlayer_kernels[0],
    neondot::qlayer_kernels[1],
    neon::qlayer_kernels[0],
    neon::qlayer_kernels[1],
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
