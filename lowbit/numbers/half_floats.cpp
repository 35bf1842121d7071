// float16 and bfloat16 as number systems: no parameters, a code is the bit pattern, rounding to nearest even. Unlike a
// plain conversion, values beyond the largest finite one saturate and NaN gives 0, as in every system.
#include <algorithm>
#include <cmath>
#include <limits>

#include "lowbit/base/small_floats.h"
#include "lowbit/numbers/names.h"

namespace lowbit {
namespace {

constexpr float kLargestHalf = 65504;
constexpr float kLargestBfloat16 = 0x1.fep127f;

template <uint16_t (*Convert)(float)>
void encode_values(float largest, const float* x, int64_t n, int32_t* codes) {
  for (int64_t i = 0; i < n; ++i) codes[i] = std::isnan(x[i]) ? 0 : Convert(std::clamp(x[i], -largest, largest));
}

constexpr NumberSystem row(std::string_view name, std::string_view summary, std::string_view paper) {
  NumberSystem system{.name = name, .summary = summary, .paper = paper, .min_bits = 16, .max_bits = 16};
  system.parse = [](std::string_view tail) {
    return tail.empty() ? std::optional(NumberFormat{.bits = 16}) : std::nullopt;
  };
  system.format_name = [](const NumberFormat& format) { return std::string(format.system->name); };
  system.codes = unsigned_codes;
  system.param_count = [](const NumberFormat&) { return 0; };
  system.fit = [](const NumberFormat&, std::span<const float>, std::span<const float>, const FitOptions&, float*) {};
  return system;
}

constexpr NumberSystem float16_row() {
  NumberSystem system = row("float16", "IEEE 754 half precision, saturating", "IEEE 754-2019");
  system.level = [](const NumberFormat&, const float*, int32_t code) {
    return static_cast<double>(half_to_float(static_cast<uint16_t>(code)));
  };
  system.encode = [](const NumberFormat&, const float*, const float* x, int64_t n, int32_t* codes) {
    encode_values<float_to_half>(kLargestHalf, x, n, codes);
  };
  system.decode = [](const NumberFormat&, const float*, const int32_t* codes, int64_t n, float* y) {
    for (int64_t i = 0; i < n; ++i) y[i] = half_to_float(static_cast<uint16_t>(codes[i]));
  };
  return system;
}

constexpr NumberSystem bfloat16_row() {
  NumberSystem system = row("bfloat16", "the upper half of a float32, saturating", "");
  system.level = [](const NumberFormat&, const float*, int32_t code) {
    return static_cast<double>(bfloat16_to_float(static_cast<uint16_t>(code)));
  };
  system.encode = [](const NumberFormat&, const float*, const float* x, int64_t n, int32_t* codes) {
    encode_values<float_to_bfloat16>(kLargestBfloat16, x, n, codes);
  };
  system.decode = [](const NumberFormat&, const float*, const int32_t* codes, int64_t n, float* y) {
    for (int64_t i = 0; i < n; ++i) y[i] = bfloat16_to_float(static_cast<uint16_t>(codes[i]));
  };
  return system;
}

}  // namespace

extern const NumberSystem float16_system, bfloat16_system;
constinit const NumberSystem float16_system = float16_row();
constinit const NumberSystem bfloat16_system = bfloat16_row();

}  // namespace lowbit
