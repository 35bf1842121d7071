#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/methods/methods.h"

namespace lowbit {

std::span<const Method* const> method_table() {
  static const Method* const rows[] = {&bias_correct_method()};
  return rows;
}

const Method& find_method(std::string_view name) {
  std::vector<std::string> names;
  for (const Method* method : method_table()) {
    if (method->name == name) return *method;
    names.emplace_back(method->name);
  }
  const std::string near = did_you_mean(name, names);
  throw Error(ErrorCode::bad_argument,
              fmt::format("'{}' is no method of this version; {}", printable(name, 60),
                          near.empty() ? "available: none, " + join(names, ", ") : near),
              "--method");
}

}  // namespace lowbit
