#include "cli/output_file.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "lowbit/base/error.h"
#include "lowbit/base/file.h"
#include "lowbit/base/text.h"
#include "lowbit/formats/format.h"

namespace lowbit::cli {
namespace {

/// Extensions that the program will write one day; named so that the message says "not yet" and not "unknown".
constexpr const char* kLater[] = {".tflite", ".gguf"};

std::string extension_of(const std::string& path) {
  const std::string name = name_of(path);
  const size_t dot = name.find_last_of('.');
  return dot == std::string::npos ? "" : name.substr(dot);
}

std::vector<std::string> writable_extensions() {
  std::vector<std::string> result;
  for (const FileFormat* format : format_table())
    if (format->write)
      for (const std::string& extension : split(format->extensions, ' ')) result.push_back(extension);
  return result;
}

}  // namespace

void check_writable(const std::string& path) { AtomicFile probe(path); }

void check_model_output(const std::string& path) {
  const std::string extension = extension_of(path);
  const std::vector<std::string> known = writable_extensions();
  if (std::find(known.begin(), known.end(), extension) == known.end()) {
    const bool later = std::find(std::begin(kLater), std::end(kLater), extension) != std::end(kLater);
    throw Error(
        ErrorCode::bad_argument,
        later ? fmt::format("writing {} is not available in this version (write {})", extension, join(known, ", "))
              : fmt::format("the extension '{}' names no model format that can be written (write {})",
                            printable(extension, 40), join(known, ", ")),
        path);
  }
  check_writable(path);
}

std::string stem_of(const std::string& path) {
  const std::string name = name_of(path);
  const size_t dot = name.find_last_of('.');
  return dot == std::string::npos || dot == 0 ? name : name.substr(0, dot);
}

}  // namespace lowbit::cli
