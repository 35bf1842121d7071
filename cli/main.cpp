// main.cpp: finds the command in the table, runs it, and turns whatever goes wrong into one line and an exit code.
#include <csignal>
#include <exception>

#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "lowbit/api/catalogue.h"
#include "lowbit/base/error.h"
#include "lowbit/base/resident.h"
#include "lowbit/base/text.h"

namespace lowbit::cli {
namespace {

std::string overview() {
  std::string text =
      "lowbit turns trained neural networks into low-bit ones, proves how good they still are, and runs them.\n\n"
      "Usage: lowbit COMMAND [OPTIONS]\n\nCommands:\n";
  for (const Command& command : command_table()) text += fmt::format("  {:<12}{}\n", command.name, command.summary);
  return text +
         "\nEvery command has --help with an example, --threads N, --json and --quiet.\n"
         "  lowbit --version\n\nExample:\n  lowbit quantize model.onnx -o model.int8.onnx --data calibration.npy\n";
}

int dispatch(const Arguments& arguments) {
  if (arguments.empty()) throw Error(ErrorCode::bad_argument, "a command is missing (see lowbit --help)");
  const std::string& first = arguments[0];
  if (first == "--help" || first == "-h" || first == "help") {
    if (first == "help" && arguments.size() > 1) return find_command(arguments[1]).run({"--help"});
    print(overview());
    return 0;
  }
  if (first == "--version") {
    print("lowbit " LOWBIT_VERSION "\n" + instruction_set_text());
    return 0;
  }
  if (first[0] == '-')
    throw Error(ErrorCode::bad_argument, "options come after the command (lowbit COMMAND --option; see lowbit --help)",
                printable(first, 80));
  return find_command(first).run(Arguments(arguments.begin() + 1, arguments.end()));
}

int run(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);  // a closed pipe is an error of the write, not the end of the process
  keep_freed_memory();
  int code = 0;
  try {
    code = dispatch(Arguments(argv + (argc > 0 ? 1 : 0), argv + argc));
    finish_output();
  } catch (...) {
    code = report_failure(std::current_exception());
  }
  return code;
}

}  // namespace
}  // namespace lowbit::cli

int main(int argc, char** argv) { return lowbit::cli::run(argc, argv); }
