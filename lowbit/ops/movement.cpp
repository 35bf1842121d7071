#include "lowbit/ops/families.h"

namespace lowbit {

std::span<const OpDef> movement_ops() { return {}; }

}  // namespace lowbit
