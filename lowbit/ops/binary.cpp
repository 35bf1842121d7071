#include "lowbit/ops/families.h"

namespace lowbit {

std::span<const OpDef> binary_ops() { return {}; }

}  // namespace lowbit
