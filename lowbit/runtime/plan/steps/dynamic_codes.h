// dynamic_codes.h: activations that are quantized when they come (docs/integer-semantics.md, "Dynamic activations"),
// ready for the low-bit products.
#pragma once

#include "lowbit/runtime/plan/builder.h"

namespace lowbit::plan {

/// int8 codes of a value (uint8 ones less 128) and, of each row along the last axis or of the whole, scale and zero
/// point (less 128 alike).
struct DynamicView {
  View codes;
  Ref scales;  ///< float [rows]
  Ref zeros;   ///< int32 [rows]
  bool by_row;
};

/// Emits the step that makes them. The value must not be annotated with static codes.
DynamicView dynamic_codes(Builder& builder, int32_t node, ValueId x, Order order);

/// What those codes stand for, as float32: for layers that have no integer form.
View dynamic_values(Builder& builder, int32_t node, ValueId x, Order order);

}  // namespace lowbit::plan
