#include "cli/command_line.h"

#include <algorithm>

#include <fmt/format.h>

#include "cli/output.h"
#include "lowbit/base/error.h"
#include "lowbit/base/text.h"

namespace lowbit::cli {
namespace {

constexpr int kMostThreads = 1024;

bool is_option(const std::string& argument) { return argument.size() > 1 && argument[0] == '-'; }

/// The name of an option as it was typed, with '-' for '_': "--require_coverage=1" -> "--require-coverage".
std::string option_name(const std::string& argument) {
  std::string name = argument.substr(0, argument.find('='));
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

/// Every name by which the options of this command can be given.
std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  }
  return names;
}

/// One sentence from CLI11's message, which may have several lines.
std::string sentence(const CLI::ParseError& error) {
  std::string text = error.what();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

}  // namespace

CommandLine::CommandLine(std::string_view command) : name_(command), app_("", "lowbit " + std::string(command)) {
  const Command& row = find_command(command);
  std::string summary(row.summary);
  summary[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(summary[0])));
  app_.description(summary + ".");
  app_.footer(fmt::format("Example:\n  {}", row.example));
  app_.set_help_flag("-h,--help", "Print this help and exit");
  app_.add_option("--threads", threads, "Number of threads (default: all cores)")->type_name("N");
  app_.add_flag("--json", json, "Print one JSON document and nothing else");
  app_.add_flag("--quiet", quiet, "Print the result only: no progress, no notes");
  app_.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

Arguments CommandLine::checked(const Arguments& arguments) const {
  const std::vector<std::string> names = option_names(app_);
  Arguments result;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--") {
      result.insert(result.end(), arguments.begin() + static_cast<std::ptrdiff_t>(i), arguments.end());
      return result;
    }
    if (!is_option(argument)) {
      result.push_back(argument);
      continue;
    }
    const bool is_long = argument[1] == '-';
    const std::string name = is_long ? option_name(argument) : argument.substr(0, 2);
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      const std::string near = did_you_mean(name, names);
      throw Error(ErrorCode::bad_argument,
                  fmt::format("unknown option {} ({})", printable(argument, 80),
                              near.empty() ? "see lowbit " + name_ + " --help" : near),
                  name_);
    }
    result.push_back(name + argument.substr(name.size()));
    const CLI::Option* option = app_.get_option(name);
    const bool takes_next = option->get_items_expected_min() > 0 && argument.size() == name.size();
    if (takes_next && i + 1 < arguments.size()) result.push_back(arguments[++i]);
  }
  return result;
}

bool CommandLine::parse(const Arguments& arguments) {
  try {
    Arguments reversed = checked(arguments);  // CLI11 reads from the back
    std::reverse(reversed.begin(), reversed.end());
    app_.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    print(app_.help());
    return false;
  } catch (const CLI::ParseError& error) {
    throw Error(ErrorCode::bad_argument,
                fmt::format("{} (see lowbit {} --help)", printable(sentence(error), 300), name_), name_);
  }
  if (threads < 0 || threads > kMostThreads)
    throw Error(ErrorCode::bad_argument,
                fmt::format("--threads is {} (give 1 to {}, or 0 for all cores)", threads, kMostThreads), name_);
  return true;
}

}  // namespace lowbit::cli
