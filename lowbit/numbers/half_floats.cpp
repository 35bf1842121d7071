// float16 and bfloat16 as number systems: no parameters, a code is the bit pattern, rounding to nearest even. Unlike a
// plain conversion, values beyond the largest finite one saturate and NaN gives 0, as in every system.
#include "lowbit/base/small_floats.h"
#include "lowbit/numbers/names.h"
#include "lowbit/numbers/vector_loops.h"

namespace lowbit {
namespace {

constexpr SmallFloatShape kHalf{
    .mantissa_bits = 10, .lowest_exponent = -14, .sign_shift = 15, .largest = 65504, .negative_zero = true};

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
    small_float_encode_loop(kHalf, 1, x, n, codes);
  };
  system.decode = [](const NumberFormat&, const float*, const int32_t* codes, int64_t n, float* y) {
    float16_decode_loop(codes, n, y);
  };
  return system;
}

constexpr NumberSystem bfloat16_row() {
  NumberSystem system = row("bfloat16", "the upper half of a float32, saturating", "");
  system.level = [](const NumberFormat&, const float*, int32_t code) {
    return static_cast<double>(bfloat16_to_float(static_cast<uint16_t>(code)));
  };
  system.encode = [](const NumberFormat&, const float*, const float* x, int64_t n, int32_t* codes) {
    bfloat16_encode_loop(x, n, codes);
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
