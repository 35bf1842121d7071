#include "lowbit/kernels/qeltwise.h"

#include "lowbit/kernels/avx2/vectors.h"
#include "lowbit/kernels/qeltwise_loops.h"

namespace lowbit::kernels::avx2 {

extern const QEltwiseKernels qeltwise_kernels;
extern const QPoolKernels qpool_kernels;
const QEltwiseKernels qeltwise_kernels = eltwise_kernels<Vectors>(Isa::avx2);
const QPoolKernels qpool_kernels = pool_kernels(Isa::avx2);

}  // namespace lowbit::kernels::avx2
