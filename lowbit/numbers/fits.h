// fits.h: whether this build finds parameters for numbers. The small runtime only decodes: its systems have no fit.
#pragma once

namespace lowbit {

#if defined(LOWBIT_SMALL_RUNTIME)
inline constexpr bool kFits = false;
#else
inline constexpr bool kFits = true;
#endif

}  // namespace lowbit
