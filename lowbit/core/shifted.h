// shifted.h: how a low-bit model stands damaged data beside its float original. Filled by api/shifted.h, printed by
// report.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lowbit/core/measurements.h"

namespace lowbit {

/// One kind of damage at one strength, or the mean over strengths or over everything. Intervals are 95 %.
struct ShiftedRow {
  std::string corruption;            ///< "clean" for the data as they are, "all" for the mean over all kinds
  int strength = 0;                  ///< 0: the mean over the strengths
  std::optional<Metric> reference;   ///< accuracy of the float model; nothing without labels
  std::optional<Metric> low_bit;     ///< accuracy of the low-bit model
  std::optional<Metric> difference;  ///< low-bit minus float on the same samples, with its paired interval
  Metric agreement;                  ///< share of samples on which both decide alike
  double sqnr_db = 0;                ///< of the first output; of means: the mean of the decibels
};

/// A low-bit model against the first one.
struct ShiftedEvaluation {
  std::string reference_file, file;
  int64_t samples = 0;
  ShiftedRow clean;
  std::vector<ShiftedRow> cells;  ///< kind by kind, strength by strength
  std::vector<ShiftedRow> kinds;  ///< mean over the strengths
  ShiftedRow overall;             ///< mean over all cells
};

}  // namespace lowbit
