#include <stdint.h>

#include "lowbit/kernels/peak.h"

namespace lowbit::kernels::avx512 {
namespace {

#define LOWBIT_STEP(n) "vpmaddwd %%zmm13, %%zmm12, %%zmm14\n\tvpaddd %%zmm14, %%zmm" #n ", %%zmm" #n "\n\t"

int32_t run(int64_t rounds) noexcept {
  int32_t result = 0;
  asm volatile(
      "vpxor %%xmm0, %%xmm0, %%xmm0\n\t"
      "1:\n\t"  // the other registers hold anything: integer instructions take the same time
      LOWBIT_STEP(0) LOWBIT_STEP(1) LOWBIT_STEP(2) LOWBIT_STEP(3) LOWBIT_STEP(4) LOWBIT_STEP(5)
      LOWBIT_STEP(6) LOWBIT_STEP(7) LOWBIT_STEP(8) LOWBIT_STEP(9) LOWBIT_STEP(10) LOWBIT_STEP(11)
      "dec %0\n\t"
      "jnz 1b\n\t"
      "vmovd %%xmm0, %1\n\t"
      : "+r"(rounds), "=r"(result)
      :
      : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13",
        "xmm14");
  return result;
}

}  // namespace

extern const PeakLoop peak_loop;
const PeakLoop peak_loop = {Isa::avx512, "vpmaddwd", 12 * 32 * 2, run};

}  // namespace lowbit::kernels::avx512
