#include "lowbit/numbers/widths.h"

#include <algorithm>
#include <string>

#include "lowbit/base/checked.h"
#include "lowbit/numbers/packing.h"

namespace lowbit {
namespace {

constexpr int kMostCodeBits = 12;  ///< of vector codebooks: beyond, fitting takes longer than a choice should
constexpr int64_t kGroup = 32;

/// What may stand behind the stem of a name for this width.
std::vector<std::string> tails(int bits) {
  const std::string n = std::to_string(bits);
  std::vector<std::string> result = {"", n, n + "-asym", n + "-2", "-" + n};
  for (const int size : {2, 4, 8})
    if (size * bits <= kMostCodeBits)
      result.push_back("-" + std::to_string(size) + "x" + std::to_string(1 << (size * bits)));
  return result;
}

}  // namespace

std::vector<NumberFormat> formats_of_width(int bits) {
  std::vector<NumberFormat> formats;
  for (const NumberSystem* system : number_systems()) {
    if (system->name == "uint") continue;  // the levels of int with a fitted zero point
    for (const std::string& tail : tails(bits)) {
      std::optional<NumberFormat> format = system->parse(tail);
      if (!format || format->bits != bits * format->vector_size) continue;
      format->system = system;
      if (std::find(formats.begin(), formats.end(), *format) == formats.end()) formats.push_back(*format);
    }
  }
  return formats;
}

std::vector<Granularity> granularities_for(const NumberFormat& format, std::span<const int64_t> dims, int64_t axis) {
  using Kind = Granularity::Kind;
  // A table of vectors is worth it if it is small beside the codes.
  const auto is_small = [](int64_t table_bits, int64_t code_bits) { return 4 * table_bits <= code_bits; };
  if (format.vector_size > 1 &&
      !is_small(parameter_bits(format), checked_product(dims) / format.vector_size * format.bits))
    return {};
  if (!format.system->default_granularity.empty()) {
    Granularity own = parse_granularity(format.system->default_granularity);
    own.axis = axis;
    return {own};
  }
  const Granularity tensor{.kind = Kind::tensor, .axis = axis}, channel{.kind = Kind::channel, .axis = axis},
      group{.kind = Kind::group, .axis = axis, .size = kGroup};
  if (dims.empty() || format.system->param_count(format) == 0) return {tensor};
  std::vector<Granularity> result = {channel};
  const int64_t channels = group_count(channel, dims);
  const bool cheap = parameter_bits(format) <= kGroup * 5 / 4;
  if (cheap && group_count(group, dims) > channels) result.push_back(group);
  if (channels > 1) result.push_back(tensor);
  return result;
}

int parameter_bits(const NumberFormat& format) {
  return format.system->param_bits ? format.system->param_bits(format) : 32 * format.system->param_count(format);
}

int64_t stored_bits(const NumberFormat& format, const Granularity& granularity, std::span<const int64_t> dims) {
  const std::vector<int64_t> shape = code_dims(format, granularity, dims);
  return checked_add(stored_code_bits(format, checked_product(shape)),
                     checked_mul(group_count(granularity, dims), parameter_bits(format)));
}

}  // namespace lowbit
