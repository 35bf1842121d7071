#include "lowbit/ops/families.h"

namespace lowbit {

std::span<const OpDef> convolution_ops() { return {}; }

}  // namespace lowbit
