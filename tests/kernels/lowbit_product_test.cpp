#include "lowbit/kernels/lowbit_product.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "lowbit/base/small_floats.h"

namespace lowbit::kernels {
namespace {

/// Random weights and activations of a shape; `extreme` fills with the ends of the ranges.
struct Case {
  LowbitMatrix w;
  int64_t m = 1;
  bool extreme = false, half = false, group_zeros = false, shifted = false;
  std::vector<uint8_t> codes, packed, zeros, packed_zeros;
  std::vector<float> scales, packed_scales, bias, offsets, x_scales;
  std::vector<uint16_t> half_scales, packed_half_scales;
  std::vector<int8_t> table, x;
  std::vector<int32_t> x_zeros, sums;

  int64_t count() const { return w.n * w.groups(); }
  int32_t level(int64_t row, int64_t k) const {
    const uint8_t code = codes[static_cast<size_t>(row * w.k + k)];
    if (w.coding == LowbitCoding::table) return table[code];
    const int64_t group = w.groups() == 1 ? 0 : k / w.group;
    return w.step * code - (group_zeros ? zeros[static_cast<size_t>(row * w.groups() + group)] : w.zero);
  }
  float scale(int64_t row, int64_t group) const {
    const auto i = static_cast<size_t>(row * w.groups() + group);
    return half ? half_to_float(half_scales[i]) : scales[i];
  }
  LowbitActivations activations() const {
    return {m, x.data(), w.padded_k(), sums.data(), x_scales.data(), shifted ? x_zeros.data() : nullptr};
  }
};

void fill_weights(Case& c, std::mt19937& rng) {
  const int bits = lowbit_bits(c.w.coding);
  const uint32_t most = c.w.coding == LowbitCoding::u7 ? 127 : (1u << bits) - 1;
  c.codes.resize(static_cast<size_t>(c.w.n * c.w.k));
  const bool top = rng() % 2 == 0;
  for (uint8_t& code : c.codes) code = static_cast<uint8_t>(c.extreme ? (top ? most : 0) : rng() & most);
  if (c.w.coding == LowbitCoding::u8)
    for (uint8_t& code : c.codes) code = std::max<uint8_t>(code, 1);
  c.packed.resize(lowbit_code_bytes(c.w.coding, c.w.n, c.w.k));
  lowbit_pack_codes(c.w.coding, c.w.n, c.w.k, c.codes.data(), c.w.k, c.packed.data());
  c.w.codes = c.packed.data();
  c.w.step = c.w.coding == LowbitCoding::u1 ? 2 : 1;
  c.w.zero = c.w.coding == LowbitCoding::u8 ? 128 : static_cast<int32_t>(rng() % (most + 1));
  c.table.resize(16);
  for (int8_t& level : c.table)
    level = static_cast<int8_t>(c.extreme ? (rng() % 2 ? 127 : -127) : static_cast<int>(rng() % 255) - 127);
  c.w.table = c.table.data();
}

void fill_parameters(Case& c, std::mt19937& rng) {
  const auto count = static_cast<size_t>(c.count()), packed = static_cast<size_t>(c.w.blocks() * c.w.groups() * 16);
  std::uniform_real_distribution<float> some(0.001f, 2.0f);
  for (size_t i = 0; i < count; ++i) {
    c.scales.push_back(some(rng));
    c.half_scales.push_back(float_to_half(some(rng)));
    c.zeros.push_back(static_cast<uint8_t>(rng() % (1u << lowbit_bits(c.w.coding))));
  }
  c.packed_scales.resize(packed);
  c.packed_half_scales.resize(packed);
  c.packed_zeros.resize(packed);
  lowbit_pack_rows(c.w.n, c.w.groups(), c.scales.data(), c.packed_scales.data());
  lowbit_pack_rows(c.w.n, c.w.groups(), c.half_scales.data(), c.packed_half_scales.data());
  lowbit_pack_rows(c.w.n, c.w.groups(), c.zeros.data(), c.packed_zeros.data());
  if (c.half) c.w.half_scales = c.packed_half_scales.data();
  if (!c.half) c.w.scales = c.packed_scales.data();
  if (c.group_zeros) c.w.zeros = c.packed_zeros.data();
  for (int64_t i = 0; i < c.w.n; ++i) c.bias.push_back(some(rng) - 1);
  c.offsets.resize(static_cast<size_t>(c.w.blocks() * 16));
  lowbit_row_offsets(c.w, c.offsets.data());
  c.w.offsets = c.offsets.data();
}

void fill_activations(Case& c, std::mt19937& rng) {
  c.x.assign(static_cast<size_t>(c.m * c.w.padded_k()), 0);
  const bool lowest = rng() % 2 == 0;
  for (int64_t i = 0; i < c.m; ++i)
    for (int64_t k = 0; k < c.w.k; ++k)
      c.x[static_cast<size_t>(i * c.w.padded_k() + k)] =
          static_cast<int8_t>(c.extreme ? (lowest ? -128 : 127) : static_cast<int>(rng() % 256) - 128);
  c.sums.resize(static_cast<size_t>(c.m * c.w.groups()));
  lowbit_sum_rows(c.w, c.x.data(), c.w.padded_k(), c.m, c.sums.data());
  for (int64_t i = 0; i < c.m; ++i) {
    c.x_scales.push_back(static_cast<float>(rng() % 1000 + 1) / 512.0f);
    c.x_zeros.push_back(static_cast<int32_t>(rng() % 256) - 128);
  }
}

Case any_case(LowbitCoding coding) {
  Case c;
  c.w.coding = coding;
  c.w.n = *rc::gen::inRange<int64_t>(1, 50);
  c.w.k = *rc::gen::inRange<int64_t>(1, 400);
  c.w.group = *rc::gen::element<int64_t>(32, 64, 96, 128, 100000);
  c.m = *rc::gen::inRange<int64_t>(1, 11);
  c.extreme = *rc::gen::arbitrary<bool>();
  c.half = *rc::gen::arbitrary<bool>();
  c.group_zeros = *rc::gen::arbitrary<bool>();
  c.shifted = *rc::gen::arbitrary<bool>();
  std::mt19937 rng(*rc::gen::arbitrary<uint32_t>());
  fill_weights(c, rng);
  fill_parameters(c, rng);
  fill_activations(c, rng);
  return c;
}

/// The formula of lowbit_product.h from unpacked codes.
std::vector<float> expected_values(const Case& c) {
  std::vector<float> y;
  for (int64_t i = 0; i < c.m; ++i)
    for (int64_t row = 0; row < c.w.n; ++row) {
      float f = 0;
      for (int64_t g = 0; g < c.w.groups(); ++g) {
        const int64_t begin = g * c.w.group, end = c.w.groups() == 1 ? c.w.k : std::min(c.w.k, begin + c.w.group);
        int64_t sum = 0;
        for (int64_t k = begin; k < end; ++k) sum += c.level(row, k) * c.x[static_cast<size_t>(i * c.w.padded_k() + k)];
        f = std::fma(static_cast<float>(sum), c.scale(row, g), f);
      }
      const auto at = static_cast<size_t>(i);
      if (c.shifted) f = f - static_cast<float>(c.x_zeros[at]) * c.offsets[static_cast<size_t>(row)];
      y.push_back(f * c.x_scales[at] + c.bias[static_cast<size_t>(row)]);
    }
  return y;
}

class LowbitProduct : public testing::TestWithParam<int> {
 protected:
  LowbitCoding coding() const { return static_cast<LowbitCoding>(GetParam()); }
};

std::string coding_name(const testing::TestParamInfo<int>& info) {
  constexpr const char* kNames[] = {"u1", "u2", "u3", "u4", "u7", "u8", "table"};
  return kNames[info.param];
}

TEST_P(LowbitProduct, ComputesTheStatedFloatsOnEveryInstructionSet) {
  EXPECT_TRUE(rc::check([&] {
    const Case c = any_case(coding());
    const std::vector<float> expected = expected_values(c);
    for (const LowbitRow& row : lowbit_table()) {
      if (!isa_row(row.isa).supported) continue;
      std::vector<float> y(expected.size(), -1.0f);
      LowbitResult result;
      result.values = y.data();
      result.stride = c.w.n;
      result.bias = c.bias.data();
      lowbit_product(c.w, c.activations(), 0, c.w.blocks(), result, row.isa);
      RC_ASSERT(std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)) == 0);
    }
  }));
}

