// picture_files.h: where the pictures of a data set lie: files below a folder, or members of an archive. An archive is
// walked once; members that are stored as they are (tar, uncompressed zip) stay in the mapped file, compressed ones are
// kept in memory within a budget. Names out of an archive are labels only and never used as paths.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "lowbit/base/file.h"

namespace lowbit {

struct PictureLimits {
  int64_t entries = 10'000'000;                 ///< members or files looked at
  int64_t member_bytes = int64_t{256} << 20;    ///< one member
  int64_t memory_bytes = int64_t{1} << 30;      ///< all members that are kept in memory, and all names
  int64_t expansion = 100;                      ///< unpacked bytes per byte of a compressed archive ...
  int64_t expansion_slack = int64_t{16} << 20;  ///< ... after the first so many
};

class PictureFiles {
 public:
  PictureFiles(PictureFiles&&) = default;
  PictureFiles(const PictureFiles&) = delete;

  /// All pictures below `path`, hidden files left out, symbolic links to folders not followed.
  static PictureFiles of_folder(const std::string& path, const PictureLimits& limits = {});
  /// All pictures in a .tar or .zip, also compressed by gzip, bzip2, xz or zstd.
  static PictureFiles of_archive(std::shared_ptr<const MappedFile> file, const PictureLimits& limits = {});

  /// Paths inside the folder or archive, ascending and different (of equal members the last one counts, as when
  /// unpacking). Files are pictures by their extension (.jpg, .jpeg, .png) or else by their first bytes.
  const std::vector<std::string>& names() const { return names_; }

  struct Content {
    Bytes bytes;
    std::shared_ptr<const MappedFile> file;  ///< keeps the bytes alive; null if they live as long as this object
  };
  Content content(int64_t index) const;
  /// Path for messages: "folder/cat/1.jpg" or "data.tar: cat/1.jpg".
  std::string shown_name(int64_t index) const;
  /// Tells the system that the bytes of this picture are not needed for now.
  void release(const Content& content) const;

 private:
  struct ArchiveReader;
  PictureFiles() = default;
  void add(std::string name, Bytes bytes);
  void finish(const std::string& path);

  std::string path_;
  std::shared_ptr<const MappedFile> archive_;  ///< null: a folder
  std::deque<std::vector<std::byte>> memory_;  ///< unpacked members
  std::vector<std::string> names_;
  std::vector<Bytes> contents_;  ///< parallel to names_; empty for a folder
};

}  // namespace lowbit
