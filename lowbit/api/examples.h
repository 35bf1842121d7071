// examples.h: picks samples on which two models decide differently and prepares them for showing.
#pragma once

#include "lowbit/api/runner.h"
#include "lowbit/core/examples.h"

namespace lowbit {

/// Compares the decisions of two evaluations of the same data and runs both models again on at most `most` of the
/// differing samples: first those where only the float model is right, spread evenly over the data.
Disagreements find_disagreements(const Model& float_model, const EvaluateRun& float_run, const Model& low_bit,
                                 const EvaluateRun& low_bit_run, const DataSet& data, ThreadPool& threads, size_t most);

}  // namespace lowbit
