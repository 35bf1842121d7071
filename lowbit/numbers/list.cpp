// The table of number systems. To add one: a file that defines `extern const NumberSystem <name>_system`, and its line
// in the list below.
#include <array>

#include "lowbit/numbers/number_system.h"
#include "lowbit/numbers/standardized.h"

// One line for each row:
// clang-format off
#define LOWBIT_NUMBER_SYSTEMS(row) \
  row(int_system) \
  row(uint_system) \
  row(log_system) \
  row(pot2_system) \
  row(exp_system) \
  row(mulaw_system) \
  row(power_system) \
  row(piecewise_system) \
  row(codebook_system) \
  row(vq_system) \
  row(nf_system) \
  row(float16_system) \
  row(bfloat16_system) \
  row(fp8_e4m3_system) \
  row(fp8_e5m2_system) \
  row(fp6_e3m2_system) \
  row(fp6_e2m3_system) \
  row(fp4_e2m1_system) \
  row(mxfp8_e4m3_system) \
  row(mxfp6_e3m2_system) \
  row(mxfp4_system) \
  row(nvfp4_system) \
  row(ternary_system) \
  row(binary_system)
// clang-format on

namespace lowbit {

#define LOWBIT_DECLARE_SYSTEM(name) extern const NumberSystem name;
LOWBIT_NUMBER_SYSTEMS(LOWBIT_DECLARE_SYSTEM)
#undef LOWBIT_DECLARE_SYSTEM

std::span<const NumberSystem* const> number_systems() {
#define LOWBIT_SYSTEM_ROW(name) standardizable<name>(),
  static const std::array rows = {LOWBIT_NUMBER_SYSTEMS(LOWBIT_SYSTEM_ROW)};
#undef LOWBIT_SYSTEM_ROW
  static const auto pointers = [] {
    std::array<const NumberSystem*, rows.size()> result;
    for (size_t i = 0; i < rows.size(); ++i) result[i] = &rows[i];
    return result;
  }();
  return pointers;
}

}  // namespace lowbit
