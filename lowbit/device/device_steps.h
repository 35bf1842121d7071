// device_steps.h: what the small runtime gives to plans besides their own steps: tables of functions of one value, by
// the functors of ops/activation_functions.h and so with the bits of the toolkit's tables (compared in tests/device).
#pragma once

#include "lowbit/runtime/session.h"

namespace lowbit {

ExtraSteps device_steps();

}  // namespace lowbit
