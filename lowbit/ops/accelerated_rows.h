// accelerated_rows.h: the fast versions by file; ops/accelerated.cpp looks them up.
#pragma once

#include <span>
#include <string_view>

#include "lowbit/ops/accelerated.h"

namespace lowbit {

/// A fast version of an operator of ai.onnx.
struct AcceleratedRow {
  std::string_view name;
  AcceleratedFn run;
};

std::span<const AcceleratedRow> accelerated_convolutions();  ///< ops/accelerated_conv.cpp
std::span<const AcceleratedRow> accelerated_products();      ///< ops/accelerated_matmul.cpp

std::span<const AcceleratedRow> accelerated_pools();  ///< ops/accelerated_pool.cpp

}  // namespace lowbit
