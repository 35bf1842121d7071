// packing.h: codes of few bits without gaps between them.
// Bits: the codes of a run form one little-endian number: code i takes the bits i * bits ... (i + 1) * bits - 1, where
// bit b is bit b % 8 of byte b / 8. Negative codes keep their low `bits` bits (two's complement). The unused high bits
// of the last byte are 0. So 4-bit code 0 is the low half of byte 0, as in ONNX.
// Ternary: five codes -1, 0, 1 in a byte, sum of (code_i + 1) * 3^i, at most 242: 1.6 bits each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "lowbit/numbers/number_system.h"

namespace lowbit {

inline constexpr int kMostPackedBits = 16;
inline constexpr int kMostByteBits = 8;  ///< of codes that are unpacked into bytes

/// Bytes of n codes of this width: ceil(n * bits / 8). Throws Error{bad_file} if that overflows.
size_t packed_bytes(int64_t n, int bits);
/// Bytes of n ternary codes: ceil(n / 5).
size_t packed_ternary_bytes(int64_t n);

/// Bits of n codes of this format in their densest packing: ternary 8 * ceil(n / 5), others n * bits.
int64_t stored_code_bits(const NumberFormat& format, int64_t n);

/// Writes packed_bytes(n, bits) bytes. 1 <= bits <= 16; the higher bits of a code are dropped.
void pack_codes(const int32_t* codes, int64_t n, int bits, uint8_t* packed);
/// Reads n codes; `is_signed`: two's complement. `packed` must hold packed_bytes(n, bits) bytes, else Error{bad_file}.
void unpack_codes(std::span<const uint8_t> packed, int64_t n, int bits, bool is_signed, int32_t* codes);
/// The same into bytes, bits <= 8 (unsigned codes above 127 keep their bits). As fast as memory.
void unpack_codes(std::span<const uint8_t> packed, int64_t n, int bits, bool is_signed, int8_t* codes);

/// Writes packed_ternary_bytes(n) bytes; codes in -1 ... 1, missing ones of the last byte count as -1 (digit 0).
void pack_ternary(const int32_t* codes, int64_t n, uint8_t* packed);
/// Throws Error{bad_file} for too few bytes or a byte above 242.
void unpack_ternary(std::span<const uint8_t> packed, int64_t n, int32_t* codes);
void unpack_ternary(std::span<const uint8_t> packed, int64_t n, int8_t* codes);

}  // namespace lowbit
