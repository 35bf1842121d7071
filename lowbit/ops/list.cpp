#include <algorithm>
#include <vector>

#include "lowbit/ops/families.h"

namespace lowbit {
namespace {

std::vector<const OpDef*> joined_rows() {
  std::vector<const OpDef*> rows;
  for (const auto& family :
       {unary_ops(),     activation_ops(), binary_ops(),      logic_ops(),    movement_ops(),  rearrange_ops(),
        slicing_ops(),   indexing_ops(),   scatter_ops(),     search_ops(),   reduction_ops(), shape_ops(),
        cast_ops(),      random_ops(),     convolution_ops(), matrix_ops(),   pooling_ops(),   normalization_ops(),
        recurrent_ops(), resize_ops(),     control_ops(),     quantize_ops(), contrib_ops(),   detection_ops()})
    for (const OpDef& op : family) rows.push_back(&op);
  std::sort(rows.begin(), rows.end(), [](const OpDef* a, const OpDef* b) {
    return a->domain != b->domain ? a->domain < b->domain : a->name < b->name;
  });
  return rows;
}

}  // namespace

std::span<const OpDef* const> op_table() {
  static const std::vector<const OpDef*> rows = joined_rows();
  return rows;
}

const OpDef* find_op(std::string_view domain, std::string_view name) {
  const auto rows = op_table();
  const auto found =
      std::lower_bound(rows.begin(), rows.end(), std::pair(domain, name), [](const OpDef* row, const auto& key) {
        return row->domain != key.first ? row->domain < key.first : row->name < key.second;
      });
  return found != rows.end() && (*found)->domain == domain && (*found)->name == name ? *found : nullptr;
}

}  // namespace lowbit
