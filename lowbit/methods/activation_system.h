// activation_system.h: what a user can say of activations: a number system with ranges from calibration ("uint8"), or
// with ranges found at inference, for each tensor ("dynamic:uint8") or each row of it ("dynamic-token:uint8").
#pragma once

#include <string_view>

#include "lowbit/core/quantization.h"
#include "lowbit/observe/range.h"

namespace lowbit {

struct ActivationSystem {
  NumberFormat format;
  bool dynamic = false;
  bool by_row = false;  ///< dynamic only: a row is what lies along the last axis
};

/// Throws Error{bad_argument} for an unknown system, and for dynamic ones other than int8 and uint8.
ActivationSystem parse_activation_system(std::string_view text);

/// Parameters of a static activation that cover a range. Throws Error{bad_argument} for systems whose levels follow
/// from data alone (codebooks).
std::vector<float> activation_params(const NumberFormat& format, const Range& range);

}  // namespace lowbit
