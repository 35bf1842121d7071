// reference_steps.h: what the toolkit adds to plans: nodes that no step covers run as the reference executor runs them,
// so that every model that it can run can be planned. Not part of the small runtime.
#pragma once

#include "lowbit/runtime/session.h"

namespace lowbit {

/// The reference steps and tables by the float references.
ExtraSteps toolkit_steps();

}  // namespace lowbit
