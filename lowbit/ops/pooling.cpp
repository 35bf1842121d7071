#include "lowbit/ops/families.h"

namespace lowbit {

std::span<const OpDef> pooling_ops() { return {}; }

}  // namespace lowbit
