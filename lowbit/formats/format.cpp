#include "lowbit/formats/format.h"

#include <algorithm>

#include <fmt/format.h>

#include "lowbit/base/text.h"

namespace lowbit {
namespace {

bool has_extension(const FileFormat& format, const std::string& path) {
  for (const std::string& extension : split(format.extensions, ' '))
    if (path.ends_with(extension)) return true;
  return false;
}

std::string known_formats(bool writable) {
  std::vector<std::string> known;
  for (const FileFormat* format : format_table())
    if (writable ? format->write != nullptr : format->read != nullptr)
      known.push_back(fmt::format("{} ({})", format->name, format->extensions));
  return join(known, ", ");
}

const FileFormat& find_format(Bytes bytes, const std::string& path) {
  constexpr size_t kHeadBytes = 4096;
  if (bytes.empty()) throw Error(ErrorCode::bad_file, "the file is empty");
  const Bytes head = bytes.first(std::min(bytes.size(), kHeadBytes));
  for (const FileFormat* format : format_table())
    if (format->read && format->sniff(head)) return *format;
  for (const FileFormat* format : format_table())
    if (format->read && has_extension(*format, path)) return *format;
  throw Error(ErrorCode::bad_file, "is of no known format; known are " + known_formats(/*writable=*/false));
}

}  // namespace

Model load_model(const std::string& path, bool allow_nonfinite) {
  const auto file = MappedFile::open(path);
  try {
    return find_format(file->bytes(), path).read(file->bytes(), {path, folder_of(path), file, allow_nonfinite});
  } catch (const Error& error) {
    throw Error(error.code(), error.what(), path);
  }
}

const FileFormat& format_to_write(const std::string& path) {
  for (const FileFormat* format : format_table())
    if (format->write && has_extension(*format, path)) return *format;
  throw Error(ErrorCode::bad_argument, "has an unknown extension; models are written as " + known_formats(true), path);
}

void save_model(const Model& model, const std::string& path, WriteOptions options) {
  const FileFormat& format = format_to_write(path);
  AtomicFile file(path);
  options.path = path;
  format.write(model, file, options);
  file.commit();
}

}  // namespace lowbit
