// rules.h: every rule of the table, one file each.
#pragma once

#include "lowbit/analysis/rule.h"

namespace lowbit {

extern const Rule constant_input_rule;
extern const Rule data_mismatch_rule;
extern const Rule unseen_tensor_rule;
extern const Rule outlier_weight_channel_rule;
extern const Rule depthwise_spread_rule;
extern const Rule saturating_clip_rule;
extern const Rule mixed_range_rule;
extern const Rule exploding_tail_rule;
extern const Rule outlier_channel_rule;
extern const Rule few_codes_rule;
extern const Rule mean_shift_rule;
extern const Rule narrow_weights_rule;
extern const Rule narrow_values_rule;
extern const Rule dead_channel_rule;

}  // namespace lowbit
