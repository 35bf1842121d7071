#include "lowbit/data/picture_files.h"

#include <algorithm>
#include <filesystem>
#include <numeric>

#include <fmt/format.h>

#include <archive.h>
#include <archive_entry.h>

#include "lowbit/base/checked.h"
#include "lowbit/base/text.h"
#include "lowbit/data/preprocess.h"

namespace lowbit {
namespace {

bool has_picture_extension(const std::string& name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string::npos) return false;
  std::string extension = name.substr(dot + 1);
  for (char& c : extension) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return extension == "jpg" || extension == "jpeg" || extension == "png";
}

/// True for files such as ".DS_Store" and "._1.jpg", and for those in hidden folders.
bool is_hidden(const std::string& name) {
  for (const std::string& part : split(name, '/'))
    if (part.size() > 1 && part[0] == '.' && part != "..") return true;
  return false;
}

/// "./train//cat/1.jpg" -> "train/cat/1.jpg"
std::string tidy_name(std::string_view name) {
  std::vector<std::string> parts;
  for (const std::string& part : split(name, '/'))
    if (!part.empty() && part != ".") parts.push_back(part);
  return join(parts, "/");
}

void check_entries(int64_t entries, const PictureLimits& limits, const std::string& path) {
  if (entries > limits.entries)
    throw Error(ErrorCode::bad_file,
                fmt::format("has more than {} files (split the data set)", with_commas(limits.entries)), path);
}

}  // namespace

void PictureFiles::add(std::string name, Bytes bytes) {
  names_.push_back(std::move(name));
  contents_.push_back(bytes);
}

void PictureFiles::finish(const std::string& path) {
  path_ = path;
  if (names_.empty())
    throw Error(ErrorCode::bad_file,
                "has no JPEG or PNG pictures (give a folder of class folders of pictures, or a "
                ".tar or .zip of it)",
                path);
  std::vector<size_t> order(names_.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return names_[a] < names_[b]; });
  std::vector<std::string> names;
  std::vector<Bytes> contents;
  for (size_t i = 0; i < order.size(); ++i) {
    if (i + 1 < order.size() && names_[order[i]] == names_[order[i + 1]]) continue;
    names.push_back(std::move(names_[order[i]]));
    contents.push_back(contents_[order[i]]);
  }
  names_ = std::move(names);
  contents_ = std::move(contents);
}

std::string PictureFiles::shown_name(int64_t index) const {
  const std::string& name = names_[static_cast<size_t>(index)];
  return path_ + (archive_ ? ": " : "/") + printable(name);
}

PictureFiles::Content PictureFiles::content(int64_t index) const {
  if (archive_) return {contents_[static_cast<size_t>(index)], nullptr};
  auto file = MappedFile::open(path_ + "/" + names_[static_cast<size_t>(index)]);
  return {file->bytes(), file};
}

void PictureFiles::release(const Content& content) const {
  if (!archive_ || content.bytes.empty()) return;
  const Bytes mapped = archive_->bytes();
  if (content.bytes.data() >= mapped.data() && content.bytes.data() < mapped.data() + mapped.size())
    archive_->release(content.bytes);
}

// ---- folders

PictureFiles PictureFiles::of_folder(const std::string& path, const PictureLimits& limits) {
  namespace fs = std::filesystem;
  PictureFiles files;
  std::error_code failed;
  int64_t entries = 0;
  fs::recursive_directory_iterator walk(path, failed);
  for (; !failed && walk != fs::recursive_directory_iterator(); walk.increment(failed)) {
    check_entries(++entries, limits, path);
    const std::string file_name = walk->path().filename().string();
    if (is_hidden(file_name)) {
      walk.disable_recursion_pending();
      continue;
    }
    std::error_code unknown;
    if (!walk->is_regular_file(unknown)) continue;
    if (has_picture_extension(file_name) ||
        picture_kind(MappedFile::open(walk->path().string())->bytes()) != PictureKind::none)
      files.add(walk->path().lexically_relative(path).string(), {});
  }
  if (failed)
    throw Error(ErrorCode::bad_file, "the folder cannot be read: " + failed.message() + " (check its permissions)",
                path);
  files.finish(path);
  return files;
}

// ---- archives

/// One walk over an archive by libarchive, which checks the headers; the limits are ours.
struct PictureFiles::ArchiveReader {
  PictureFiles& files;
  const PictureLimits& limits;
  Bytes mapped;
  const std::string& path;
  std::unique_ptr<archive, int (*)(archive*)> reader{archive_read_new(), archive_read_free};
  archive_entry* entry = nullptr;
  int64_t entries = 0, unpacked = 0, in_memory = 0;

  [[noreturn]] void fail(ErrorCode code, const std::string& what, const std::string& member = {}) const {
    throw Error(code, member.empty() ? what : fmt::format("'{}' {}", printable(member), what), path);
  }

  [[noreturn]] void fail_read(const std::string& member) const {
    const char* reason = archive_error_string(reader.get());
    fail(ErrorCode::bad_file,
         fmt::format("cannot be read from the archive: {} (the archive is damaged or incomplete; copy it again)",
                     reason ? printable(reason, 120) : "unknown reason"),
         member);
  }

