#include "lowbit/numbers/element_groups.h"

#include <algorithm>

namespace lowbit {

std::vector<int32_t> group_of_elements(const Granularity& granularity, std::span<const int64_t> dims) {
  int64_t count = 1;
  for (const int64_t dim : dims) count *= dim;
  std::vector<int32_t> groups(static_cast<size_t>(count));
  for_each_group(granularity, dims, [&](int64_t group, std::span<const Run> runs) {
    for (const Run& run : runs) std::fill_n(groups.begin() + run.begin, run.count, static_cast<int32_t>(group));
  });
  return groups;
}

}  // namespace lowbit
