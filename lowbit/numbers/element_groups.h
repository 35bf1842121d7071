// element_groups.h: the group of each element, where a loop over groups does not serve.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lowbit/numbers/granularity.h"

namespace lowbit {

/// One number for each element in row-major order: its group, as for_each_group() counts them.
std::vector<int32_t> group_of_elements(const Granularity& granularity, std::span<const int64_t> dims);

}  // namespace lowbit
