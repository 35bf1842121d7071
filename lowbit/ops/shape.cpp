#include "lowbit/ops/families.h"

namespace lowbit {

std::span<const OpDef> shape_ops() { return {}; }

}  // namespace lowbit
