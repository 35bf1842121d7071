// upgrade.h: operators of older opsets said in the words of the canonical one (ai.onnx opset 21). The table has one row
// for each operator whose form changed: attributes that became inputs, defaults that changed, operators that were
// replaced. Operators that only gained types or optional attributes have no row.
#pragma once

#include <span>
#include <string_view>

#include "lowbit/formats/onnx/scope.h"

namespace lowbit::onnx_format {

inline constexpr int64_t kCanonicalOpset = 21;
inline constexpr int64_t kOldestOpset = 1;
/// The newest opset that changed no meaning of the operators that opset 21 has.
inline constexpr int64_t kNewestOpset = 28;

struct UpgradeRow {
  std::string_view op;
  int64_t below;  ///< applies to nodes of an opset lower than this
  /// Emits the node, or what replaces it, into the scope.
  void (*apply)(GraphScope& scope, Node node, int64_t opset);
};

/// Rows by operator; of several rows for one operator the first that applies is the one.
std::span<const UpgradeRow> upgrade_rows();

/// Emits a node of ai.onnx `opset`, upgraded. Nodes of other domains are emitted as they are. Throws
/// Error{unsupported} naming the node where the old meaning cannot be said.
void emit_upgraded(GraphScope& scope, Node node, int64_t opset);

/// Softmax, LogSoftmax and Hardmax of before opset 13 worked on the input flattened to two dimensions at `axis`. Gives
/// the node that does the same today if axis is the last, otherwise nothing.
bool upgrade_last_axis_softmax(Node& node, std::optional<int64_t> rank);
/// Flatten -> Softmax -> Reshape.
void emit_flattened_softmax(GraphScope& scope, Node node);

/// Opsets 1 to 6 -> 7, in place (upgrade_early.cpp).
void upgrade_to_opset_7(GraphScope& scope, Node& node, int64_t opset);

/// Rows of upgrade_resize.cpp.
void upgrade_resize_10(GraphScope& scope, Node node, int64_t opset);
void upgrade_resize(GraphScope& scope, Node node, int64_t opset);
void upgrade_upsample(GraphScope& scope, Node node, int64_t opset);

/// Appends the attribute as a constant int64 input at `position` and removes it; nothing if it is absent.
void ints_to_input(GraphScope& scope, Node& node, std::string_view key, size_t position);
void set_input(Node& node, size_t position, ValueId id);

}  // namespace lowbit::onnx_format
