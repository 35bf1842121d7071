// output.h: what the program says. Results go to stdout, talk and errors to stderr; the rest of the program never
// writes to either directly.
#pragma once

#include <chrono>
#include <exception>
#include <string>
#include <string_view>

namespace lowbit::cli {

/// The reader of stdout went away (a closed pipe): the program ends without another word.
struct ReaderGone {};

/// Writes to stdout. Throws Error{io} if that fails (a full disk), ReaderGone if the pipe is closed.
void print(std::string_view text);
/// Hands everything to the system; the same errors. To be called once at the end.
void finish_output();
/// A line on stderr, made printable.
void note(std::string_view text);
/// True if stderr is a terminal that may be drawn on (not TERM=dumb).
bool on_terminal();
/// Wraps text in a terminal colour (31 red, 32 green, 33 yellow) if stdout is a terminal and NO_COLOR is not set.
std::string coloured(std::string_view text, int colour);

/// Names the file that errors of this command are about, for messages that come from deep inside.
void set_subject(const std::string& file);
/// The exit code of an exception, after its one line on stderr.
int report_failure(const std::exception_ptr& failure);

/// One rewritten line on stderr: what is done, bar, per cent, rate and time left; nothing unless stderr is a terminal.
class ProgressBar {
 public:
  /// `total` > 0 and `unit`: the rate is shown as unit per second.
  ProgressBar(bool quiet, double total = 0, std::string unit = "");
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;
  void update(std::string_view what, double share);

 private:
  using Clock = std::chrono::steady_clock;
  bool enabled_, drawn_ = false;
  double total_;
  std::string unit_, what_;
  Clock::time_point start_, last_;
};

}  // namespace lowbit::cli
