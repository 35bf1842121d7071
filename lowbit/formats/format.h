// format.h: a file format reads bytes to a Model and writes a Model to bytes. One row per format in formats/list.cpp.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "lowbit/base/file.h"
#include "lowbit/core/graph.h"

namespace lowbit {

struct ReadOptions {
  std::string path;    ///< for messages
  std::string folder;  ///< where external data may lie; empty: external data is refused
  /// Keeps the mapped file alive for views; may be null (then weights are copied).
  std::shared_ptr<const MappedFile> file;
  bool allow_nonfinite = false;  ///< accept NaN and infinity in weights
};

struct WriteOptions {
  /// ONNX: tensors above this many bytes in all go to an external data file "<name>.data" beside the model.
  int64_t external_data_above_bytes = int64_t{1} << 30;
  std::string path;  ///< target, for external data beside it
  /// Container: code weights by entropy where that is smaller. False: pack them, which loads faster.
  bool entropy = true;
};

struct FileFormat {
  std::string_view name;  ///< "onnx"
  std::string_view summary;
  std::string_view extensions;                             ///< space-separated, with the dot
  bool (*sniff)(Bytes head);                               ///< by content; head = the first 4 KiB (or the whole file)
  Model (*read)(Bytes bytes, const ReadOptions& options);  ///< null: write only
  void (*write)(const Model& model, ByteSink& sink, const WriteOptions& options);  ///< null: read only
  /// Annotations are written as they are; for other formats passes/lower_qdq.h turns them into nodes first.
  bool keeps_annotations = false;
};

std::span<const FileFormat* const> format_table();

/// Opens, finds the format by content, then by extension, and reads. Errors carry the file name.
Model load_model(const std::string& path, bool allow_nonfinite = false);
/// The format that a file of this name is written in. Throws Error{bad_argument} for an unknown extension, naming those
/// known.
const FileFormat& format_to_write(const std::string& path);
/// In the format of its extension; written whole or not at all. options.path is set here.
void save_model(const Model& model, const std::string& path, WriteOptions options = {});

}  // namespace lowbit
