// Rows gathered for the low-bit products, and packed weights decoded to floats, against their formulas.
#include "lowbit/kernels/lowbit_rows.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "lowbit/kernels/lowbit_decode.h"
#include "lowbit/kernels/lowbit_product.h"

namespace lowbit::kernels {
namespace {

/// The code at a tap of a pixel, as the header says.
int8_t plain_code(const LowbitGather& g, int64_t pixel, int64_t k) {
  const QLayerShape& s = *g.shape;
  const int64_t c = k % s.in_channels, kx = k / s.in_channels % s.kernel_w, ky = k / s.in_channels / s.kernel_w;
  const int64_t ox = pixel % s.out_width, oy = pixel / s.out_width % s.out_height,
                image = pixel / s.out_width / s.out_height;
  const int64_t y = oy * s.stride_h - s.pad_top + ky * s.dilation_h,
                x = ox * s.stride_w - s.pad_left + kx * s.dilation_w;
  if (y < 0 || y >= s.height || x < 0 || x >= s.width) return g.outside;
  return static_cast<int8_t>(g.input[((image * s.height + y) * s.width + x) * g.input_stride + c] ^ g.flip);
}

TEST(LowbitRows, AreGatheredInTheOrderOfTaps) {
  std::mt19937 rng(7);
  for (int round = 0; round < 200; ++round) {
    const auto pick = [&](int low, int high) {
      return low + static_cast<int64_t>(rng() % static_cast<uint32_t>(high - low + 1));
    };
    QLayerShape s;
    s.images = pick(1, 2);
    s.height = pick(1, 7);
    s.width = pick(1, 7);
    s.in_channels = pick(1, 40);
    s.kernel_h = pick(1, 3);
    s.kernel_w = pick(1, 3);
    s.stride_h = pick(1, 2);
    s.stride_w = pick(1, 2);
    s.dilation_h = pick(1, 2);
    s.dilation_w = pick(1, 2);
    s.pad_top = pick(0, 2);
    s.pad_left = pick(0, 2);
    s.out_height = pick(1, 5);
    s.out_width = pick(1, 5);
    LowbitGather g{&s,
                   nullptr,
                   s.in_channels + pick(0, 1) * 3,
                   static_cast<uint8_t>(pick(0, 1) * 0x80),
                   static_cast<int8_t>(pick(-128, 127)),
                   0};
    const int64_t k = s.kernel_h * s.kernel_w * s.in_channels;
    g.padded_k = (k + 31) / 32 * 32;
    std::vector<uint8_t> input(static_cast<size_t>(s.images * s.height * s.width * g.input_stride) + kReadSlack);
    for (uint8_t& code : input) code = static_cast<uint8_t>(rng());
    g.input = input.data();
    std::vector<int8_t> rows(static_cast<size_t>(s.pixels() * g.padded_k), 99);
    lowbit_gather_rows(g, 0, s.pixels(), rows.data());
    for (int64_t pixel = 0; pixel < s.pixels(); ++pixel)
      for (int64_t i = 0; i < g.padded_k; ++i)
        ASSERT_EQ(rows[static_cast<size_t>(pixel * g.padded_k + i)], i < k ? plain_code(g, pixel, i) : 0)
            << "round " << round << ", pixel " << pixel << ", element " << i;
  }
}

TEST(LowbitRows, SumsOfCodesAreExactAtTheExtremes) {
  for (const int64_t k : {1, 7, 8, 31, 33, 640, 5000}) {
    LowbitMatrix w;
    w.k = k;
    w.group = k;
    for (const int8_t value : {int8_t{-128}, int8_t{127}, int8_t{1}}) {
      const std::vector<int8_t> codes(static_cast<size_t>(w.padded_k()), value);
      int32_t sum = 0;
      lowbit_sum_rows(w, codes.data(), w.padded_k(), 1, &sum);
      EXPECT_EQ(sum, value * k);
    }
  }
}

TEST(LowbitDecode, GivesScaleTimesLevelOnEveryInstructionSet) {
  constexpr int64_t kChunks = 3, kK = kChunks * kLowbitChunk;
  std::mt19937 rng(3);
  for (const LowbitRow& row : lowbit_table()) {
    if (!isa_row(row.isa).supported) continue;
    for (int coding = 0; coding < kLowbitCodings; ++coding)
      for (int form = 0; form < 3; ++form) {  // one zero, zeros by row, levels
        const auto c = static_cast<LowbitCoding>(coding);
        const int bits = lowbit_bits(c);
        if (form == 2 && bits > 4) continue;
        std::vector<uint8_t> codes(kLowbitRows * kK), packed(lowbit_code_bytes(c, kLowbitRows, kK)), zeros(kLowbitRows);
        for (uint8_t& code : codes) code = static_cast<uint8_t>(rng() & ((1u << bits) - 1));
        for (uint8_t& zero : zeros) zero = static_cast<uint8_t>(rng() & 15);
        std::vector<float> scales(kLowbitRows), levels(16), out(kLowbitRows * kK);
        for (float& scale : scales) scale = 0.01f + static_cast<float>(rng() % 1000) / 999;
        for (float& level : levels) level = static_cast<float>(rng() % 2001) / 1000 - 1;
        lowbit_pack_codes(c, kLowbitRows, kK, codes.data(), kK, packed.data());
        const LowbitDecode piece{packed.data(),
                                 kChunks,
                                 scales.data(),
                                 form == 1 ? zeros.data() : nullptr,
                                 5,
                                 c == LowbitCoding::u1 ? 2 : 1,
                                 form == 2 ? levels.data() : nullptr,
                                 out.data()};
        row.kernels->decoders[coding](piece);
        for (int64_t r = 0; r < kLowbitRows; ++r)
          for (int64_t k = 0; k < kK; ++k) {
            const uint8_t u = codes[static_cast<size_t>(r * kK + k)];
            const int32_t zero = form == 1 ? zeros[static_cast<size_t>(r)] : 5;
            const float level = form == 2 ? levels[u] : static_cast<float>(piece.step * u - zero);
            ASSERT_EQ(out[static_cast<size_t>(k * kLowbitRows + r)], level * scales[static_cast<size_t>(r)])
                << "coding " << coding << ", form " << form << ", row " << r << ", k " << k;
          }
      }
  }
}

}  // namespace
}  // namespace lowbit::kernels
