// command_line.h: what every subcommand shares: the common options, help with an example, and errors that name the
// nearest option instead of CLI11's own texts.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "cli/commands.h"

namespace lowbit::cli {

class CommandLine {
 public:
  /// Prepares the parser of a row of the command table with --threads, --json, --quiet and --help.
  explicit CommandLine(std::string_view command);

  CLI::App& app() { return app_; }
  /// A file that must be given by position, e.g. MODEL.
  void add_file(const char* name, std::string& target, const char* help) {
    app_.add_option(name, target, help)->required();
  }
  /// An option that may be given several times, one value each time.
  CLI::Option* add_list(const char* name, std::vector<std::string>& target, const char* help) {
    return app_.add_option(name, target, help)->allow_extra_args(false);
  }

  /// Reads the arguments. False: help was asked for and printed. Throws Error{bad_argument}.
  bool parse(const Arguments& arguments);

  int threads = 0;  ///< 0 = one per core
  bool json = false, quiet = false;

 private:
  /// `-` and `_` are alike in option names; an unknown name is an error with the nearest ones.
  Arguments checked(const Arguments& arguments) const;
  std::string name_;
  CLI::App app_;
};

}  // namespace lowbit::cli