TEST_P(LowbitProduct, ComputesTheStatedIntegersOnEveryInstructionSet) {
  EXPECT_TRUE(rc::check([&] {
    Case c = any_case(coding());
    c.w.group = c.w.k;
    c.group_zeros = false;
    c.w.zeros = nullptr;
    c.sums.resize(static_cast<size_t>(c.m));
    lowbit_sum_rows(c.w, c.x.data(), c.w.padded_k(), c.m, c.sums.data());
    std::vector<int32_t> bias(static_cast<size_t>(c.w.n));
    for (size_t i = 0; i < bias.size(); ++i) bias[i] = static_cast<int32_t>(i * 12345) - 60000;
    std::vector<float> factors(bias.size(), 0.00371f);
    LowbitActivations x = c.activations();
    x.scales = nullptr;
    x.zeros = nullptr;
    for (const LowbitRow& row : lowbit_table()) {
      if (!isa_row(row.isa).supported) continue;
      std::vector<int32_t> sums(static_cast<size_t>(c.m * c.w.n));
      std::vector<uint8_t> codes(sums.size());
      LowbitResult result;
      result.stride = c.w.n;
      result.integer_bias = bias.data();
      result.sums = sums.data();
      lowbit_product(c.w, x, 0, c.w.blocks(), result, row.isa);
      result.sums = nullptr;
      result.codes = codes.data();
      result.factors = factors.data();
      result.zero_point = 3;
      result.low = 2;
      result.high = 250;
      lowbit_product(c.w, x, 0, c.w.blocks(), result, row.isa);
      for (int64_t i = 0; i < c.m; ++i)
        for (int64_t n = 0; n < c.w.n; ++n) {
          int64_t sum = bias[static_cast<size_t>(n)];
          for (int64_t k = 0; k < c.w.k; ++k) sum += c.level(n, k) * c.x[static_cast<size_t>(i * c.w.padded_k() + k)];
          const auto at = static_cast<size_t>(i * c.w.n + n);
          RC_ASSERT(sums[at] == sum);
          const float rounded = std::nearbyint(static_cast<float>(static_cast<int32_t>(sum)) * 0.00371f) + 3.0f;
          RC_ASSERT(codes[at] == static_cast<uint8_t>(std::min(std::max(rounded, 2.0f), 250.0f)));
        }
    }
  }));
}

