// weight_hints.h: what a file written here says about its decoding nodes, so that a reader can make annotations of them
// again. A hint is a claim: the reader computes what the nodes give and takes the annotation only if it gives the same.
// Stored as JSON in the model's metadata under "lowbit.weights":
//   [{"value": "conv1.weight", "system": "log4", "granularity": "channel", "axis": 0,
//     "parameters": ["conv1.weight_scale", null], "rows": [[0.0]], "row": "", "levels": ""}, ...]
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lowbit/core/quantization.h"

namespace lowbit {

inline constexpr const char* kWeightHintsKey = "lowbit.weights";
/// WeightHint::row: group g has row g.
inline constexpr const char* kRowOfItsOwn = "*";

struct WeightHint {
  std::string value;  ///< name of the decoded value
  NumberFormat format;
  Granularity granularity;
  /// For each parameter of a group the name of a value that holds it for all groups, or empty: the next one of the
  /// group's row.
  std::vector<std::string> parameters;
  std::vector<std::vector<float>> rows;  ///< sets of parameters that groups share
  std::string row;                       ///< value with the row of each group; empty: row 0 for all; or kRowOfItsOwn
  std::string levels;  ///< value with all parameters of all groups (codebooks); the rest is empty then
};

std::string to_text(const std::vector<WeightHint>& hints);
/// Entries that make no sense are left out.
std::vector<WeightHint> parse_weight_hints(const std::string& text);

}  // namespace lowbit
