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

/// What to try instead of a remedy that was applied already: of `--method NAME` the next stronger list of methods, with
/// what is applied now. The remedy itself if it is new, empty if nothing stronger is known.
std::vector<std::string> next_remedy(const std::vector<std::string>& remedy, const std::vector<std::string>& applied);

/// Fills Finding::command for arguments of `lowbit quantize` that made the model, so that it is made again with the
/// remedy, or with what is next where `applied`, the methods of the model's recipe, have it already.
void add_commands(const std::vector<std::string>& arguments, const std::vector<std::string>& applied,
                  Diagnosis& diagnosis);

/// The methods that the recipe in a model file names. A file without one was most likely made with the default methods
/// of the width that most of its weights have.
std::vector<std::string> applied_methods(const std::string& low_bit_path, const Graph& low_bit);

/// Arguments that would make a model like `low_bit` of `float_path`: its number systems, granularity and recipe as far
/// as the file tells.
std::vector<std::string> arguments_for(const std::string& float_path, const std::string& low_bit_path,
                                       const Graph& low_bit, const DataFlags& data);

}  // namespace lowbit::cli
