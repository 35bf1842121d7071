#include "lowbit/ops/families.h"

namespace lowbit {

std::span<const OpDef> contrib_ops() { return {}; }

}  // namespace lowbit
