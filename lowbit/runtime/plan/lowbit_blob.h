// lowbit_blob.h: matrices packed for the low-bit products as entries of the store of weights, so that sessions share
// them and containers keep them.
#pragma once

#include "lowbit/runtime/lowbit_weights.h"
#include "lowbit/runtime/plan/weights.h"

namespace lowbit::plan {

/// What the user of a matrix expects of it.
struct LowbitForm {
  int64_t n = 0, k = 0;
  bool scales = false;       ///< of each row and group; without them there is one group a row
  bool offsets = false;      ///< kernels::lowbit_row_offsets
  bool real_levels = false;  ///< levels may be any floats: for kernels that decode
};

/// A matrix in its entry: a view that stays valid as long as the blob.
struct LowbitEntry {
  kernels::LowbitMatrix matrix;
  const float* real_levels = nullptr;  ///< [16], null: the integer levels of `matrix`
};

/// The view of an entry, wherever its bytes come from: nothing unless it has this form and every place that the view
/// names lies inside the entry. Wrong weights can still be in it.
std::optional<LowbitEntry> open_lowbit(const Blob& blob, const LowbitForm& form);

/// Packs rows as lowbit_weights.h says. Nothing with `why` if no coding holds the levels.
std::optional<Blob> make_lowbit(const LevelMatrix& matrix, const std::vector<int64_t>& row_of, const LowbitForm& form,
                                std::string& why);

}  // namespace lowbit::plan
