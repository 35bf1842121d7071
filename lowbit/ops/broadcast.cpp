#include "lowbit/ops/broadcast.h"

namespace lowbit {

BroadcastLoop make_broadcast_loop(const Dims& out, const std::vector<const Dims*>& operands) {
  const size_t count = operands.size(), rank = out.size();
  BroadcastLoop loop;
  loop.strides.resize(count);
  if (std::find(out.begin(), out.end(), 0) != out.end()) {
    loop.dims = {0};
    loop.strides.assign(count, {0});
    loop.run = 0;
    return loop;
  }
  // From the innermost dimension outwards; the lists are reversed at the end.
  std::vector<int64_t> dense(count, 1);
  for (size_t back = 0; back < rank; ++back) {
    const int64_t size = out[rank - 1 - back];
    if (size == 1) continue;
    std::vector<int64_t> stride(count);
    for (size_t k = 0; k < count; ++k) {
      const Dims& dims = *operands[k];
      const int64_t own = back < dims.size() ? dims[dims.size() - 1 - back] : 1;
      stride[k] = own == 1 ? 0 : dense[k];
      dense[k] *= own;
    }
    bool merges = !loop.dims.empty();
    for (size_t k = 0; k < count && merges; ++k) merges = stride[k] == loop.strides[k].back() * loop.dims.back();
    if (merges) {
      loop.dims.back() *= size;
      continue;
    }
    loop.dims.push_back(size);
    for (size_t k = 0; k < count; ++k) loop.strides[k].push_back(stride[k]);
  }
  if (loop.dims.empty()) {
    loop.dims.push_back(1);
    for (Dims& strides : loop.strides) strides.push_back(0);
  }
  std::reverse(loop.dims.begin(), loop.dims.end());
  for (Dims& strides : loop.strides) std::reverse(strides.begin(), strides.end());
  loop.run = loop.dims.back();
  loop.runs = 1;
  for (size_t i = 0; i + 1 < loop.dims.size(); ++i) loop.runs *= loop.dims[i];
  return loop;
}

}  // namespace lowbit
