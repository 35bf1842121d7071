#include "lowbit/ops/families.h"

namespace lowbit {

std::span<const OpDef> matrix_ops() { return {}; }

}  // namespace lowbit
