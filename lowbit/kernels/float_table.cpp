// The instruction sets of the float kernels.
#include "lowbit/kernels/float_layer.h"

namespace lowbit::kernels {

std::span<const FloatRow> float_table() {
  static const FloatRow kRows[] = {
    {Isa::ref, &ref::float_kernels, &ref::float_math_kernels},
#if defined(__aarch64__)
    {Isa::neon, &neon::float_kernels, &neon::float_math_kernels},
#endif
#if defined(__x86_64__)
    {Isa::avx2, &avx2::float_kernels, &avx2::float_math_kernels},
    {Isa::avx512, &avx512::float_kernels, &avx512::float_math_kernels},
#endif
  };
  return kRows;
}

const FloatRow& float_row(Isa isa) {
  const FloatRow* best = &float_table().front();
  for (const FloatRow& row : float_table())
    if (row.isa <= isa) best = &row;
  return *best;
}

}  // namespace lowbit::kernels
