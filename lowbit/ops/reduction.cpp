#include "lowbit/ops/families.h"

namespace lowbit {

std::span<const OpDef> reduction_ops() { return {}; }

}  // namespace lowbit
