#include "lowbit/base/scratch_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace lowbit {
namespace {

/// Closed when it goes out of scope.
struct Descriptor {
  int number = -1;
  ~Descriptor() {
    if (number >= 0) close(number);
  }
};

bool write_all(int descriptor, Bytes bytes) {
  // The room is taken first, so that a full disk is met here and not when a page is read.
  if (posix_fallocate(descriptor, 0, static_cast<off_t>(bytes.size())) != 0) return false;
  while (!bytes.empty()) {
    const ssize_t written = write(descriptor, bytes.data(), bytes.size());
    if (written <= 0) return false;
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return true;
}

}  // namespace

ScratchBytes to_scratch_file(Bytes bytes) {
  if (bytes.empty()) return {};
  std::error_code failed;
  std::string path = (std::filesystem::temp_directory_path(failed) / "lowbit-XXXXXX").string();
  if (failed) return {};
  const Descriptor file{mkstemp(path.data())};
  if (file.number < 0) return {};
  unlink(path.c_str());  // without a name it goes when the program ends, however it ends
  if (!write_all(file.number, bytes)) return {};
  void* mapped = mmap(nullptr, bytes.size(), PROT_READ, MAP_SHARED, file.number, 0);
  if (mapped == MAP_FAILED) return {};
  const size_t size = bytes.size();
  return {{static_cast<const std::byte*>(mapped), size},
          std::shared_ptr<const void>(mapped, [size](const void* p) { munmap(const_cast<void*>(p), size); })};
}

}  // namespace lowbit
