#include "lowbit/ops/families.h"

namespace lowbit {

std::span<const OpDef> normalization_ops() { return {}; }

}  // namespace lowbit
