// child_process.h: a folder for files that live as long as an object, and a child process that runs to its end.
#pragma once

#include <string>
#include <vector>

namespace lowbit {

/// A new private folder below the system's temporary folder; removed with its contents at the end.
class TemporaryFolder {
 public:
  /// Throws Error{io}.
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// Runs a program, found by PATH, without input; stdout is dropped, stderr goes to the file. Returns its exit code
/// (128 + signal if it was killed, 127 if it could not be started).
int run_process(const std::vector<std::string>& command, const std::string& stderr_path);

}  // namespace lowbit
