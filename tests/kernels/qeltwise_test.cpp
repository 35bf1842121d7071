// Every row of the tables of element-wise kernels and pooling against the formulas of docs/integer-semantics.md.
#include "lowbit/kernels/qeltwise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "lowbit/base/random.h"
#include "lowbit/kernels/qpool.h"
#include "tests/kernels/qlayer_cases.h"

namespace lowbit::kernels {
namespace {

constexpr Code kTypes[] = {Code::u8, Code::s8, Code::u16, Code::s16};
constexpr int64_t kSizes[] = {1, 3, 15, 16, 31, 32, 33, 63, 64, 65, 200};

int32_t lowest(Code type) { return type == Code::s8 ? -128 : type == Code::s16 ? -32768 : 0; }
int32_t highest(Code type) { return lowest(type) + (code_bytes(type) == 1 ? 255 : 65535); }

/// Codes in a buffer with the slack that kernels may read, and nothing more.
struct Codes {
  Code type;
  int64_t count;
  std::vector<uint8_t> bytes;

  Codes(Code code, int64_t n, Random& random)
      : type(code), count(n), bytes(static_cast<size_t>(n) * code_bytes(code) + kReadSlack) {
    for (uint8_t& byte : bytes)
      byte = static_cast<uint8_t>(random.below(4) ? random.below(256) : random.below(2) * 255);
  }
  int32_t at(int64_t i) const {
    const auto* data = bytes.data();
    int16_t wide;
    std::memcpy(&wide, data + (code_bytes(type) == 2 ? 2 * i : 0), 2);
    switch (type) {
      case Code::u8:
        return data[i];
      case Code::s8:
        return static_cast<int8_t>(data[i]);
      case Code::u16:
        return static_cast<uint16_t>(wide);
      default:
        return wide;
    }
  }
  QOperand operand(int64_t stride) const { return {bytes.data(), stride, type}; }
};

/// Where a kernel writes: exactly the elements it may write.
struct Written {
  Codes codes;
  Written(Code type, int64_t n, Random& random) : codes(type, n, random) {
    codes.bytes.resize(static_cast<size_t>(n) * code_bytes(type));
  }
  QResult result(int64_t stride, int32_t low, int32_t high) {
    return {codes.bytes.data(), stride, codes.type, low, high};
  }
};

int32_t limited_code(double rounded, int32_t zero, int32_t low, int32_t high) {
  const double code = rounded + zero;
  return code < low ? low : code > high ? high : static_cast<int32_t>(code);
}

template <typename Body>
void for_each_row(Body body) {
  for (const QEltwiseKernels& row : qeltwise_table())
    if (isa_row(row.isa).supported) {
      SCOPED_TRACE(isa_row(row.isa).name);
      body(row);
      if (testing::Test::HasFatalFailure()) return;
    }
}

TEST(QEltwise, AddingCodesIsTwoFusedMultiplyAdds) {
  for_each_row([](const QEltwiseKernels& row) {
    Random random(30);
    for (int i = 0; i < 300; ++i) {
      const int64_t rows = 1 + static_cast<int64_t>(random.below(3)), n = kSizes[random.below(std::size(kSizes))];
      const int64_t stride_b = random.below(3) ? n : 0;  // 0: one row for all
      const bool wide = random.below(4) == 0;
      const Code types[] = {kTypes[random.below(wide ? 4 : 2)], kTypes[random.below(wide ? 4 : 2)],
                            kTypes[random.below(wide ? 4 : 2)]};
      const Codes a(types[0], rows * n, random), b(types[1], stride_b ? rows * n : n, random);
      Written y(types[2], rows * n, random);
      const QAddFactors f = {0.01f + static_cast<float>(random.below(1000)) * 2e-3f,
                             -0.9f + static_cast<float>(random.below(1000)) * 2e-3f,
                             static_cast<float>(random.below(400)) * 0.61f - 100};
      const int32_t low = lowest(types[2]) + static_cast<int32_t>(random.below(20)),
                    high = highest(types[2]) - static_cast<int32_t>(random.below(20));
      row.add(rows, n, a.operand(n), b.operand(stride_b), y.result(n, low, high), f);
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t c = 0; c < n; ++c) {
          const auto p = static_cast<float>(a.at(r * n + c)), q = static_cast<float>(b.at(r * stride_b + c));
          ASSERT_EQ(y.codes.at(r * n + c),
                    limited_code(std::nearbyint(std::fma(p, f.r_a, std::fma(q, f.r_b, f.f))), 0, low, high));
        }
    }
  });
}

TEST(QEltwise, ProductsAndRequantizationRoundTheExactProduct) {
  for_each_row([](const QEltwiseKernels& row) {
    Random random(31);
    for (int i = 0; i < 300; ++i) {
      const int64_t n = kSizes[random.below(std::size(kSizes))];
      const Code in = kTypes[random.below(2)], other = kTypes[random.below(2)], out = kTypes[random.below(4)],
                 any = kTypes[random.below(4)];
      const Codes a(in, n, random), b(other, n, random), x(any, n, random);
      Written y(out, n, random), z(out, n, random);
      const int32_t zero_a = a.at(0), zero_b = b.at(n - 1),
                    zero_y = lowest(out) + static_cast<int32_t>(random.below(255));
      // Powers of two times odd numbers make ties.
      const float m = std::ldexp(static_cast<float>(1 + random.below(3)), -static_cast<int>(random.below(12)));
      row.mul(1, n, a.operand(n), b.operand(n), y.result(n, lowest(out), highest(out)), {zero_a, zero_b, zero_y, m});
      row.requantize(1, n, x.operand(n), z.result(n, lowest(out), highest(out)), {zero_a, zero_y, m});
      for (int64_t c = 0; c < n; ++c) {
        const double product = static_cast<double>((a.at(c) - zero_a) * (b.at(c) - zero_b)) * static_cast<double>(m);
        ASSERT_EQ(y.codes.at(c), limited_code(std::nearbyint(product), zero_y, lowest(out), highest(out)));
        const double scaled = static_cast<double>(x.at(c) - zero_a) * static_cast<double>(m);
        ASSERT_EQ(z.codes.at(c), limited_code(std::nearbyint(scaled), zero_y, lowest(out), highest(out)));
      }
    }
  });
}

TEST(QEltwise, ATableOfTheRequantizationEqualsIt) {
  Random random(32);
  for (const Code in : {Code::u8, Code::s8})
    for (const Code out : {Code::u8, Code::s8}) {
      const QRequantizeFactors f = {in == Code::u8 ? 100 : -3, out == Code::u8 ? 20 : -90, 0.7531f};
      uint8_t bytes[256];
      fill_requantize_table(in, out, f, lowest(out) + 5, highest(out), bytes);
      const Codes x(in, 1000, random);
      for_each_row([&](const QEltwiseKernels& row) {
        Written y(out, 1000, random), direct(out, 1000, random);
        row.table(1, 1000, x.bytes.data(), 1000, y.codes.bytes.data(), 1000, bytes);
        row.requantize(1, 1000, x.operand(1000), direct.result(1000, lowest(out) + 5, highest(out)), f);
        ASSERT_EQ(y.codes.bytes, direct.codes.bytes);
      });
    }
}

TEST(QEltwise, QuantizingDividesAndRoundsToEven) {
  for_each_row([](const QEltwiseKernels& row) {
    Random random(33);
    for (const Code type : kTypes)
      for (const int64_t n : kSizes) {
        const float scale = 0.1f, infinite = std::numeric_limits<float>::infinity();
        const int32_t zero = lowest(type) + 100;
        std::vector<float> x(static_cast<size_t>(n)), back(x);
        for (size_t i = 0; i < x.size(); ++i)
          x[i] = (static_cast<float>(random.below(1000)) - 500) * (i % 2 ? 0.05f : 0.0371f);
        if (n > 3) x[0] = std::nanf(""), x[1] = infinite, x[2] = -infinite, x[3] = 1e30f;
        Written y(type, n, random);
        row.quantize(1, n, x.data(), n, y.result(n, lowest(type), highest(type)), scale, zero);
        Codes q = y.codes;
        q.bytes.resize(q.bytes.size() + kReadSlack);
        row.dequantize(1, n, q.operand(n), back.data(), n, scale, zero);
        for (int64_t i = 0; i < n; ++i) {
          const float value = x[static_cast<size_t>(i)];
          const int32_t expected =
              std::isnan(value) ? zero : limited_code(std::nearbyint(value / scale), zero, lowest(type), highest(type));
          ASSERT_EQ(y.codes.at(i), expected) << value;
          ASSERT_EQ(back[static_cast<size_t>(i)], static_cast<float>(expected - zero) * scale);
        }
      }
  });
}

template <typename T, typename Transpose>
void check_transpose(Transpose transpose) {
  for (const int64_t rows : {1, 2, 3, 4, 17, 64, 70})
    for (const int64_t columns : {1, 5, 16, 63, 100})
      for (const int64_t gap : {0, 3}) {
        std::vector<T> in(static_cast<size_t>(rows * (columns + gap))),
            out(static_cast<size_t>(columns * (rows + gap)), T{77});
        for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<T>(i * 2654435761u);
        transpose(rows, columns, in.data(), columns + gap, out.data(), rows + gap);
        for (int64_t c = 0; c < columns; ++c)
          for (int64_t r = 0; r < rows + gap; ++r)
            ASSERT_EQ(out[static_cast<size_t>(c * (rows + gap) + r)],
                      r < rows ? in[static_cast<size_t>(r * (columns + gap) + c)] : T{77});
      }
}

TEST(QEltwise, TranspositionMovesEachElementAndNothingElse) {
  for_each_row([](const QEltwiseKernels& row) {
    check_transpose<uint8_t>(row.transpose8);
    check_transpose<uint32_t>(row.transpose32);
  });
}

struct PoolCase {
  QLayerShape shape;
  int64_t channels, stride;
  Codes x;
};

PoolCase random_pool(Random& random, Code in) {
  QLayerShape s = random_shape(random);
  while (s.kernel_h * s.kernel_w == 1) s = random_shape(random);
  const int64_t channels = 1 + static_cast<int64_t>(random.below(300)),
                stride = channels + static_cast<int64_t>(random.below(3));
  return {s, channels, stride, Codes(in, s.images * s.height * s.width * stride, random)};
}

/// Codes of the window of pixel p, channel c.
std::vector<int32_t> window(const PoolCase& pool, int64_t p, int64_t c) {
  const QLayerShape& s = pool.shape;
  std::vector<int32_t> codes;
  const int64_t image = p / (s.out_width * s.out_height);
  for (int64_t ky = 0; ky < s.kernel_h; ++ky)
    for (int64_t kx = 0; kx < s.kernel_w; ++kx) {
      const int64_t y = p / s.out_width % s.out_height * s.stride_h - s.pad_top + ky * s.dilation_h;
      const int64_t x = p % s.out_width * s.stride_w - s.pad_left + kx * s.dilation_w;
      if (y >= 0 && x >= 0 && y < s.height && x < s.width)
        codes.push_back(pool.x.at(((image * s.height + y) * s.width + x) * pool.stride + c));
    }
  return codes;
}

TEST(QPool, MaximaAndMeansOverRandomWindows) {
  for (const QPoolKernels& row : qpool_table()) {
    if (!isa_row(row.isa).supported) continue;
    Random random(34);
    for (int i = 0; i < 60; ++i) {
      const Code in = kTypes[random.below(2)], out = kTypes[random.below(2)];
      const PoolCase pool = random_pool(random, in);
      const int64_t pixels = pool.shape.pixels();
      Written largest(in, pixels * pool.channels, random), means(out, pixels * pool.channels, random);
      QPoolCall call = {
          &pool.shape, pool.channels, pool.x.bytes.data(), pool.stride, largest.codes.bytes.data(), pool.channels,
          0,           pixels};
      row.max(call, in);
      const QAverage average = {0.037f,      0.021f,       lowest(in) + 7,      lowest(out) + 100,
                                lowest(out), highest(out), random.below(2) == 0};
      call.output = means.codes.bytes.data();
      bool empty = false;  // a window of padding alone has no mean unless padding counts
      for (int64_t p = 0; p < pixels; ++p) empty |= window(pool, p, 0).empty();
      if (!empty) row.average(call, in, out, average);
      for (int64_t p = 0; p < pixels; ++p)
        for (int64_t c = 0; c < pool.channels; ++c) {
          int32_t expected = lowest(in), sum = 0;
          const std::vector<int32_t> codes = window(pool, p, c);
          for (const int32_t code : codes) expected = std::max(expected, code), sum += code - average.zero_in;
          ASSERT_EQ(largest.codes.at(p * pool.channels + c), expected) << isa_row(row.isa).name;
          if (empty) continue;
          const auto n = static_cast<float>(
              average.count_padding ? static_cast<size_t>(pool.shape.kernel_h * pool.shape.kernel_w) : codes.size());
          const float m = average.scale_in / (average.scale_out * n);
          ASSERT_EQ(means.codes.at(p * pool.channels + c),
                    limited_code(std::nearbyint(static_cast<double>(sum) * static_cast<double>(m)), average.zero_out,
                                 average.low, average.high))
              << isa_row(row.isa).name;
        }
    }
  }
}

TEST(QPool, TheMeanOfAnImageIsExactInSlices) {
  for (const QPoolKernels& row : qpool_table()) {
    if (!isa_row(row.isa).supported) continue;
    Random random(35);
    for (const int64_t pixels : {1, 49, 3000})
      for (const int64_t channels : {1, 64, 130}) {
        const Codes x(Code::u8, pixels * channels, random);
        Written y(Code::s8, channels, random);
        const QAverage average = {0.05f, 0.03f, 17, -20, -128, 127, true};
        for (int64_t c = 0; c < channels; c += 64)
          row.global_average(pixels, c, std::min(channels, c + 64), x.bytes.data(), channels, Code::u8,
                             y.codes.bytes.data(), Code::s8, average);
        for (int64_t c = 0; c < channels; ++c) {
          int64_t sum = 0;
          for (int64_t p = 0; p < pixels; ++p) sum += x.at(p * channels + c) - 17;
          const float m = 0.05f / (0.03f * static_cast<float>(pixels));
          ASSERT_EQ(y.codes.at(c),
                    limited_code(std::nearbyint(static_cast<double>(sum) * static_cast<double>(m)), -20, -128, 127));
        }
      }
  }
}

}  // namespace
}  // namespace lowbit::kernels
