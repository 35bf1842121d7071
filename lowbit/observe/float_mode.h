// float_mode.h: sets the floating-point mode of this thread to the IEEE default (round to nearest even, denormals kept)
// and restores it. Statistics must not depend on what another library left behind: some switch on flush-to-zero.
#pragma once

#include <cstdint>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace lowbit {

class FloatMode {
 public:
  FloatMode() : saved_(read()) { write(kIeee); }
  ~FloatMode() { write(saved_); }
  FloatMode(const FloatMode&) = delete;
  FloatMode& operator=(const FloatMode&) = delete;

 private:
#if defined(__SSE__)
  static constexpr uint64_t kIeee = 0x1f80;  // MXCSR after reset: all exceptions masked, no DAZ, no FTZ
  static uint64_t read() { return _mm_getcsr(); }
  static void write(uint64_t mode) { _mm_setcsr(static_cast<unsigned>(mode)); }
#elif defined(__aarch64__)
  static constexpr uint64_t kIeee = 0;
  static uint64_t read() {
    uint64_t mode;
    asm volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
  }
  static void write(uint64_t mode) { asm volatile("msr fpcr, %0" : : "r"(mode)); }
#else
  static constexpr uint64_t kIeee = 0;
  static uint64_t read() { return kIeee; }
  static void write(uint64_t) {}
#endif
  uint64_t saved_;
};

}  // namespace lowbit
