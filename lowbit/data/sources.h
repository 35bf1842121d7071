// sources.h: the kinds of data sets that open_data() chooses from.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "lowbit/data/dataset.h"
#include "lowbit/data/label_array.h"
#include "lowbit/data/picture_files.h"

namespace lowbit {

/// Pictures with the classes of their folders, or with `labels` (by row, in the order of the names) if not empty.
std::unique_ptr<DataSet> open_pictures(PictureFiles files, const std::string& path, const DataOptions& options);

/// Arrays by input name ("" for the only one); an array `labels` is taken out.
std::unique_ptr<DataSet> open_arrays(std::map<std::string, Tensor> arrays, const std::string& path,
                                     const DataOptions& options);

/// The array of --labels, if given.
LabelArray load_labels(const DataOptions& options, int64_t rows);

}  // namespace lowbit