TEST_P(LowbitProduct, DoesNotDependOnHowTheBlocksAreSplit) {
  EXPECT_TRUE(rc::check([&] {
    const Case c = any_case(coding());
    std::vector<float> whole(static_cast<size_t>(c.m * c.w.n)), parts(whole.size());
    LowbitResult result;
    result.stride = c.w.n;
    result.values = whole.data();
    lowbit_product(c.w, c.activations(), 0, c.w.blocks(), result, active_isa());
    result.values = parts.data();
    for (int64_t block = c.w.blocks(); block-- > 0;)
      lowbit_product(c.w, c.activations(), block, block + 1, result, active_isa());
    RC_ASSERT(whole == parts);
  }));
}

INSTANTIATE_TEST_SUITE_P(Codings, LowbitProduct, testing::Range(0, kLowbitCodings), coding_name);

TEST(LowbitQuantizeRows, GivesTheSameCodesOnEveryInstructionSet) {
  EXPECT_TRUE(rc::check([] {
    LowbitMatrix w;
    w.n = 1;
    w.k = *rc::gen::inRange<int64_t>(1, 300);
    w.group = *rc::gen::element<int64_t>(32, 64, 1000);
    std::vector<float> x(static_cast<size_t>(w.k));
    std::mt19937 rng(*rc::gen::arbitrary<uint32_t>());
    std::normal_distribution<float> normal;
    for (float& v : x) v = normal(rng);
    if (*rc::gen::arbitrary<bool>())
      x[rng() % x.size()] = *rc::gen::element(NAN, INFINITY, -INFINITY, 0.0f, 1e38f, 1e-42f);
    const float fixed = *rc::gen::element(0.0f, 0.01f);
    std::vector<int8_t> expected(static_cast<size_t>(w.padded_k()));
    std::vector<int32_t> expected_sums(static_cast<size_t>(w.groups()));
    float expected_scale = 0;
    lowbit_quantize_rows(w, x.data(), w.k, 0, 1, fixed, {expected.data(), expected_sums.data(), &expected_scale},
                         Isa::ref);
    for (const LowbitRow& row : lowbit_table()) {
      if (!isa_row(row.isa).supported) continue;
      std::vector<int8_t> codes(expected.size(), 99);
      std::vector<int32_t> sums(expected_sums.size(), 99);
      float scale = 0;
      lowbit_quantize_rows(w, x.data(), w.k, 0, 1, fixed, {codes.data(), sums.data(), &scale}, row.isa);
      RC_ASSERT(codes == expected);
      RC_ASSERT(sums == expected_sums);
      RC_ASSERT(scale == expected_scale);
    }
  }));
}

TEST(LowbitQuantizeRows, DividesByTheLargestSizeAndSumsEachGroup) {
  LowbitMatrix w;
  w.n = 1;
  w.k = 34;
  w.group = 32;
  std::vector<float> x(34, 0.5f);
  x[1] = -1.0f;
  x[33] = 0.25f;
  std::vector<int8_t> codes(64, 7);
  int32_t sums[2];
  float scale = 0;
  lowbit_quantize_rows(w, x.data(), 34, 0, 1, 0, {codes.data(), sums, &scale}, active_isa());
  EXPECT_EQ(scale, 1.0f / 127.0f);
  EXPECT_EQ(codes[0], 64);  // 63.5 to even
  EXPECT_EQ(codes[1], -127);
  EXPECT_EQ(codes[33], 32);
  EXPECT_EQ(codes[34], 0);
  EXPECT_EQ(sums[0], 31 * 64 - 127);
  EXPECT_EQ(sums[1], 64 + 32);
}

}  // namespace
}  // namespace lowbit::kernels
