#include "lowbit/ops/families.h"

namespace lowbit {

std::span<const OpDef> unary_ops() { return {}; }

}  // namespace lowbit
