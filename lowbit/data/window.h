// window.h: a part of a data set as a data set: how one source is divided into disjoint parts.
#pragma once

#include <memory>

#include "lowbit/data/dataset.h"

namespace lowbit {

/// Samples [begin, begin + count) of `whole`. Throws Error{bad_argument} unless they exist and there is at least one.
std::unique_ptr<DataSet> window(std::shared_ptr<const DataSet> whole, int64_t begin, int64_t count);

}  // namespace lowbit
