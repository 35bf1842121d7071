// random_graph.h: valid small graphs made at random from a seed: convolutions of all kinds, products, pools, sums,
// concatenations, movement, activations, recurrent layers; weights of few bits, inputs quantized when they come; images
// channels first and last; annotated with random parameters around the values that really occur, here and there not at
// all.
#pragma once

#include <cstdint>
#include <map>

#include "lowbit/core/graph.h"

namespace lowbit::testing {

struct RandomGraph {
  Graph graph;
  std::map<std::string, Tensor, std::less<>> inputs;  ///< that the parameters were fitted to
};

/// The same graph for the same seed. With `annotated` false all values stay float.
RandomGraph make_random_graph(uint64_t seed, bool annotated = true);

}  // namespace lowbit::testing
