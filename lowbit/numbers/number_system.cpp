#include "lowbit/numbers/number_system.h"

#include <fmt/format.h>

#include "lowbit/base/error.h"
#include "lowbit/base/text.h"
#include "lowbit/numbers/level_table.h"

namespace lowbit {
namespace {

constexpr std::string_view kStandardPrefix = "std-";

/// A name of each system for "did you mean": the widths users ask for most.
std::vector<std::string> example_names() {
  std::vector<std::string> names;
  for (const NumberSystem* system : number_systems()) {
    std::vector<std::string> tails = {""};
    for (int bits = system->min_bits; bits <= system->max_bits; ++bits)
      tails.insert(tails.end(), {std::to_string(bits), "-" + std::to_string(bits)});
    for (const std::string& tail : tails)
      if (system->parse(tail)) names.push_back(std::string(system->name) + tail);
  }
  return names;
}

}  // namespace

const NumberSystem* find_number_system(std::string_view name) {
  for (const NumberSystem* system : number_systems())
    if (system->name == name) return system;
  return nullptr;
}

NumberFormat parse_number_format(std::string_view name) {
  std::string_view rest = name;
  const bool standardized = rest.starts_with(kStandardPrefix);
  if (standardized) rest.remove_prefix(kStandardPrefix.size());
  for (const NumberSystem* system : number_systems()) {
    if (!rest.starts_with(system->name)) continue;
    if (std::optional<NumberFormat> format = system->parse(rest.substr(system->name.size()))) {
      format->system = system;
      format->standardized = standardized;
      return *format;
    }
  }
  const std::string hint = did_you_mean(rest, example_names());
  throw Error(ErrorCode::bad_argument, fmt::format("there is no number system '{}' ({}see `lowbit list numbers`)",
                                                   printable(name, 80), hint.empty() ? "" : hint + " "));
}

std::string to_string(const NumberFormat& format) {
  if (!format.system) return "none";
  const std::string name = format.system->format_name(format);
  return format.standardized ? std::string(kStandardPrefix) + name : name;
}

void encode(const NumberFormat& format, const float* params, const float* x, int64_t n, int32_t* codes) {
  encode_with(format.system->encode, format, params, x, n, codes);
}

void decode(const NumberFormat& format, const float* params, const int32_t* codes, int64_t n, float* y) {
  decode_with(format.system->decode, format, params, codes, n, y);
}

}  // namespace lowbit
