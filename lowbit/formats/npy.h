// npy.h: NumPy's array files (.npy versions 1 to 3) and their zip archives (.npz), C or Fortran order, little or big endian. No pickles.
#pragma once

#include <map>
#include <string>

#include "lowbit/base/file.h"
#include "lowbit/core/tensor.h"

namespace lowbit {

/// Reads one array. Throws Error{bad_file} (with offset) for anything malformed, for object arrays, or if the data do not end where the header says.
/// `file`: if given, the array is a view on it where order, byte order and alignment allow.
Tensor read_npy(Bytes bytes, const std::string& path, std::shared_ptr<const MappedFile> file = nullptr);
std::map<std::string, Tensor> read_npz(Bytes bytes, const std::string& path, int64_t budget_bytes = int64_t{4} << 30);
Tensor load_npy(const std::string& path);
std::map<std::string, Tensor> load_npz(const std::string& path);
/// Version 1.0, C order.
void write_npy(const Tensor& tensor, ByteSink& sink);
void save_npy(const Tensor& tensor, const std::string& path);

}  // namespace lowbit
