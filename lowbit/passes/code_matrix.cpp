#include "lowbit/passes/code_matrix.h"

#include <algorithm>

namespace lowbit {
namespace {

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

CodeLayout code_layout(const Granularity& granularity, const Dims& dims) {
  CodeLayout layout;
  layout.dims = dims;
  layout.work = dims;
  if (granularity.kind == Granularity::Kind::tensor) return layout;
  const auto axis = static_cast<size_t>(granularity.axis);
  layout.channels = dims[axis];
  if (granularity.kind == Granularity::Kind::channel) {
    layout.row_blocks = layout.channels;
    layout.parameters.assign(dims.size() - axis, 1);
    layout.parameters[0] = layout.channels;
    return layout;
  }
  layout.matrix = true;
  for (size_t i = 0; i < dims.size(); ++i)
    if (i != axis) (i < axis ? layout.outer : layout.inner) *= dims[i];
  layout.columns = layout.outer * layout.inner;
  layout.rows = granularity.kind == Granularity::Kind::block ? std::min(granularity.rows, layout.channels) : 1;
  layout.width = std::min(granularity.size, std::max<int64_t>(layout.columns, 1));
  layout.row_blocks = divide_up(layout.channels, layout.rows);
  layout.column_blocks = divide_up(layout.columns, layout.width);
  layout.divides =
      layout.row_blocks * layout.rows == layout.channels && layout.column_blocks * layout.width == layout.columns;
  layout.work = layout.divides ? Dims{layout.row_blocks, layout.rows, layout.column_blocks, layout.width}
                               : Dims{layout.channels, layout.columns};
  layout.parameters = {layout.row_blocks, 1, layout.column_blocks, 1};
  return layout;
}

ValueId spread_over_blocks(NodeWriter& writer, const CodeLayout& layout, ValueId parameters) {
  if (layout.divides) return parameters;
  const Dims whole = {layout.row_blocks, layout.rows, layout.column_blocks, layout.width};
  ValueId x = writer.node("Expand", {parameters, writer.shared(whole)});
  x = writer.reshape(x, {whole[0] * whole[1], whole[2] * whole[3]});
  return writer.slice(x, {0, 0}, {layout.channels, layout.columns});
}

void write_in_tensor_order(NodeWriter& writer, const CodeLayout& layout, ValueId x, ValueId target) {
  if (layout.matrix && layout.outer > 1) {
    x = writer.reshape(x, {layout.channels, layout.outer, layout.inner});
    x = writer.node("Transpose", {x}, {{"perm", std::vector<int64_t>{1, 0, 2}}});
  }
  if (layout.matrix) x = writer.reshape(x, layout.dims);
  writer.end_at(x, target);
}

}  // namespace lowbit
