#include "lowbit/ops/families.h"

namespace lowbit {

std::span<const OpDef> recurrent_ops() { return {}; }

}  // namespace lowbit
