#include "lowbit/methods/activation_system.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/numbers/level_table.h"

namespace lowbit {

ActivationSystem parse_activation_system(std::string_view text) {
  ActivationSystem system;
  for (const auto& [prefix, by_row] : {std::pair<std::string_view, bool>{"dynamic:", false}, {"dynamic-token:", true}})
    if (text.starts_with(prefix)) {
      system.dynamic = true;
      system.by_row = by_row;
      text.remove_prefix(prefix.size());
    }
  system.format = parse_number_format(text);
  if (!system.dynamic) return system;
  if (!is_linear(system.format) || system.format.bits != 8)
    throw Error(
        ErrorCode::bad_argument,
        fmt::format("dynamic activations cannot be {} (use dynamic:uint8, dynamic:int8 or dynamic-token: before them)",
                    printable(text, 60)));
  // uint8 has a fitted zero point, int8 is symmetric.
  system.format.asymmetric = system.format.system->name == "uint";
  return system;
}

std::vector<float> activation_params(const NumberFormat& format, const Range& range) {
  const float low = std::min(range.low, 0.0f), high = std::max(range.high, 0.0f);
  std::vector<float> params(static_cast<size_t>(format.system->param_count(format)));
  FitOptions options;
  options.rule = FitRule::range;
  options.low = low;
  options.high = high;
  format.system->fit(format, {}, {}, options, params.data());
  if (is_linear(format) || high == low) return params;
  const std::vector<float> levels = level_values(format, params.data());
  float reach = 0;
  for (float level : levels)
    if (std::isfinite(level)) reach = std::max(reach, std::abs(level));
  if (reach < 0.5f * std::max(-low, high))
    throw Error(ErrorCode::bad_argument,
                fmt::format("activations cannot be {}: its levels follow from data, not from a range (use intN, uintN, "
                            "logN, fp8-e4m3 ...)",
                            to_string(format)),
                "--activations");
  return params;
}

}  // namespace lowbit
