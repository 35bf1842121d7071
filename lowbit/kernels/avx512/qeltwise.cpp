#include "lowbit/kernels/qeltwise.h"

#include "lowbit/kernels/avx512/vectors.h"
#include "lowbit/kernels/qeltwise_loops.h"

namespace lowbit::kernels::avx512 {

extern const QEltwiseKernels qeltwise_kernels;
extern const QPoolKernels qpool_kernels;
const QEltwiseKernels qeltwise_kernels = eltwise_kernels<Vectors>(Isa::avx512);
const QPoolKernels qpool_kernels = pool_kernels(Isa::avx512);

}  // namespace lowbit::kernels::avx512
