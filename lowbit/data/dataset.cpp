#include "lowbit/data/dataset.h"

#include <sys/stat.h>

#include <cstring>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/data/sources.h"
#include "lowbit/formats/npy.h"

namespace lowbit {
namespace {

bool is_folder(const std::string& path) {
  struct stat status {};
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

std::string_view as_text(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

/// A zip whose first member is an array.
bool is_npz(std::string_view bytes, const std::string& path) {
  constexpr size_t kNameLength = 26, kName = 30;  // offsets in a zip's local header
  if (!bytes.starts_with("PK")) return false;
  if (bytes.size() < kName) return path.ends_with(".npz");
  const size_t length = static_cast<unsigned char>(bytes[kNameLength]) |
                        static_cast<size_t>(static_cast<unsigned char>(bytes[kNameLength + 1])) << 8;
  return path.ends_with(".npz") || bytes.substr(kName, length).ends_with(".npy");
}

/// Printable ASCII or UTF-8 at the beginning of the file.
bool is_text(std::string_view bytes) {
  const std::string_view head = bytes.substr(0, 512);
  return std::none_of(head.begin(), head.end(), [](char c) {
    const unsigned char byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r' && byte != '\f') || byte == 0x7f;
  });
}

}  // namespace

LabelArray load_labels(const DataOptions& options, int64_t rows) {
  return options.labels.empty() ? LabelArray{} : to_labels(load_npy(options.labels), rows, options.labels);
}

std::unique_ptr<DataSet> open_data(const std::string& data_path, const DataOptions& options) {
  std::string path = data_path;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  if (is_folder(path)) return open_pictures(PictureFiles::of_folder(path), path, options);
  const auto file = MappedFile::open(path);
  const std::string_view bytes = as_text(file->bytes());
  if (bytes.empty()) throw Error(ErrorCode::bad_file, "is empty (give a data set with samples)", path);
  if (bytes.starts_with("\x93NUMPY")) return open_arrays({{"", read_npy(file->bytes(), path, file)}}, path, options);
  if (is_npz(bytes, path)) return open_arrays(read_npz(file->bytes(), path), path, options);
  if (picture_kind(file->bytes()) != PictureKind::none)
    throw Error(ErrorCode::bad_file, "is a single picture, not a data set (give the folder that it lies in)", path);
  // A tar begins with a name and is padded with NUL, so it is never text.
  if (is_text(bytes))
    throw Error(ErrorCode::unsupported,
                "is a text, which only language models take (expected: a folder of pictures, a .tar or .zip of it, "
                ".npy, .npz)",
                path);
  return open_pictures(PictureFiles::of_archive(file), path, options);
}

}  // namespace lowbit
