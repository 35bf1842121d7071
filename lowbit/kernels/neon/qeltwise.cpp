#include "lowbit/kernels/qeltwise.h"

#include "lowbit/kernels/neon/vectors.h"
#include "lowbit/kernels/qeltwise_loops.h"

namespace lowbit::kernels::neon {

extern const QEltwiseKernels qeltwise_kernels;
extern const QPoolKernels qpool_kernels;
const QEltwiseKernels qeltwise_kernels = eltwise_kernels<Vectors>(Isa::neon);
const QPoolKernels qpool_kernels = pool_kernels(Isa::neon);

}  // namespace lowbit::kernels::neon
