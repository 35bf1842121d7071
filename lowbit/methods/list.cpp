#include "lowbit/methods/methods.h"

namespace lowbit {

std::span<const Method* const> method_table() {
  static const Method* const rows[] = {
      &absorb_bias_method(),   &awq_method(),     &bias_correct_method(),   &bias_correct_analytic_method(),
      &bn_reestimate_method(), &diffuse_method(), &distil_method(),         &equalize_method(),
      &fill_range_method(),    &gptq_method(),    &learned_blocks_method(), &learned_rounding_method(),
      &recalibrate_method(),   &rotate_method(),  &smooth_method(),
  };
  return rows;
}

}  // namespace lowbit
