#include "lowbit/base/file.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "lowbit/base/error.h"
#include "lowbit/base/text.h"

namespace lowbit {
namespace {

std::string system_reason() { return std::strerror(errno); }

/// Opens `name` relative to the folder without following any symbolic link; -1 on failure (errno set).
int open_without_links(int folder, const std::string& name) {
  open_how how{};
  how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  const long opened = syscall(SYS_openat2, folder, name.c_str(), &how, sizeof(how));
  if (opened >= 0 || (errno != ENOSYS && errno != EPERM)) return static_cast<int>(opened);
  // Kernels before 5.6, and sandboxes that hide openat2: walk the components, none of which may be a link.
  int current = dup(folder);
  const std::vector<std::string> parts = split(name, '/');
  for (size_t i = 0; i < parts.size() && current >= 0; ++i) {
    const bool last = i + 1 == parts.size();
    const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | (last ? 0 : O_DIRECTORY);
    const int next = openat(current, parts[i].c_str(), flags);
    const int reason = errno;
    close(current);
    errno = reason;
    current = next;
  }
  return current;
}

void check_relative_name(const std::string& name) {
  const auto refuse = [&](const char* what) {
    throw Error(
        ErrorCode::bad_file,
        fmt::format("the external data location '{}' {} (only relative paths inside the model's folder are read)",
                    printable(name, 100), what));
  };
  if (name.empty()) refuse("is empty");
  if (name.find('\0') != std::string::npos) refuse("has a NUL character");
  if (name.front() == '/') refuse("is absolute");
  if (name.find('\\') != std::string::npos) refuse("has a backslash");
  for (const std::string& part : split(name, '/'))
    if (part == "..") refuse("leaves the folder");
}

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::map(int descriptor, std::string path) {
  struct stat status {};
  if (fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    const bool folder = S_ISDIR(status.st_mode);
    close(descriptor);
    throw Error(ErrorCode::bad_file,
                folder ? "is a folder, not a file" : "is no regular file (pipes and devices are not read)", path);
  }
  const size_t size = static_cast<size_t>(status.st_size);
  void* data = nullptr;
  if (size > 0) {
    data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (data == MAP_FAILED) {
      const std::string reason = system_reason();
      close(descriptor);
      throw Error(ErrorCode::io, "cannot be mapped: " + reason, path);
    }
  }
  close(descriptor);
  return std::shared_ptr<const MappedFile>(new MappedFile(std::move(path), static_cast<const std::byte*>(data), size));
}

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path) {
  // O_NONBLOCK: a pipe without a writer must be refused at once, not waited for.
  const int descriptor =
      path.find('\0') == std::string::npos ? ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
  if (descriptor < 0)
    throw Error(ErrorCode::bad_file, "cannot be read: " + system_reason() + " (check the path)", path);
  return map(descriptor, path);
}

std::shared_ptr<const MappedFile> MappedFile::open_beneath(const std::string& folder, const std::string& name) {
  check_relative_name(name);
  const int base = ::open(folder.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY);
  if (base < 0) throw Error(ErrorCode::bad_file, "cannot be read: " + system_reason(), folder);
  const int descriptor = open_without_links(base, name);
  const int reason = errno;
  close(base);
  const std::string shown = folder + "/" + printable(name, 200);
  if (descriptor < 0) {
    const bool link = reason == ELOOP || reason == EXDEV;
    throw Error(
        ErrorCode::bad_file,
        link
            ? "is reached through a symbolic link, which external data must not be (copy the file beside the model)"
            : std::string("external data cannot be read: ") + std::strerror(reason) + " (it must lie beside the model)",
        shown);
  }
  struct stat status {};
  if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink > 1) {
    close(descriptor);
    throw Error(ErrorCode::bad_file,
                "has more than one hard link, so it may belong to somebody else (copy the file beside the model)",
                shown);
  }
  return map(descriptor, shown);
}

MappedFile::~MappedFile() {
  if (size_ > 0) munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release(Bytes part) const noexcept {
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(part.data()) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(part.data()) + part.size()) / page * page;
  if (end > begin) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  struct stat status {};
  if (stat(path_.c_str(), &status) == 0 && !S_ISREG(status.st_mode))
    throw Error(ErrorCode::io,
                S_ISDIR(status.st_mode) ? "is a folder (give a file name)" : "exists and is no regular file", path_);
  for (int attempt = 0; attempt < 16 && descriptor_ < 0; ++attempt) {
    uint64_t random = 0;
    if (getrandom(&random, sizeof(random), 0) != static_cast<ssize_t>(sizeof(random)))
      random = static_cast<uint64_t>(getpid()) * 2654435761u + attempt;
    temporary_ = fmt::format("{}/.{}.{:016x}.tmp", folder_of(path_), name_of(path_).substr(0, 200), random);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (descriptor_ < 0 && errno != EEXIST) break;
  }
  if (descriptor_ < 0)
    throw Error(ErrorCode::io, "cannot be written: " + system_reason() + " (check the folder and its permissions)",
                path_);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ < 0) return;
  close(descriptor_);
  unlink(temporary_.c_str());
}

void AtomicFile::flush() {
  size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t written = ::write(descriptor_, buffer_.data() + done, buffer_.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0)
      throw Error(ErrorCode::io, "cannot be written: " + system_reason() + " (nothing was left behind)", path_);
    done += static_cast<size_t>(written);
  }
  buffer_.clear();
}

void AtomicFile::write(Bytes bytes) {
  constexpr size_t kBufferBytes = size_t{1} << 20;
  for (size_t begin = 0; begin < bytes.size();) {
    const size_t part = std::min(bytes.size() - begin, kBufferBytes);
    buffer_.append(reinterpret_cast<const char*>(bytes.data()) + begin, part);
    begin += part;
    if (buffer_.size() >= kBufferBytes) flush();
  }
}

void AtomicFile::commit() {
  flush();
  const bool synced = fsync(descriptor_) == 0;
  const int reason = errno;
  const bool closed = close(descriptor_) == 0;
  descriptor_ = -1;
  if (!synced || !closed || rename(temporary_.c_str(), path_.c_str()) != 0) {
    if (!synced) errno = reason;
    const std::string text = system_reason();
    unlink(temporary_.c_str());
    throw Error(ErrorCode::io, "cannot be written: " + text + " (nothing was left behind)", path_);
  }
  const int folder = ::open(folder_of(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    fsync(folder);
    close(folder);
  }
}

void write_file(const std::string& path, std::string_view contents) {
  AtomicFile file(path);
  file.write(contents);
  file.commit();
}

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::string name_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

bool file_exists(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0;
}

}  // namespace lowbit
