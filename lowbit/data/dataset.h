// dataset.h: samples one by one or in batches, from class folders, tar/zip archives of them, .npy and .npz; always streamed, never all in memory
// (arrays are mapped).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lowbit/core/tensor.h"
#include "lowbit/data/preprocess.h"

namespace lowbit {

/// Samples as the model takes them: one tensor per model input, first dimension = batch.
struct Batch {
  std::vector<std::pair<std::string, Tensor>> inputs;  ///< by input name; the name is empty if the source has only one unnamed array
  std::vector<int64_t> labels;                         ///< class numbers; empty if there are none
  std::optional<Tensor> targets;                       ///< float labels (regression), first dimension = batch
};

/// numpy's start:stop:step on the samples; negative numbers count from the end.
struct Slice {
  std::optional<int64_t> start, stop;
  int64_t step = 1;
};
/// "0::2" -> Slice. Throws Error{bad_argument}.
Slice parse_slice(const std::string& text);

struct DataOptions {
  std::string labels;       ///< --labels L.npy
  std::string classes;      ///< --classes FILE
  std::optional<Preprocess> preprocess;
  std::optional<int64_t> limit;
  std::optional<Slice> slice;
  /// Order: by name (archives and folders), by row (arrays). shuffle_seed: a seeded permutation (used to choose calibration samples).
  std::optional<uint64_t> shuffle_seed;
};

class DataSet {
 public:
  virtual ~DataSet() = default;
  /// Number of samples after slice and limit. Throws Error{bad_file} if it would be 0.
  virtual int64_t size() const = 0;
  /// Samples [begin, begin + count). Images of different size after preprocessing are an error that names the file.
  virtual Batch read(int64_t begin, int64_t count) const = 0;
  virtual bool has_labels() const = 0;
  /// Class names by number; empty if unknown.
  virtual const std::vector<std::string>& class_names() const = 0;
  /// Name of a sample for reports: file in the archive, or "row 17".
  virtual std::string sample_name(int64_t index) const = 0;
  /// One line: what it is and how many.
  virtual std::string describe() const = 0;
};

/// Opens DATA as the command line's contract defines it.
std::unique_ptr<DataSet> open_data(const std::string& path, const DataOptions& options);

}  // namespace lowbit
