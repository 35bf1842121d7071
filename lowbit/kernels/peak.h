// peak.h: the multiply-add throughput of this machine's 8-bit arithmetic, the limit that kernels are measured against.
#pragma once

#include <cstdint>
#include <span>

#include "lowbit/kernels/cpu.h"

namespace lowbit::kernels {

/// Runs the multiply-add instruction of the layer kernels on registers only, with enough independent sums to fill the
/// pipeline.
struct PeakLoop {
  Isa isa;
  const char* instruction;
  int64_t ops_per_round;  ///< multiplications plus additions
  /// `rounds` rounds; the result depends on all of them, so that none is left out.
  int32_t (*run)(int64_t rounds) noexcept;
};

/// One row per compiled instruction set except the reference.
std::span<const PeakLoop> peak_table();

/// Operations per second of the row of `isa`, the best of several short runs (about 20 ms); 0 for the reference.
double measure_peak(Isa isa = active_isa());

}  // namespace lowbit::kernels
