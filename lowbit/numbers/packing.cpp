#include "lowbit/numbers/packing.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "lowbit/base/checked.h"
#include "lowbit/base/error.h"

namespace lowbit {
namespace {

constexpr int64_t kTritsPerByte = 5;
constexpr int kTernaryBytes = 243;

void check_bits(int bits) {
  if (bits < 1 || bits > kMostPackedBits)
    throw Error(ErrorCode::bad_argument, fmt::format("codes of {} bits cannot be packed (1 to 8 can)", bits));
}

void check_available(size_t found, size_t wanted) {
  if (found < wanted)
    throw Error(ErrorCode::bad_file,
                fmt::format("packed codes take {} bytes, found {} (the file is damaged)", wanted, found));
}

/// The `bits` bytes of eight codes as one number.
uint64_t load_eight(const uint8_t* packed, int bits) {
  uint64_t word = 0;
  for (int k = 0; k < bits; ++k) word |= static_cast<uint64_t>(packed[k]) << (8 * k);
  return word;
}

template <class T, int kBits>
T code_at(uint64_t word, int k, int32_t sign_bit) {
  const auto code = static_cast<int32_t>(word >> (kBits * k) & ((1u << kBits) - 1));
  // Subtracting the sign bit after flipping it extends the sign; a sign bit of 0 changes nothing.
  return static_cast<T>((code ^ sign_bit) - sign_bit);
}

template <class T, int kBits>
void unpack_width(const uint8_t* packed, int64_t n, bool is_signed, T* codes) {
  const int32_t sign_bit = is_signed ? 1 << (kBits - 1) : 0;
  int64_t i = 0;
  for (; i + 8 <= n; i += 8, packed += kBits) {
    const uint64_t word = load_eight(packed, kBits);
    for (int k = 0; k < 8; ++k) codes[i + k] = code_at<T, kBits>(word, k, sign_bit);
  }
  if (i == n) return;
  const uint64_t word = load_eight(packed, static_cast<int>(((n - i) * kBits + 7) / 8));
  for (int k = 0; i < n; ++i, ++k) codes[i] = code_at<T, kBits>(word, k, sign_bit);
}

template <class T>
void unpack(std::span<const uint8_t> packed, int64_t n, int bits, bool is_signed, T* codes) {
  check_available(packed.size(), packed_bytes(n, bits));
  using Unpack = void (*)(const uint8_t*, int64_t, bool, T*);
  constexpr std::array<Unpack, kMostPackedBits> kByWidth = {unpack_width<T, 1>, unpack_width<T, 2>, unpack_width<T, 3>,
                                                            unpack_width<T, 4>, unpack_width<T, 5>, unpack_width<T, 6>,
                                                            unpack_width<T, 7>, unpack_width<T, 8>};
  kByWidth[static_cast<size_t>(bits - 1)](packed.data(), n, is_signed, codes);
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

template <class T>
void unpack_trits(std::span<const uint8_t> packed, int64_t n, T* codes) {
  const size_t bytes = packed_ternary_bytes(n);
  check_available(packed.size(), bytes);
  packed = packed.first(bytes);
  if (!packed.empty() && *std::max_element(packed.begin(), packed.end()) >= kTernaryBytes)
    throw Error(ErrorCode::bad_file, "a byte of packed ternary codes is above 242 (the file is damaged)");
  const int64_t whole = n / kTritsPerByte;
  for (int64_t b = 0; b < whole; ++b) {
    const Trits& trits = kTernary[packed[static_cast<size_t>(b)]];
    for (int64_t k = 0; k < kTritsPerByte; ++k) codes[b * kTritsPerByte + k] = trits[static_cast<size_t>(k)];
  }
  for (int64_t i = whole * kTritsPerByte; i < n; ++i)
    codes[i] = kTernary[packed.back()][static_cast<size_t>(i % kTritsPerByte)];
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
  unpack(packed, n, bits, is_signed, codes);
}

void unpack_codes(std::span<const uint8_t> packed, int64_t n, int bits, bool is_signed, int8_t* codes) {
  unpack(packed, n, bits, is_signed, codes);
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
