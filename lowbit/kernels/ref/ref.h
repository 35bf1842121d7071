// ref.h: the plain implementations, the oracle of every other one. Also the last rows of the tables.
#pragma once

#include "lowbit/kernels/qeltwise.h"
#include "lowbit/kernels/qlayer.h"
#include "lowbit/kernels/qpool.h"

namespace lowbit::kernels::ref {

extern const QLayerKernel qlayer_kernel;
extern const QPoolKernels qpool_kernels;
extern const QEltwiseKernels qeltwise_kernels;

}  // namespace lowbit::kernels::ref
