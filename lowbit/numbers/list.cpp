// The table of number systems. To add one: a file that defines `extern const NumberSystem <name>_system`, and its line
// in the list below.
#include <array>

#include "lowbit/numbers/number_system.h"
#include "lowbit/numbers/standardized.h"

#define LOWBIT_NUMBER_SYSTEMS(row) \
  row(int_system)                  \
  row(uint_system)

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
