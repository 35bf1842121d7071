// accelerated_rows.h: the fast versions by file; ops/accelerated.cpp looks them up.
#pragma once

#include <span>

#include "lowbit/ops/accelerated.h"

namespace lowbit {

std::span<const AcceleratedRow> accelerated_convolutions();  ///< ops/accelerated_conv.cpp
std::span<const AcceleratedRow> accelerated_products();      ///< ops/accelerated_matmul.cpp
std::span<const AcceleratedRow> accelerated_pools();         ///< ops/accelerated_pool.cpp
std::span<const AcceleratedRow> accelerated_sums();          ///< ops/accelerated_add.cpp

}  // namespace lowbit
