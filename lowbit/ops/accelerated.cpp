#include "lowbit/ops/accelerated.h"

#include "lowbit/ops/accelerated_rows.h"

namespace lowbit {

const AcceleratedRow* find_accelerated(const OpDef& op) {
  if (!op.domain.empty()) return nullptr;
  for (const auto& rows : {accelerated_convolutions(), accelerated_products(), accelerated_pools(), accelerated_sums()})
    for (const AcceleratedRow& row : rows)
      if (row.name == op.name) return &row;
  return nullptr;
}

}  // namespace lowbit
