// pass.h: what a pass is: a function that rewrites a graph and says how many places it changed. One row per pass in passes/list.cpp.
#pragma once

#include <span>
#include <string_view>

#include "lowbit/core/graph.h"

namespace lowbit {

struct Pass {
  std::string_view name;     ///< "fold_batch_norm"
  std::string_view summary;
  int (*apply)(Graph& graph);  ///< number of places changed; the graph stays valid and sorted
};

std::span<const Pass* const> pass_table();
const Pass* find_pass(std::string_view name);

}  // namespace lowbit
