#include "lowbit/methods/method.h"

#include <cmath>

#include <fmt/format.h>

#include "lowbit/base/text.h"

namespace lowbit {
namespace {

[[noreturn]] void refuse(const std::string& message) { throw Error(ErrorCode::bad_argument, message, "--method"); }

const MethodOption& find_option(const Method& method, std::string_view name) {
  std::vector<std::string> names;
  for (const MethodOption& option : method.options) {
    if (option.name == name) return option;
    names.emplace_back(option.name);
  }
  const std::string near = did_you_mean(std::string(name), names);
  refuse(fmt::format("{} has no option '{}' ({})", method.name, printable(name, 60),
                     names.empty()  ? "it has none"
                     : near.empty() ? "options: " + join(names, ", ")
                                    : near));
}

}  // namespace

double Method::option(const MethodContext& context, std::string_view key) const {
  const auto found = context.set.find(key);
  return found != context.set.end() ? found->second : find_option(*this, key).fallback;
}

const Method& find_method(std::string_view name) {
  std::vector<std::string> names;
  for (const Method* method : method_table()) {
    if (method->name == name) return *method;
    names.emplace_back(method->name);
  }
  const std::string near = did_you_mean(std::string(name), names);
  refuse(fmt::format("'{}' is no method of this version; {}", printable(name, 60),
                     near.empty() ? "available: none, " + join(names, ", ") : near));
}

MethodCall parse_method(std::string_view text) {
  MethodCall call;
  size_t end = std::min(text.find(':'), text.size());
  call.method = &find_method(text.substr(0, end));
  while (end < text.size()) {
    text.remove_prefix(end + 1);
    end = std::min(text.find(':'), text.size());
    const std::string_view part = text.substr(0, end);
    const size_t equal = part.find('=');
    if (equal == std::string_view::npos)
      refuse(fmt::format("'{}' is no option of {} (write it as NAME=NUMBER)", printable(part, 60), call.method->name));
    const MethodOption& option = find_option(*call.method, part.substr(0, equal));
    const std::optional<double> value = parse_double(part.substr(equal + 1));
    if (!value || !(*value >= option.low && *value <= option.high))
      refuse(fmt::format("{}: {} is '{}' (a number from {} to {} is needed)", call.method->name, option.name,
                         printable(part.substr(equal + 1), 40), option.low, option.high));
    call.set[std::string(option.name)] = *value;
  }
  return call;
}

}  // namespace lowbit
