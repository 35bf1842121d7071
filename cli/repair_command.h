// repair_command.h: the whole command line that tries a remedy.
#pragma once

#include <string>
#include <vector>

#include "cli/data_flags.h"
#include "lowbit/core/diagnosis.h"

namespace lowbit::cli {

/// An argument as a shell takes it, in quotes where it needs them.
std::string quote_argument(const std::string& argument);
/// "lowbit quantize ..." of arguments.
std::string quantize_command(const std::vector<std::string>& arguments);

/// The arguments with the options of `remedy` (pairs of name and value) instead of their own; options that may be given
/// several times (--exclude, --include) are added. Empty if all of it stands there already.
std::vector<std::string> with_remedy(const std::vector<std::string>& arguments, const std::vector<std::string>& remedy);

/// Fills Finding::command for arguments of `lowbit quantize` that made the model, so that it is made again with the
/// remedy.
void add_commands(const std::vector<std::string>& arguments, Diagnosis& diagnosis);

/// Arguments that would make a model like `low_bit` of `float_path`: its number systems, granularity and recipe as far
/// as the file tells.
std::vector<std::string> arguments_for(const std::string& float_path, const std::string& low_bit_path,
                                       const Graph& low_bit, const DataFlags& data);

}  // namespace lowbit::cli
