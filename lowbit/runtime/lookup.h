// lookup.h: functions of one value as tables over all codes (docs/integer-semantics.md, "Element-wise").
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lowbit/core/graph.h"

namespace lowbit {

/// T[q - qmin] = Q_y(f(DQ_x(q))) for every code q of x, where f is the float reference of the node. Nothing with the
/// reason in `why` if its parameters are not single constants or x has more than 2^16 codes.
std::optional<std::vector<int32_t>> lookup_table(const Graph& graph, const Node& node, const Quantization& x,
                                                 const Quantization& y, std::string& why);

}  // namespace lowbit
