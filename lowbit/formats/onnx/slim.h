// slim.h: the part of a .onnx file that is not weights. protobuf copies every byte it parses, so the raw_data of each
// tensor is taken out beforehand: the slim message is a valid ModelProto in which every raw_data holds a reference
// (offset and length, 16 bytes) into the file instead of the bytes themselves.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "lowbit/base/file.h"

namespace lowbit::onnx_format {

/// The limit of nested messages, here and in protobuf.
inline constexpr int kMaxNesting = 100;

struct RawReference {
  uint64_t offset = 0, length = 0;
};

/// Copies all but the raw_data. Throws Error{bad_file} with the offset where the bytes are no protobuf message, or
/// where messages are nested deeper than kMaxNesting.
std::string slim_model(Bytes file);

/// The reference that slim_model put into a raw_data field. Throws Error{internal} if it is none.
RawReference raw_reference(std::string_view raw_data);
std::string reference_bytes(RawReference reference);

}  // namespace lowbit::onnx_format
