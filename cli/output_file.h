// output_file.h: checks on a file that a command is going to write, made before the long work starts.
#pragma once

#include <string>

namespace lowbit::cli {

/// Refuses extensions that this build cannot write (naming those it can) and folders that cannot be written to.
/// Throws Error{bad_argument} or Error{io}. Nothing is left behind.
void check_model_output(const std::string& path);
/// The folder part of that check, for reports and arrays.
void check_writable(const std::string& path);

/// "models/net.onnx" -> "net": the name without folder and last extension.
std::string stem_of(const std::string& path);

}  // namespace lowbit::cli
