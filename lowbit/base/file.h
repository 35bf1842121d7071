// file.h: reading files as mapped bytes and writing them whole or not at all.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace lowbit {

using Bytes = std::span<const std::byte>;

/// The contents of a regular file, read-only. Keep the shared_ptr as long as a view on the bytes lives.
class MappedFile {
 public:
  /// Maps `path`. Throws Error{bad_file} if it is missing, unreadable or no regular file (a pipe, a device or a folder is refused without blocking).
  static std::shared_ptr<const MappedFile> open(const std::string& path);

  /// Maps `name`, a relative path inside `folder`, never leaving it: `..`, absolute paths, NUL and symbolic links are refused (Error{bad_file}).
  /// The check is made on the opened file, so that exchanging it meanwhile gains nothing.
  static std::shared_ptr<const MappedFile> open_beneath(const std::string& folder, const std::string& name);

  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  Bytes bytes() const noexcept { return {data_, size_}; }
  const std::string& path() const noexcept { return path_; }
  /// Tells the system that these pages are not needed for now, so that they stop counting as resident memory. They are read again on demand.
  void release(Bytes part) const noexcept;

 private:
  MappedFile(std::string path, const std::byte* data, size_t size) : path_(std::move(path)), data_(data), size_(size) {}
  static std::shared_ptr<const MappedFile> map(int descriptor, std::string path);
  std::string path_;
  const std::byte* data_;
  size_t size_;
};

/// Destination of bytes; the formats write to one.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual void write(Bytes bytes) = 0;
  void write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }
};

/// Collects in memory.
class StringSink : public ByteSink {
 public:
  using ByteSink::write;
  void write(Bytes bytes) override { text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size()); }
  std::string text;
};

/// Writes beside the target under a random name (O_EXCL), then fsync, rename and fsync of the folder in commit(). Without commit() the
/// destructor removes what was written. Throws Error{io} with the system's reason (disk full, permission, the target is a folder).
class AtomicFile : public ByteSink {
 public:
  using ByteSink::write;
  explicit AtomicFile(std::string path);
  ~AtomicFile() override;
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void write(Bytes bytes) override;
  void commit();

 private:
  void flush();
  std::string path_, temporary_;
  std::string buffer_;
  int descriptor_ = -1;
};

/// Writes a whole file through AtomicFile.
void write_file(const std::string& path, std::string_view contents);

/// The folder part of a path ("." if none) and the last part.
std::string folder_of(const std::string& path);
std::string name_of(const std::string& path);
bool file_exists(const std::string& path);

}  // namespace lowbit
