// dataset.h: samples one by one or in batches, from class folders, tar/zip archives of them, .npy and .npz; always
// streamed, never all in memory (arrays are mapped).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lowbit/base/threads.h"
#include "lowbit/core/tensor.h"
#include "lowbit/data/corruptions/corruption.h"
#include "lowbit/data/preprocess.h"

namespace lowbit {

/// Samples as the model takes them: one tensor per model input, first dimension = batch.
struct Batch {
  std::vector<std::pair<std::string, Tensor>>
      inputs;                     ///< by input name; the name is empty if the source has only one unnamed array
  std::vector<int64_t> labels;    ///< class numbers; empty if there are none
  std::optional<Tensor> targets;  ///< float labels (regression), first dimension = batch
};

/// numpy's start:stop:step on the samples; negative numbers count from the end.
struct Slice {
  std::optional<int64_t> start, stop;
  int64_t step = 1;
};
/// "0::2" -> Slice. Throws Error{bad_argument}.
Slice parse_slice(const std::string& text);

struct DataOptions {
  std::string labels;   ///< --labels L.npy; wins over class folders and over `labels` of an .npz
  std::string classes;  ///< --classes FILE
  /// How pictures become tensors; without it RGB, 0..255, nhwc. Arrays are taken as they are.
  std::optional<Preprocess> preprocess;
  std::optional<int64_t> limit;  ///< the first N of the order that slice and shuffle_seed give
  std::optional<Slice> slice;    ///< of the natural order: by name (archives and folders), by row (arrays)
  /// A seeded permutation of the slice (used to choose calibration samples).
  std::optional<uint64_t> shuffle_seed;
  std::optional<CorruptionChoice> corruption;  ///< every sample is damaged so; integer arrays stay as they are
  bool allow_nonfinite = false;                ///< else NaN or infinity in an array is an error
};

class DataSet {
 public:
  virtual ~DataSet() = default;
  /// Number of samples after slice and limit, at least 1.
  virtual int64_t size() const = 0;
  /// Samples [begin, begin + count); pictures are decoded on `threads` if given. Neighbouring rows of an array are a
  /// view on the file. Thread-safe. Throws Error{bad_file} naming the file or row if it cannot be decoded, if pictures
  /// differ in size after preprocessing, or for NaN and infinity; Error{bad_argument} for samples that do not exist.
  virtual Batch read(int64_t begin, int64_t count, ThreadPool* threads = nullptr) const = 0;
  virtual bool has_labels() const = 0;
  /// True if the samples are decoded pictures, false for arrays.
  virtual bool has_pictures() const { return false; }
  /// True if the user named the labels (--labels, --classes, an array `labels`); false if they are guessed from folder
  /// names.
  virtual bool labels_are_given() const { return true; }
  /// Class names by number; empty if unknown.
  virtual const std::vector<std::string>& class_names() const = 0;
  /// Name of a sample for reports: file in the archive, or "row 17".
  virtual std::string sample_name(int64_t index) const = 0;
  /// One line: what it is and how many.
  virtual std::string describe() const = 0;
};

/// Opens DATA by its content: a folder or archive (.tar, .zip, .tar.gz ...) of pictures, a .npy, or an .npz, whose
/// arrays are named as the model's inputs (`labels` aside; arrays without dimensions go whole into every batch).
/// Throws Error{bad_file} if it is none of these, has no sample, or labels do not match; Error{unsupported} for text;
/// Error{bad_argument} if slice and limit leave nothing.
std::unique_ptr<DataSet> open_data(const std::string& path, const DataOptions& options);

}  // namespace lowbit
