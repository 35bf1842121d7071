// kmeans.h: weighted k-means in D dimensions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "lowbit/numbers/fit_data.h"

namespace lowbit {

class ThreadPool;

/// count vectors of `size` components, [count, size], that make sum w (x - nearest)^2 small: seeding by distance
/// (k-means++, with a fixed seed), then Lloyd's turns, where an empty cell takes over the worst-met vector; small data
/// from up to 32 seedings, of which the best counts. Large data are searched on a sample of 2^17 vectors first, the
/// last turns use all. Deterministic, and the same for every number of threads.
///   data     rows of row_length values (0: one row); a vector does not cross rows, the last of a row may be shorter
///   and
///            has no say in its missing components
///   threads  null: the calling thread alone
/// Fewer distinct vectors than `count`: entries repeat. No data: zeros.
/// Papers: Arthur, Vassilvitskii, "k-means++", SODA 2007; Lloyd, IEEE Trans. IT 1982; for weights of networks Gong et
/// al., "Compressing deep convolutional networks using vector quantization", arXiv:1412.6115.
std::vector<float> kmeans(const FitData& data, int64_t row_length, int64_t count, int size, ThreadPool* threads);

}  // namespace lowbit
