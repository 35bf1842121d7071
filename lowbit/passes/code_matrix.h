// code_matrix.h: the order in which the codes of a constant lie in a file, so that the parameters of a group meet its
// codes by broadcasting, and the nodes that lead into this order and out of it.
#pragma once

#include "lowbit/core/quantization.h"
#include "lowbit/passes/node_writer.h"

namespace lowbit {

/// Codes lie as in the tensor (tensor and channel granularity), or as the matrix [channels, rest] of the granularity's
/// axis (groups and blocks), whose elements are cut into [row blocks, rows, column blocks, columns] where that divides.
struct CodeLayout {
  bool matrix = false;
  bool divides = true;  ///< blocks fill the matrix
  int64_t channels = 1, outer = 1, inner = 1, columns = 1;
  int64_t row_blocks = 1, rows = 1, column_blocks = 1, width = 1;
  Dims dims;        ///< of the tensor
  Dims work;        ///< dims in which codes are decoded
  Dims parameters;  ///< dims of one parameter a group, broadcasting against work (if divides)
};

CodeLayout code_layout(const Granularity& granularity, const Dims& dims);

/// Parameters in layout.parameters, repeated over the elements of their blocks where blocks do not fill the matrix, so
/// that they broadcast against layout.work in any case.
ValueId spread_over_blocks(NodeWriter& writer, const CodeLayout& layout, ValueId parameters);
/// Values in layout.work (or any dims with as many elements in the same order), led to the dims of the tensor and to
/// the place of `target`.
void write_in_tensor_order(NodeWriter& writer, const CodeLayout& layout, ValueId x, ValueId target);

/// Elements of a tensor in the order of the layout.
template <typename T>
std::vector<T> in_layout(const CodeLayout& layout, const T* x) {
  std::vector<T> result(static_cast<size_t>(element_count(layout.dims)));
  if (!layout.matrix) {
    std::copy_n(x, result.size(), result.begin());
    return result;
  }
  for (int64_t c = 0; c < layout.channels; ++c)
    for (int64_t o = 0; o < layout.outer; ++o)
      std::copy_n(x + (o * layout.channels + c) * layout.inner, layout.inner,
                  result.begin() + (c * layout.outer + o) * layout.inner);
  return result;
}

}  // namespace lowbit
