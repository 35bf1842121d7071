#include "lowbit/ops/families.h"

namespace lowbit {

std::span<const OpDef> indexing_ops() { return {}; }

}  // namespace lowbit
