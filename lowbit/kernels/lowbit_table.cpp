// The instruction sets of the low-bit products.
#include "lowbit/kernels/lowbit_product.h"

namespace lowbit::kernels {

std::span<const LowbitRow> lowbit_table() {
  static const LowbitRow kRows[] = {
    {Isa::ref, &ref::lowbit_kernels},
#if defined(__aarch64__)
    {Isa::neon, &neon::lowbit_kernels},
    {Isa::neondot, &neondot::lowbit_kernels},
#endif
#if defined(__x86_64__)
    {Isa::avx2, &avx2::lowbit_kernels},
#endif
  };
  return kRows;
}

const LowbitKernels& lowbit_kernels(Isa isa) {
  const LowbitKernels* best = &ref::lowbit_kernels;
  for (const LowbitRow& row : lowbit_table())
    if (row.isa <= isa) best = row.kernels;
  return *best;
}

}  // namespace lowbit::kernels
