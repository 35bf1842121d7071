// linear_mse.h: parameters of the linear system that minimise the weighted squared error.
#pragma once

#include "lowbit/numbers/fit_data.h"
#include "lowbit/numbers/linear.h"

namespace lowbit {

/// The error as a function of the clipping range has many local minima, so: 200 clipping ranges that shrink [low, high]
/// towards 0 (asymmetric systems: then each end alone), and from the best three, least squares in turns (codes for
/// given parameters, parameters for given codes), which never gets worse. Never worse than min-max. Long groups are
/// searched on 2^15 elements at even distances; the last steps always use all.
/// Cost: about 200 encodings of min(n, 2^15) elements and 30 of n. Deterministic.
LinearParams linear_mse_params(const NumberFormat& format, ValueRange range, const FitData& data);

}  // namespace lowbit
