// error.h: the one exception type of lowbit, and the check for our own bugs.
// A message says what was found, what was expected and what the user can do; the program prints it as one line.
#pragma once

#include <exception>
#include <string>

namespace lowbit {

enum class ErrorCode {
  bad_argument,  ///< wrong use: option, recipe key, shape given by the caller (exit code 2)
  bad_file,      ///< bytes from outside that are broken or inconsistent (exit code 3)
  unsupported,   ///< sound input that this build cannot handle; lists everything unsupported at once (exit code 3)
  io,            ///< the system failed: disk full, permission (exit code 4)
  out_of_memory, ///< an allocation was refused or is above a stated limit (exit code 4)
  internal,      ///< a bug of ours (exit code 70)
};

class Error : public std::exception {
 public:
  /// `where` is a file name, `file: offset`, a node or an option name; may be empty.
  Error(ErrorCode code, std::string message, std::string where = {});

  ErrorCode code() const noexcept { return code_; }
  const std::string& message() const noexcept { return message_; }
  const std::string& where() const noexcept { return where_; }
  /// `where: message`, or the message alone.
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  ErrorCode code_;
  std::string message_, where_, text_;
};

/// Throws Error{internal} naming the condition and the source line.
[[noreturn]] void fail_check(const char* condition, const char* file, int line);

}  // namespace lowbit

/// Always on. For what cannot happen whatever the input; input is checked with a real message instead.
#define LOWBIT_CHECK(condition) \
  do {                          \
    if (!(condition)) ::lowbit::fail_check(#condition, __FILE__, __LINE__); \
  } while (false)
