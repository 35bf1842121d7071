#include "lowbit/numbers/packing.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <limits>
#include <vector>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

using Bytes8 = std::vector<uint8_t>;

Bytes8 packed(const std::vector<int32_t>& codes, int bits) {
  Bytes8 bytes(packed_bytes(static_cast<int64_t>(codes.size()), bits), 0xaa);
  pack_codes(codes.data(), static_cast<int64_t>(codes.size()), bits, bytes.data());
  return bytes;
}

// By hand from the rule "code i takes bits i * bits and up of one little-endian number".
TEST(Packing, FirstCodeTakesTheLowestBits) {
  EXPECT_EQ(packed({1, 2, 3}, 4), (Bytes8{0x21, 0x03}));
  EXPECT_EQ(packed({-1, -8}, 4), (Bytes8{0x8f}));
  EXPECT_EQ(packed({1, 0, 0, 0, 0, 0, 0, 1, 1}, 1), (Bytes8{0x81, 0x01}));
  // 5, 3, 7 in 3 bits: 0b111'011'101 = 0x1dd
  EXPECT_EQ(packed({5, 3, 7}, 3), (Bytes8{0xdd, 0x01}));
  EXPECT_EQ(packed({}, 5), Bytes8{});
}

TEST(Packing, EveryWidthUnpacksEveryCodeAtEveryLength) {
  for (int bits = 1; bits <= kMostPackedBits; ++bits)
    for (bool is_signed : {false, true})
      for (int64_t n = 0; n < 300; ++n) {
        std::vector<int32_t> codes;
        for (int64_t i = 0; i < n; ++i) {
          const auto low = static_cast<int32_t>(i * 37 % (1 << bits));
          codes.push_back(is_signed ? low - (1 << (bits - 1)) : low);
        }
        const Bytes8 bytes = packed(codes, bits);
        ASSERT_EQ(bytes.size(), static_cast<size_t>((n * bits + 7) / 8));
        std::vector<int32_t> wide(codes.size());
        std::vector<int8_t> narrow(codes.size());
        unpack_codes(bytes, n, bits, is_signed, wide.data());
        ASSERT_EQ(wide, codes) << bits << " bits";
        if (bits > kMostByteBits) continue;
        unpack_codes(bytes, n, bits, is_signed, narrow.data());
        for (size_t i = 0; i < codes.size(); ++i) ASSERT_EQ(narrow[i], static_cast<int8_t>(codes[i]));
      }
}

TEST(Packing, UnusedBitsAreZero) {
  EXPECT_EQ(packed({7}, 3), (Bytes8{0x07}));
  EXPECT_EQ(packed({-1}, 3), (Bytes8{0x07}));
}

// Digits in base 3, the first code lowest: 1, 0, -1, 1, 0 is 2 + 1*3 + 0*9 + 2*27 + 1*81 = 140.
TEST(Packing, FiveTernaryCodesShareAByte) {
  const std::vector<int32_t> codes = {1, 0, -1, 1, 0, 1};
  Bytes8 bytes(packed_ternary_bytes(6));
  pack_ternary(codes.data(), 6, bytes.data());
  EXPECT_EQ(bytes, (Bytes8{140, 2}));
}

RC_GTEST_PROP(Packing, TernaryCodesComeBack, ()) {
  const auto codes = *rc::gen::container<std::vector<int32_t>>(rc::gen::inRange(-1, 2));
  const auto n = static_cast<int64_t>(codes.size());
  Bytes8 bytes(packed_ternary_bytes(n));
  RC_ASSERT(bytes.size() == (codes.size() + 4) / 5);
  pack_ternary(codes.data(), n, bytes.data());
  std::vector<int32_t> wide(codes.size());
  std::vector<int8_t> narrow(codes.size());
  unpack_ternary(bytes, n, wide.data());
  unpack_ternary(bytes, n, narrow.data());
  RC_ASSERT(wide == codes);
  RC_ASSERT(std::vector<int32_t>(narrow.begin(), narrow.end()) == codes);
}

TEST(Packing, DamagedInputIsRefused) {
  std::vector<int32_t> codes(16);
  EXPECT_THROW(unpack_codes(Bytes8(3), 16, 4, false, codes.data()), Error);
  EXPECT_THROW(unpack_ternary(Bytes8(2), 11, codes.data()), Error);
  EXPECT_THROW(unpack_ternary(Bytes8{10, 243}, 10, codes.data()), Error);
  EXPECT_THROW(packed_bytes(std::numeric_limits<int64_t>::max(), 8), Error);
  EXPECT_THROW(packed_bytes(8, 17), Error);
  EXPECT_THROW(packed_bytes(8, 0), Error);
}

}  // namespace
}  // namespace lowbit
