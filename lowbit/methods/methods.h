// methods.h: the methods' rows; methods/list.cpp joins them.
#pragma once

#include "lowbit/methods/method.h"

namespace lowbit {

const Method& absorb_bias_method();
const Method& awq_method();
const Method& bias_correct_method();
const Method& bias_correct_analytic_method();
const Method& bn_reestimate_method();
const Method& diffuse_method();
const Method& distil_method();
const Method& equalize_method();
const Method& fill_range_method();
const Method& gptq_method();
const Method& learned_blocks_method();
const Method& learned_rounding_method();
const Method& recalibrate_method();
const Method& rotate_method();
const Method& smooth_method();

}  // namespace lowbit
