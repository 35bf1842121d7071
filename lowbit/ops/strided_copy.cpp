#include "lowbit/ops/strided_copy.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

struct Axis {
  int64_t size, from, to;  ///< strides in elements
};

/// Dimensions of size 1 go; neighbours that both sides walk evenly become one. Outermost first, never empty.
std::vector<Axis> merge(const Dims& dims, const Dims& from, const Dims& to) {
  std::vector<Axis> axes;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 1) continue;
    const Axis axis{dims[i], from[i], to[i]};
    if (!axes.empty() && axes.back().from == axis.from * axis.size && axes.back().to == axis.to * axis.size)
      axes.back() = {axes.back().size * axis.size, axis.from, axis.to};
    else
      axes.push_back(axis);
  }
  if (axes.empty()) axes.push_back({1, 1, 1});
  return axes;
}

template <typename T>
void copy_run(const T* from, T* to, const Axis& axis) {
  if (axis.from == 1 && axis.to == 1) {
    std::memcpy(to, from, static_cast<size_t>(axis.size) * sizeof(T));
  } else if (axis.from == 0 && axis.to == 1) {
    std::fill_n(to, axis.size, *from);
  } else {
    for (int64_t i = 0; i < axis.size; ++i) to[i * axis.to] = from[i * axis.from];
  }
}

/// Both dimensions in tiles: along `outer` the source is dense, along `inner` the destination.
template <typename T>
void copy_tiles(const T* from, T* to, const Axis& outer, const Axis& inner) {
  constexpr int64_t kTile = 32;
  for (int64_t o = 0; o < outer.size; o += kTile) {
    const int64_t o_end = std::min(o + kTile, outer.size);
    for (int64_t i = 0; i < inner.size; i += kTile) {
      const int64_t i_end = std::min(i + kTile, inner.size);
      for (int64_t a = o; a < o_end; ++a)
        for (int64_t b = i; b < i_end; ++b) to[a * outer.to + b * inner.to] = from[a * outer.from + b * inner.from];
    }
  }
}

/// Calls body(source offset, destination offset) for every index of the axes.
template <typename Body>
void for_each_index(const std::vector<Axis>& axes, Body body) {
  std::vector<int64_t> index(axes.size());
  int64_t from = 0, to = 0;
  while (true) {
    body(from, to);
    size_t axis = axes.size();
    while (axis-- > 0) {
      from += axes[axis].from;
      to += axes[axis].to;
      if (++index[axis] < axes[axis].size) break;
      from -= axes[axis].from * axes[axis].size;
      to -= axes[axis].to * axes[axis].size;
      index[axis] = 0;
    }
    if (axis == static_cast<size_t>(-1)) return;
  }
}

template <typename T>
void copy(std::vector<Axis> axes, const std::byte* from_bytes, std::byte* to_bytes) {
  const T* from = reinterpret_cast<const T*>(from_bytes);
  T* to = reinterpret_cast<T*>(to_bytes);
  const Axis inner = axes.back();
  axes.pop_back();
  const auto dense = std::find_if(axes.begin(), axes.end(), [](const Axis& axis) { return axis.from == 1; });
  if (inner.to == 1 && inner.from != 1 && dense != axes.end()) {
    const Axis outer = *dense;
    axes.erase(dense);
    for_each_index(axes, [&](int64_t f, int64_t t) { copy_tiles(from + f, to + t, outer, inner); });
  } else {
    for_each_index(axes, [&](int64_t f, int64_t t) { copy_run(from + f, to + t, inner); });
  }
}

}  // namespace

void strided_copy(size_t element_bytes, const Dims& dims, const StridedBlock<const std::byte*>& from,
                  const StridedBlock<std::byte*>& to) {
  LOWBIT_CHECK(from.strides.size() == dims.size() && to.strides.size() == dims.size());
  if (std::find(dims.begin(), dims.end(), 0) != dims.end()) return;
  const std::vector<Axis> axes = merge(dims, from.strides, to.strides);
  switch (element_bytes) {
    case 1:
      return copy<uint8_t>(axes, from.data, to.data);
    case 2:
      return copy<uint16_t>(axes, from.data, to.data);
    case 4:
      return copy<uint32_t>(axes, from.data, to.data);
    case 8:
      return copy<uint64_t>(axes, from.data, to.data);
    default:
      LOWBIT_CHECK(!"elements of 1, 2, 4 or 8 bytes");
  }
}

}  // namespace lowbit
