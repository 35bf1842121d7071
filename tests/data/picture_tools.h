// picture_tools.h: pictures, archives and folders made for the tests of the data room.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "lowbit/data/preprocess.h"
#include "lowbit/data/resample.h"

namespace lowbit::testing {

/// A folder of its own, removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  std::string path() const { return path_.string(); }
  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  /// Writes a file, with its folders.
  std::string write(const std::string& name, const std::string& bytes) const;

 private:
  std::filesystem::path path_;
};

/// v(x, y, c) = (7x + 13y + 101c + 5 (xy mod 31)) mod 256.
Picture<uint8_t> pattern(int64_t width, int64_t height, int64_t channels = 3);
/// Values v(x, y, c) = level in every pixel, as a PNG.
std::string plain_png(int64_t width, int64_t height, uint8_t level);

/// `color_type`, `bits` as in PNG's header; `rows` holds the bytes of every row. `interlaced`: Adam7.
std::string encode_png(int64_t width, int64_t height, int color_type, int bits, const std::string& rows,
                       bool interlaced = false);
/// components: 1 grey, 3 RGB, 4 CMYK. Quality 100, or progressive with several scans.
std::string encode_jpeg(const Picture<uint8_t>& picture, bool progressive = false);

using Members = std::vector<std::pair<std::string, std::string>>;  // name, bytes
/// format: "tar", "zip" (deflated) or "tar.gz".
std::string make_archive(const std::string& format, const Members& members);

std::string file_bytes(const std::string& path);
inline Bytes as_bytes(const std::string& text) { return std::as_bytes(std::span(text.data(), text.size())); }
/// CRC-32 as in zlib and Python's zlib.crc32.
uint32_t crc32(std::span<const uint8_t> bytes);

/// The message of the lowbit::Error that `f` throws; a failure if it throws none.
template <typename F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "(no error)";
}

}  // namespace lowbit::testing
