// steps.h: the steps of plans; steps/list.cpp says which operator each serves. Without a row that covers a node, the
// toolkit runs it by the reference (runtime/reference_steps.h), the small runtime refuses the model.
#pragma once

#include <span>
#include <string_view>

#include "lowbit/runtime/plan/builder.h"
#include "lowbit/runtime/plan/nest.h"

namespace lowbit::plan {

struct StepRow {
  std::string_view op;
  Factory make;
  bool same_bits;  ///< gives exactly the bits of the reference executor
  std::string_view summary;
};

/// Every row; several for one operator are tried in order.
std::span<const StepRow> step_rows();
/// The rows that serve a node.
std::vector<StepRow> find_rows(const Node& node);

// Integer layers.
bool make_conv(Builder& builder, int32_t node, std::string& why);
bool make_matrix(Builder& builder, int32_t node, std::string& why);
bool make_product(Builder& builder, int32_t node, std::string& why);
// The same with weights of few bits, dynamic input; weights whose scales change along k.
bool make_lowbit_conv(Builder& builder, int32_t node, std::string& why);
bool make_lowbit_matrix(Builder& builder, int32_t node, std::string& why);
bool make_grouped_conv(Builder& builder, int32_t node, std::string& why);
bool make_grouped_matrix(Builder& builder, int32_t node, std::string& why);
// Float layers and operators.
bool make_real_conv(Builder& builder, int32_t node, std::string& why);
bool make_real_matrix(Builder& builder, int32_t node, std::string& why);
bool make_softmax(Builder& builder, int32_t node, std::string& why);
bool make_layer_norm(Builder& builder, int32_t node, std::string& why);
bool make_real_product(Builder& builder, int32_t node, std::string& why);
bool make_real_reduce(Builder& builder, int32_t node, std::string& why);
bool make_real_pool(Builder& builder, int32_t node, std::string& why);
bool make_batch_norm(Builder& builder, int32_t node, std::string& why);
bool make_pow(Builder& builder, int32_t node, std::string& why);
bool make_cast(Builder& builder, int32_t node, std::string& why);
bool make_real_unary(Builder& builder, int32_t node, std::string& why);
bool make_real_binary(Builder& builder, int32_t node, std::string& why);
// Recurrent layers: codes, float32.
bool make_recurrent(Builder& builder, int32_t node, std::string& why);
bool make_real_recurrent(Builder& builder, int32_t node, std::string& why);
// Integer element-wise operators.
bool make_sum(Builder& builder, int32_t node, std::string& why);
bool make_mul(Builder& builder, int32_t node, std::string& why);
bool make_lookup(Builder& builder, int32_t node, std::string& why);
// Pools and means of codes.
bool make_max_pool(Builder& builder, int32_t node, std::string& why);
bool make_mean(Builder& builder, int32_t node, std::string& why);
// Movement: any type of element.
bool make_reshape(Builder& builder, int32_t node, std::string& why);
bool make_transpose(Builder& builder, int32_t node, std::string& why);
bool make_slice(Builder& builder, int32_t node, std::string& why);
bool make_split(Builder& builder, int32_t node, std::string& why);
bool make_pad(Builder& builder, int32_t node, std::string& why);
bool make_gather(Builder& builder, int32_t node, std::string& why);
bool make_repeating_pad(Builder& builder, int32_t node, std::string& why);
bool make_expand(Builder& builder, int32_t node, std::string& why);
bool make_concat(Builder& builder, int32_t node, std::string& why);
// Shapes: known while planning.
bool make_shape(Builder& builder, int32_t node, std::string& why);
bool make_known(Builder& builder, int32_t node, std::string& why);

/// Whether the values are kept alike, so that elements move between them as they are: both as codes with the same
/// parameters, or both not annotated.
bool kept_alike(const Builder& builder, ValueId a, ValueId b);

/// Whether the value is known to be float32, or nothing says otherwise.
bool is_float32(const Builder& builder, ValueId id);

/// Makes the result of a postponed Pad.
void emit_pad(Builder& builder, ValueId id, const PendingPad& pad, Order order);

/// Where an input with these dims lies inside the result of a Concat.
struct ConcatPart {
  int64_t axis, begin;
  Dims dims;  ///< of the result
};
/// Nothing if sizes are not known yet or elements are converted on the way.
std::optional<ConcatPart> concat_layout(const Builder& builder, const Node& concat, ValueId input, const Dims& dims);

}  // namespace lowbit::plan
