// commands.h: the table of subcommands. To add one: a file cmd_<name>.cpp with its function, and a row in commands.cpp.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lowbit::cli {

using Arguments = std::vector<std::string>;

struct Command {
  std::string_view name, summary;
  std::string_view example;           ///< one or more lines for --help
  int (*run)(const Arguments& rest);  ///< arguments after the command's name; returns the exit code
};

std::span<const Command> command_table();
/// Throws Error{bad_argument} with the nearest names.
const Command& find_command(std::string_view name);

int run_inspect(const Arguments& rest);
int run_quantize(const Arguments& rest);
int run_dequantize(const Arguments& rest);
int run_convert(const Arguments& rest);
int run_eval(const Arguments& rest);
int run_compare(const Arguments& rest);
int run_run(const Arguments& rest);
int run_verify(const Arguments& rest);
int run_list(const Arguments& rest);
int run_bench(const Arguments& rest);

}  // namespace lowbit::cli
