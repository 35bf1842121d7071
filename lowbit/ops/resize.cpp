#include "lowbit/ops/families.h"

namespace lowbit {

std::span<const OpDef> resize_ops() { return {}; }

}  // namespace lowbit
