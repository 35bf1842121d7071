#include "lowbit/ops/families.h"

namespace lowbit {

std::span<const OpDef> detection_ops() { return {}; }

}  // namespace lowbit