  void open() {
    archive* a = reader.get();
    if (!a) fail(ErrorCode::out_of_memory, "there is not enough memory to read the archive");
    archive_read_support_format_tar(a);
    // Only by the directory at the end of a zip, whose absence shows that the file was cut.
    archive_read_support_format_zip_seekable(a);
    // Only filters that work inside this process; others would start programs.
    archive_read_support_filter_gzip(a);
    archive_read_support_filter_bzip2(a);
    archive_read_support_filter_xz(a);
    archive_read_support_filter_zstd(a);
    if (archive_read_open_memory(a, mapped.data(), mapped.size()) != ARCHIVE_OK) refuse_format();
  }

  [[noreturn]] void refuse_format() const {
    const bool zip = mapped.size() >= 2 && mapped[0] == std::byte{'P'} && mapped[1] == std::byte{'K'};
    fail(ErrorCode::bad_file,
         zip ? "is a zip archive whose directory is missing or damaged (the file is incomplete; copy it again)"
             : "is no data set that is known by its content (expected: a folder of pictures, a .tar or .zip of it, "
               ".npy, .npz)");
  }

  /// Packed and unpacked sizes are compared all the time: a bomb stops here.
  void check_expansion(const std::string& member) {
    const bool filtered = archive_filter_count(reader.get()) > 1;  // the last one is "none"
    const int64_t bytes = std::max(unpacked, filtered ? archive_filter_bytes(reader.get(), 0) : 0);
    const int64_t packed = static_cast<int64_t>(mapped.size());
    if (bytes > limits.expansion_slack && (bytes - limits.expansion_slack) / limits.expansion > packed)
      fail(ErrorCode::bad_file,
           fmt::format("unpacks to more than {} times the size of the archive (unpack it yourself and give the folder)",
                       limits.expansion),
           member);
  }

  void count_memory(int64_t bytes, const std::string& member) {
    in_memory += bytes;
    if (in_memory > limits.memory_bytes)
      fail(ErrorCode::out_of_memory,
           fmt::format("needs more than {} of memory to unpack (unpack the archive and give the folder, or pack it as "
                       "an uncompressed .tar)",
                       bytes_text(limits.memory_bytes)),
           member);
  }

  /// The next block of the current member; false at its end.
  bool next_block(const std::string& member, int64_t received, Bytes& block) {
    const void* data = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    const int status = archive_read_data_block(reader.get(), &data, &size, &offset);
    if (status == ARCHIVE_EOF) return false;
    if (status != ARCHIVE_OK) fail_read(member);
    if (offset != received) fail(ErrorCode::bad_file, "is a sparse file (pack it without --sparse)", member);
    block = {static_cast<const std::byte*>(data), size};
    return true;
  }

  bool in_mapping(Bytes block) const {
    return block.data() >= mapped.data() && block.data() + block.size() <= mapped.data() + mapped.size();
  }

  void check_member_size(int64_t bytes, const std::string& member) const {
    if (bytes > limits.member_bytes)
      fail(ErrorCode::bad_file, fmt::format("is larger than {} (remove it)", bytes_text(limits.member_bytes)), member);
  }

  /// Reads the member if it is a picture. A member that is one block of the mapped file stays there.
  void take_member(std::string member) {
    const bool named = has_picture_extension(member);
    const bool sized = archive_entry_size_is_set(entry) != 0;
    const int64_t size = sized ? archive_entry_size(entry) : 0;
    Bytes block;
    int64_t received = 0;
    std::vector<std::byte> collected;
    while (next_block(member, received, block)) {
      if (received == 0 && !named && picture_kind(block) == PictureKind::none) return;
      check_member_size(size, member);
      received += static_cast<int64_t>(block.size());
      if (collected.empty() && sized && received == size && in_mapping(block)) break;
      check_member_size(received, member);
      unpacked += static_cast<int64_t>(block.size());
      check_expansion(member);
      count_memory(static_cast<int64_t>(block.size()), member);
      collected.insert(collected.end(), block.begin(), block.end());
    }
    if (received == 0 && !named) return;
    if (sized && received != size) fail_read(member);
    count_memory(static_cast<int64_t>(member.size()), member);
    if (!collected.empty()) {
      files.memory_.push_back(std::move(collected));
      block = files.memory_.back();
    }
    files.add(std::move(member), received == 0 ? Bytes{} : block);
  }

  void walk() {
    open();
    for (;;) {
      const int status = archive_read_next_header(reader.get(), &entry);
      if (status == ARCHIVE_EOF) break;
      if (status != ARCHIVE_OK && status != ARCHIVE_WARN) {
        if (entries == 0) refuse_format();
        fail_read("");
      }
      check_entries(++entries, limits, path);
      const char* utf8 = archive_entry_pathname_utf8(entry);
      const char* raw = utf8 ? utf8 : archive_entry_pathname(entry);
      const std::string member = tidy_name(raw ? raw : "");
      check_expansion(member);
      // Skipping a member of a compressed archive unpacks it as well.
      if (archive_filter_count(reader.get()) > 1 && archive_entry_size_is_set(entry))
        check_member_size(archive_entry_size(entry), member);
      if (archive_entry_filetype(entry) == AE_IFDIR || is_hidden(member)) continue;
      if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry)) {
        if (has_picture_extension(member))
          fail(ErrorCode::bad_file,
               "is a link inside the archive (pack the files themselves, tar: -h --hard-dereference)", member);
        continue;
      }
      take_member(member);
    }
  }
};

PictureFiles PictureFiles::of_archive(std::shared_ptr<const MappedFile> file, const PictureLimits& limits) {
  PictureFiles files;
  const std::string path = file->path();
  ArchiveReader{files, limits, file->bytes(), path}.walk();
  files.archive_ = std::move(file);
  files.finish(path);
  return files;
}

}  // namespace lowbit
