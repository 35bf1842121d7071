#include "lowbit/numbers/packing.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "lowbit/base/checked.h"
#include "lowbit/base/error.h"

namespace lowbit {
namespace {

constexpr int64_t kTritsPerByte = 5;
constexpr int kTernaryBytes = 243;

void check_bits(int bits) {
  if (bits < 1 || bits > kMostPackedBits)
    throw Error(ErrorCode::bad_argument, fmt::format("codes of {} bits cannot be packed (1 to 16 can)", bits));
}

void check_available(size_t found, size_t wanted) {
  if (found < wanted)
    throw Error(ErrorCode::bad_file,
                fmt::format("packed codes take {} bytes, found {} (the file is damaged)", wanted, found));
}

/// `byte` in each of the eight bytes of a number.
constexpr uint64_t everywhere(uint64_t byte) { return byte * 0x0101010101010101u; }

/// Leaves the lower `width` bits of each field of 2 * `room` bits, and moves the next `width` ones to its upper half.
template <int kWidth, int kRoom>
uint64_t part(uint64_t word) {
  constexpr uint64_t kFields = kRoom == 32 ? 1 : kRoom == 16 ? 0x0000000100000001 : 0x0001000100010001;
  constexpr uint64_t kLower = kFields * ((uint64_t{1} << kWidth) - 1);
  return (word & kLower) | (word << (kRoom - kWidth) & kLower << kRoom);
}

/// Moves the eight codes in the low 8 * kBits bits of `word` to a byte each, in three steps that halve their company.
template <int kBits>
uint64_t spread(uint64_t word) {
  if constexpr (kBits == 8) return word;
  return part<kBits, 8>(part<2 * kBits, 16>(part<4 * kBits, 32>(word)));
}

/// Fills the bits above each code's sign bit with it.
template <int kBits>
uint64_t extend_signs(uint64_t codes) {
  const uint64_t signs = codes >> (kBits - 1) & everywhere(1);
  return codes | signs * (0x100 - (uint64_t{1} << kBits));
}

template <int kBits>
void unpack_bytes(const uint8_t* packed, int64_t n, bool is_signed, int8_t* codes) {
  static_assert(std::endian::native == std::endian::little);
  const auto eight = [&](const uint8_t* from, size_t bytes, int8_t* to, size_t count) {
    uint64_t word = 0;
    std::memcpy(&word, from, bytes);
    word = spread<kBits>(word);
    if (is_signed) word = extend_signs<kBits>(word);
    std::memcpy(to, &word, count);
  };
  const size_t bytes = packed_bytes(n, kBits);
  int64_t i = 0;
  size_t at = 0;
  // Whole words as long as there are some: the bytes behind the eight codes are masked out.
  for (; i + 8 <= n && at + 8 <= bytes; i += 8, at += kBits) eight(packed + at, 8, codes + i, 8);
  for (; i < n; i += 8, at += kBits)
    eight(packed + at, std::min<size_t>(kBits, bytes - at), codes + i, std::min<size_t>(8, static_cast<size_t>(n - i)));
}

void unpack_words(const uint8_t* packed, int64_t n, int bits, bool is_signed, int32_t* codes) {
  const int32_t sign_bit = is_signed ? 1 << (bits - 1) : 0;
  const uint32_t mask = (1u << bits) - 1;
  uint32_t pending = 0;
  int pending_bits = 0;
  for (int64_t i = 0; i < n; ++i) {
    for (; pending_bits < bits; pending_bits += 8) pending |= static_cast<uint32_t>(*packed++) << pending_bits;
    const auto code = static_cast<int32_t>(pending & mask);
    // Subtracting the sign bit after flipping it extends the sign; a sign bit of 0 changes nothing.
    codes[i] = (code ^ sign_bit) - sign_bit;
    pending >>= bits;
    pending_bits -= bits;
  }
}

using Trits = std::array<int8_t, 8>;  ///< five codes, padded so that a byte's codes are one load

constexpr std::array<Trits, kTernaryBytes> ternary_table() {
  std::array<Trits, kTernaryBytes> table{};
  for (int byte = 0; byte < kTernaryBytes; ++byte) {
    int rest = byte;
    for (size_t k = 0; k < kTritsPerByte; ++k, rest /= 3)
      table[static_cast<size_t>(byte)][k] = static_cast<int8_t>(rest % 3 - 1);
  }
  return table;
}

constexpr auto kTernary = ternary_table();

void check_trits(std::span<const uint8_t> packed) {
  constexpr size_t kBlock = 64;  // a fixed length, so that the compiler takes whole vectors
  uint8_t most = 0;
  size_t i = 0;
  for (; i + kBlock <= packed.size(); i += kBlock) {
    std::array<uint8_t, kBlock> block;
    std::memcpy(block.data(), packed.data() + i, kBlock);
    uint8_t top = 0;
    for (size_t k = 0; k < kBlock; ++k) top = std::max(top, block[k]);
    most = std::max(most, top);
  }
  for (; i < packed.size(); ++i) most = std::max(most, packed[i]);
  if (most >= kTernaryBytes)
    throw Error(ErrorCode::bad_file, "a byte of packed ternary codes is above 242 (the file is damaged)");
}

template <class T>
void unpack_trits(std::span<const uint8_t> packed, int64_t n, T* codes) {
  const size_t bytes = packed_ternary_bytes(n);
  check_available(packed.size(), bytes);
  packed = packed.first(bytes);
  check_trits(packed);
  size_t b = 0;
  int64_t i = 0;
  if constexpr (sizeof(T) == 1)  // eight bytes at once; the three behind the five codes are written over next
    for (; i + static_cast<int64_t>(sizeof(Trits)) <= n; i += kTritsPerByte)
      std::memcpy(codes + i, kTernary[packed[b++]].data(), sizeof(Trits));
  for (; i < n; ++b)
    for (size_t k = 0; k < kTritsPerByte && i < n; ++k) codes[i++] = kTernary[packed[b]][k];
}

}  // namespace

size_t packed_bytes(int64_t n, int bits) {
  check_bits(bits);
  return static_cast<size_t>(checked_add(checked_mul(n, bits), 7) / 8);
}

size_t packed_ternary_bytes(int64_t n) {
  return static_cast<size_t>(checked_add(n, kTritsPerByte - 1) / kTritsPerByte);
}

int64_t stored_code_bits(const NumberFormat& format, int64_t n) {
  if (format.system->codes(format).count() == 3) return 8 * static_cast<int64_t>(packed_ternary_bytes(n));
  return checked_mul(n, format.bits);
}

void pack_codes(const int32_t* codes, int64_t n, int bits, uint8_t* packed) {
  check_bits(bits);
  const uint32_t mask = (1u << bits) - 1;
  uint32_t pending = 0;
  int pending_bits = 0;
  for (int64_t i = 0; i < n; ++i) {
    pending |= (static_cast<uint32_t>(codes[i]) & mask) << pending_bits;
    for (pending_bits += bits; pending_bits >= 8; pending_bits -= 8, pending >>= 8)
      *packed++ = static_cast<uint8_t>(pending);
  }
  if (pending_bits > 0) *packed = static_cast<uint8_t>(pending);
}

void unpack_codes(std::span<const uint8_t> packed, int64_t n, int bits, bool is_signed, int32_t* codes) {
  check_available(packed.size(), packed_bytes(n, bits));
  unpack_words(packed.data(), n, bits, is_signed, codes);
}

void unpack_codes(std::span<const uint8_t> packed, int64_t n, int bits, bool is_signed, int8_t* codes) {
  LOWBIT_CHECK(bits <= kMostByteBits);
  check_available(packed.size(), packed_bytes(n, bits));
  using Unpack = void (*)(const uint8_t*, int64_t, bool, int8_t*);
  constexpr std::array<Unpack, kMostByteBits> kByWidth = {unpack_bytes<1>, unpack_bytes<2>, unpack_bytes<3>,
                                                          unpack_bytes<4>, unpack_bytes<5>, unpack_bytes<6>,
                                                          unpack_bytes<7>, unpack_bytes<8>};
  kByWidth[static_cast<size_t>(bits - 1)](packed.data(), n, is_signed, codes);
}

void pack_ternary(const int32_t* codes, int64_t n, uint8_t* packed) {
  for (int64_t begin = 0; begin < n; begin += kTritsPerByte) {
    int byte = 0;
    for (int64_t i = std::min(begin + kTritsPerByte, n); i-- > begin;) byte = byte * 3 + codes[i] + 1;
    *packed++ = static_cast<uint8_t>(byte);
  }
}

void unpack_ternary(std::span<const uint8_t> packed, int64_t n, int32_t* codes) { unpack_trits(packed, n, codes); }
void unpack_ternary(std::span<const uint8_t> packed, int64_t n, int8_t* codes) { unpack_trits(packed, n, codes); }

}  // namespace lowbit
