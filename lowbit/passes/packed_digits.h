// packed_digits.h: codes in few bytes, and the ONNX nodes that unpack them with integer division only (Cast, Div, Mod),
// which every engine has from opset 13 on. A chunk of bytes is one little-endian number whose digits are the codes.
//   width 1, 2, 4      8, 4, 2 codes in a byte
//   width 3, 5, 6      8, 8, 4 codes in 3, 5, 3 bytes
//   width 7            the low 4 bits, then the high 3 bits packed by themselves
//   three codes        5 codes in a byte, base 3: 1.6 bits each
//   width 9 to 16      the low bytes, then the high bits packed by themselves
#pragma once

#include "lowbit/passes/node_writer.h"

namespace lowbit {

/// How codes of `count` different values are packed.
struct DigitPacking {
  int64_t base = 2;
  int64_t digits = 8;  ///< in a chunk
  int64_t bytes = 1;   ///< of a chunk
};
/// For 2 to 256 different codes, except 65 to 128.
DigitPacking digit_packing(int64_t codes);

/// Bytes that n codes of this many different values take.
int64_t packed_digit_bytes(int64_t codes, int64_t n);

/// Writes the codes (each 0 ... codes - 1) as a constant `name` and the nodes that unpack them. Returns their value:
/// int32, or int64 for chunks of more than a byte, with these dims.
ValueId write_digits(NodeWriter& writer, const std::string& name, std::span<const int32_t> digits, int64_t codes,
                     const Dims& dims);

}  // namespace lowbit
