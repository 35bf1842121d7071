// moments.h: second moments of what a layer multiplies its weights with, in the float and in the low-bit network: the
// metric of the second-order methods.
#pragma once

#include <vector>

#include "lowbit/methods/layer_matrix.h"
#include "lowbit/methods/layer_walk.h"

namespace lowbit {

/// Part of a layer's matrix that is one problem of its own: the rows of one group and a range of its columns. Groups of
/// more than kMostColumns columns are cut, because moments grow with the square of the columns.
struct MatrixPart {
  int64_t group = 0, first_column = 0, columns = 0;
};
inline constexpr int64_t kMostColumns = 4096;
std::vector<MatrixPart> matrix_parts(const LayerMatrix& matrix);

/// x: the inputs of one output position as the weights of the part see them (for convolutions: im2col columns, padding
/// as zeros); f in the float network, q in the low-bit one.
struct Moments {
  Matrix qq;  ///< E[x_q x_q^T], about the means if centred
  Matrix fq;  ///< E[x_f x_q^T], likewise
  std::vector<double> mean_f, mean_q;
  int64_t positions = 0;
};

struct MomentOptions {
  bool centred = true;        ///< about the means: right where the bias can take any constant up
  int64_t positions = 65536;  ///< about how many positions are enough; at least 128 for each column are taken
  uint64_t seed = 1;
};

/// Moments of each part, from all chunks of the walk. To be called in LayerWalk's `before`. Positions are picked evenly
/// at random if there are more than asked for. The same for every number of threads. Empty if the layer's input is not
/// float32 or there are no positions.
std::vector<Moments> collect_moments(const LayerWalk& walk, const Node& node, const Dims& weight,
                                     const LayerMatrix& matrix, const std::vector<MatrixPart>& parts,
                                     const MomentOptions& options, ThreadPool& threads);

}  // namespace lowbit
