#include "lowbit/ops/families.h"

namespace lowbit {

std::span<const OpDef> control_ops() { return {}; }

}  // namespace lowbit
