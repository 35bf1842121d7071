// device_steps.h: what the small runtime gives to plans besides their own steps: tables of functions of one value, by the
// same float32 formulas as the toolkit's references (compared in tests/device).
#pragma once

#include "lowbit/runtime/session.h"

namespace lowbit {

ExtraSteps device_steps();

}  // namespace lowbit
