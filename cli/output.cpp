#include "cli/output.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include <fmt/format.h>
#include <unistd.h>

#include "lowbit/base/error.h"
#include "lowbit/base/text.h"

namespace lowbit::cli {
namespace {

constexpr size_t kMostErrorBytes = 500;
constexpr int kBarColumns = 24;

[[noreturn]] void output_failed(int reason) {
  if (reason == EPIPE) throw ReaderGone{};
  throw Error(ErrorCode::io,
              fmt::format("cannot write: {} (free space, or send the output elsewhere)", std::strerror(reason)),
              "stdout");
}

std::string& subject_text() {
  static std::string text;
  return text;
}

int exit_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::bad_argument:
      return 2;
    case ErrorCode::bad_file:
    case ErrorCode::unsupported:
      return 3;
    case ErrorCode::io:
    case ErrorCode::out_of_memory:
      return 4;
    case ErrorCode::internal:
      break;
  }
  return 70;
}

/// What to do, for messages that do not say it themselves.
const char* remedy(ErrorCode code) {
  switch (code) {
    case ErrorCode::bad_argument:
      return "see lowbit --help";
    case ErrorCode::bad_file:
      return "get or make the file again";
    case ErrorCode::unsupported:
      return "see lowbit list for what this build can do";
    case ErrorCode::io:
      return "check the folder, its permissions and the free space";
    case ErrorCode::out_of_memory:
      return "use a smaller model or batch, or a machine with more memory";
    case ErrorCode::internal:
      break;
  }
  return "a bug in lowbit; please report it";
}

/// The one line: prefix, file, what is wrong, what to do; cut in the middle part if it is too long.
void print_error(ErrorCode code, const std::string& file, const std::string& what) {
  std::string line = "lowbit: error: ";
  const bool names_file = file.empty() || what.find(file) != std::string::npos;
  if (!names_file) line += printable(file, 120) + ": ";
  std::string tail = what.ends_with(')') ? "" : fmt::format(" ({})", remedy(code));
  const size_t room = kMostErrorBytes - line.size() - tail.size();
  std::string middle = printable(what, what.size() * 4 + 16);
  if (middle.size() > room) {
    const size_t open = what.ends_with(')') ? middle.rfind(" (") : std::string::npos;
    const bool keep_remedy = open != std::string::npos && middle.size() - open <= room / 2;
    const std::string last = keep_remedy ? middle.substr(open) : "";
    middle = printable(middle.substr(0, keep_remedy ? open : middle.size()), room - last.size() - 4) + last;
  }
  std::fputs((line + middle + tail + "\n").c_str(), stderr);
}

std::string time_text(double seconds) {
  if (seconds < 60) return fmt::format("{:.0f} s", seconds);
  if (seconds < 3600) return fmt::format("{:.0f} min {:02.0f} s", std::floor(seconds / 60), std::fmod(seconds, 60));
  return fmt::format("{:.0f} h {:02.0f} min", std::floor(seconds / 3600), std::fmod(seconds, 3600) / 60);
}

}  // namespace

void print(std::string_view text) {
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) output_failed(errno);
}

void finish_output() {
  errno = 0;
  if (std::fflush(stdout) != 0) output_failed(errno);
}

void note(std::string_view text) { std::fputs((printable(text, 2000) + "\n").c_str(), stderr); }

bool on_terminal() {
  const char* terminal = std::getenv("TERM");
  return isatty(STDERR_FILENO) && !(terminal && std::strcmp(terminal, "dumb") == 0);
}

std::string coloured(std::string_view text, int colour) {
  const char* refused = std::getenv("NO_COLOR");
  if (!isatty(STDOUT_FILENO) || (refused && *refused)) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", colour, text);
}

void set_subject(const std::string& file) { subject_text() = file; }

int report_failure(const std::exception_ptr& failure) {
  const std::string& file = subject_text();
  try {
    std::rethrow_exception(failure);
  } catch (const ReaderGone&) {
    return exit_code(ErrorCode::io);
  } catch (const Error& error) {
    // Usage and system errors name what they are about themselves: an option, the output.
    const bool about_file = error.code() == ErrorCode::bad_file || error.code() == ErrorCode::unsupported ||
                            error.code() == ErrorCode::internal || error.code() == ErrorCode::out_of_memory ||
                            error.where().empty();
    print_error(error.code(), about_file ? file : "", error.what());
    return exit_code(error.code());
  } catch (const std::bad_alloc&) {
    print_error(ErrorCode::out_of_memory, file, "not enough memory");
    return exit_code(ErrorCode::out_of_memory);
  } catch (const std::exception& error) {
    print_error(ErrorCode::internal, file, fmt::format("unexpected failure: {}", error.what()));
    return exit_code(ErrorCode::internal);
  }
}

ProgressBar::ProgressBar(bool quiet, double total, std::string unit)
    : enabled_(!quiet && on_terminal()), total_(total), unit_(std::move(unit)), start_(Clock::now()), last_(start_) {}

ProgressBar::~ProgressBar() {
  if (drawn_) std::fputs("\r\x1b[K", stderr);
}

void ProgressBar::update(std::string_view what, double share) {
  if (!enabled_) return;
  const Clock::time_point now = Clock::now();
  if (what != what_) {
    what_ = what;
    start_ = now;
  } else if (now - last_ < std::chrono::milliseconds(100)) {
    return;
  }
  last_ = now;
  share = std::clamp(share, 0.0, 1.0);
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  std::string line = fmt::format("\r\x1b[K{} ", printable(what, 40));
  const int full = static_cast<int>(share * kBarColumns);
  for (int i = 0; i < kBarColumns; ++i) line += i < full ? "█" : "░";
  line += fmt::format(" {:3.0f} %", 100 * share);
  if (elapsed > 0.5 && share > 0) {
    if (total_ > 0) line += fmt::format("  {:.1f} {}/s", share * total_ / elapsed, unit_);
    line += "  " + time_text(elapsed / share * (1 - share)) + " left";
  }
  std::fputs(line.c_str(), stderr);
  std::fflush(stderr);
  drawn_ = true;
}

}  // namespace lowbit::cli
