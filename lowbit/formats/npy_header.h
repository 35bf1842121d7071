// npy_header.h: the header of a .npy file: magic, version, length, and the literal of a Python dictionary with the keys
// 'descr', 'fortran_order' and 'shape'. It is read by a parser of exactly that; nothing is evaluated.
// Source: numpy.lib.format, "Format Specification".
#pragma once

#include <string>

#include "lowbit/base/file.h"
#include "lowbit/core/dtype.h"
#include "lowbit/core/shape.h"

namespace lowbit {

struct NpyHeader {
  DType dtype = DType::undefined;
  bool big_endian = false, fortran_order = false;
  Dims dims;
  size_t data_offset = 0;
};

/// Throws Error{bad_file} with the offset of what is wrong; Error{unsupported} for element types that lowbit has not.
NpyHeader parse_npy_header(Bytes bytes, const std::string& path);
/// Version 1.0, padded so that the data start at a multiple of 64.
std::string npy_header_text(DType type, const Dims& dims);

}  // namespace lowbit
