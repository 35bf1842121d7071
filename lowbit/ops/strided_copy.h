// strided_copy.h: the one loop behind every operator that only moves elements. A block of `dims` elements is read with
// one set of strides and written with another: Transpose, Slice, Concat, Split, Expand, Tile and Pad differ in the
// strides alone. Neighbouring dimensions are merged first; dense inner runs are memcpy; a transposed inner pair is
// copied in square tiles, so that neither side walks the memory a cache line per element.
#pragma once

#include <cstddef>

#include "lowbit/core/shape.h"

namespace lowbit {

/// One side of a copy: the address of the first element and the stride of each dimension in elements (0 repeats,
/// negative runs backwards).
template <typename Pointer>
struct StridedBlock {
  Pointer data;
  Dims strides;
};

/// Copies dims elements of `element_bytes` (1, 2, 4 or 8) each. Source and destination must not overlap; every address
/// reached must be valid. Rank 0 copies one element; a zero dimension copies none.
void strided_copy(size_t element_bytes, const Dims& dims, const StridedBlock<const std::byte*>& from,
                  const StridedBlock<std::byte*>& to);

}  // namespace lowbit
