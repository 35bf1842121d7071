// The instruction sets of the float kernels.
#include "lowbit/kernels/float_layer.h"

namespace lowbit::kernels {
#if defined(LOWBIT_SMALL_RUNTIME)
// Plans have float32 storage only. The functions of AVX-512 are AVX2's: their bits are the same, their time is a small
// share of any network's.
#define LOWBIT_TILES float_kernels_f32
#define LOWBIT_AVX512_MATH avx2::float_math_kernels
#else
#define LOWBIT_TILES float_kernels
#define LOWBIT_AVX512_MATH avx512::float_math_kernels
#endif

std::span<const FloatRow> float_table() {
  static const FloatRow kRows[] = {
    {Isa::ref, &ref::LOWBIT_TILES, &ref::float_math_kernels},
#if defined(__aarch64__)
    {Isa::neon, &neon::LOWBIT_TILES, &neon::float_math_kernels},
#endif
#if defined(__x86_64__)
    {Isa::avx2, &avx2::LOWBIT_TILES, &avx2::float_math_kernels},
    {Isa::avx512, &avx512::LOWBIT_TILES, &LOWBIT_AVX512_MATH},
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
