// qeltwise_loops.h: element-wise loops and pooling, written once. Additions of bytes use the vector operations `P` of
// the instruction set; the others are loops over typed rows in the form that compilers turn into vectors of the file's
// instruction set. Inside the room only; everything is static.
#pragma once

#include "lowbit/kernels/qeltwise.h"
#include "lowbit/kernels/qlayer_finish.h"
#include "lowbit/kernels/qpool.h"
#include "lowbit/kernels/ref/scalar.h"

namespace lowbit::kernels {
namespace {

/// f(pointer of the type) for the type of a code.
template <typename F>
[[gnu::always_inline]] inline void with_type(Code type, F f) {
  switch (type) {
    case Code::u8:
      f(static_cast<uint8_t*>(nullptr));
      break;
    case Code::s8:
      f(static_cast<int8_t*>(nullptr));
      break;
    case Code::u16:
      f(static_cast<uint16_t*>(nullptr));
      break;
    default:
      f(static_cast<int16_t*>(nullptr));
  }
}
/// The same for bytes alone.
template <typename F>
[[gnu::always_inline]] inline void with_byte_type(Code type, F f) {
  if (type == Code::u8)
    f(static_cast<uint8_t*>(nullptr));
  else
    f(static_cast<int8_t*>(nullptr));
}

template <typename T>
[[gnu::always_inline]] inline T* row_of(void* data, int64_t row, int64_t stride, T*) {
  return static_cast<T*>(data) + row * stride;
}
template <typename T>
[[gnu::always_inline]] inline const T* row_of(const void* data, int64_t row, int64_t stride, T*) {
  return static_cast<const T*>(data) + row * stride;
}

/// Rows that follow each other without gaps are one long row.
template <typename... Strides>
[[gnu::always_inline]] inline void join_rows(int64_t& rows, int64_t& n, Strides... strides) {
  if (((strides == n) && ...)) {
    n *= rows;
    rows = 1;
  }
}

template <typename P>
void add_row(int64_t n, const uint8_t* a, bool a_signed, const uint8_t* b, bool b_signed, uint8_t* y, bool y_signed,
             const QResult& out, QAddFactors factors) {
  const auto shift = [](bool is_signed) { return P::splat_bytes(is_signed ? 128 : 0); };
  const auto flip_a = shift(a_signed), flip_b = shift(b_signed), flip_y = shift(y_signed);
  const auto zero_a = P::splat(a_signed ? 128.0f : 0.0f), zero_b = P::splat(b_signed ? 128.0f : 0.0f);
  const auto r_a = P::splat(factors.r_a), r_b = P::splat(factors.r_b), f = P::splat(factors.f);
  const auto low = P::splat(static_cast<float>(out.low)), high = P::splat(static_cast<float>(out.high));
  const auto zero_y = P::splat_words(y_signed ? 128 : 0);
  for (int64_t i = 0; i < n; i += 4 * P::kLanes) {
    typename P::Ints codes_a[4], codes_b[4];
    P::unpack(P::flip(P::load_block(a + i), flip_a), codes_a);
    P::unpack(P::flip(P::load_block(b + i), flip_b), codes_b);
    unroll<4>(LOWBIT_EACH(v) {
      const auto x = P::sub(P::to_floats(codes_a[v]), zero_a), z = P::sub(P::to_floats(codes_b[v]), zero_b);
      codes_a[v] = P::to_ints(P::min(P::max(P::fma(x, r_a, P::fma(z, r_b, f)), low), high));
    });
    P::store_block(P::flip(P::pack(codes_a, zero_y), flip_y), y + i, smaller(n - i, 4 * P::kLanes));
  }
}

template <typename P>
void add(int64_t rows, int64_t n, QOperand a, QOperand b, QResult y, QAddFactors factors) noexcept {
  join_rows(rows, n, a.stride, b.stride, y.stride);
  const bool bytes = code_bytes(a.type) == 1 && code_bytes(b.type) == 1 && code_bytes(y.type) == 1;
  for (int64_t r = 0; r < rows; ++r) {
    if (bytes) {
      add_row<P>(n, static_cast<const uint8_t*>(a.data) + r * a.stride, a.type == Code::s8,
                 static_cast<const uint8_t*>(b.data) + r * b.stride, b.type == Code::s8,
                 static_cast<uint8_t*>(y.data) + r * y.stride, y.type == Code::s8, y, factors);
      continue;
    }
    for (int64_t i = 0; i < n; ++i)
      store_code(y.data, r * y.stride + i, y.type,
                 add_codes(load_code(a.data, r * a.stride + i, a.type), load_code(b.data, r * b.stride + i, b.type),
                           factors.r_a, factors.r_b, factors.f, y.low, y.high));
  }
}

// Elements between two loops that know their types: one pair of loops for each type, not for each combination.
constexpr int64_t kCodeBlock = 256;

/// to[i] = x - zero for n <= kCodeBlock elements of a row.
[[gnu::noinline, maybe_unused]] void read_block(QOperand x, int64_t at, int64_t n, int32_t zero, int32_t* to) {
  with_type(x.type, [&](auto* type) {
    const auto* from = row_of(x.data, 1, at, type);
    for (int64_t i = 0; i < n; ++i) to[i] = static_cast<int32_t>(from[i]) - zero;
  });
}

/// Codes of n <= kCodeBlock exact values: min(max(rne(v), low), high) + zero, limits and zero of the result.
[[gnu::noinline, maybe_unused]] void write_block(const double* values, int64_t n, const QResult& y, int64_t at,
                                                 int32_t zero) {
  const double low = y.low - zero, high = y.high - zero;
  int32_t codes[kCodeBlock];
  for (int64_t i = 0; i < n; ++i) codes[i] = static_cast<int32_t>(round_clamped(values[i], low, high)) + zero;
  with_type(y.type, [&](auto* type) {
    auto* to = row_of(y.data, 1, at, type);
    for (int64_t i = 0; i < n; ++i) to[i] = static_cast<__typeof__(*to)>(codes[i]);
  });
}

inline void mul(int64_t rows, int64_t n, QOperand a, QOperand b, QResult y, QMulFactors factors) noexcept {
  join_rows(rows, n, a.stride, b.stride, y.stride);
  const double m = static_cast<double>(factors.m);
  int32_t p[kCodeBlock], q[kCodeBlock];
  double values[kCodeBlock];
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < n; i += kCodeBlock) {
      const int64_t count = smaller(kCodeBlock, n - i);
      read_block(a, r * a.stride + i, count, factors.zero_a, p);
      read_block(b, r * b.stride + i, count, factors.zero_b, q);
      // Products of 17 bits each are exact.
      for (int64_t j = 0; j < count; ++j) values[j] = static_cast<double>(p[j]) * static_cast<double>(q[j]) * m;
      write_block(values, count, y, r * y.stride + i, factors.zero_out);
    }
}

inline void requantize(int64_t rows, int64_t n, QOperand x, QResult y, QRequantizeFactors factors) noexcept {
  join_rows(rows, n, x.stride, y.stride);
  const double m = static_cast<double>(factors.m);
  int32_t p[kCodeBlock];
  double values[kCodeBlock];
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < n; i += kCodeBlock) {
      const int64_t count = smaller(kCodeBlock, n - i);
      read_block(x, r * x.stride + i, count, factors.zero_in, p);
      for (int64_t j = 0; j < count; ++j) values[j] = static_cast<double>(p[j]) * m;
      write_block(values, count, y, r * y.stride + i, factors.zero_out);
    }
}

inline void table(int64_t rows, int64_t n, const uint8_t* x, int64_t x_stride, uint8_t* y, int64_t y_stride,
                  const uint8_t* table256) noexcept {
  join_rows(rows, n, x_stride, y_stride);
  for (int64_t r = 0; r < rows; ++r, x += x_stride, y += y_stride) {
    int64_t i = 0;
    for (; i + 8 <= n; i += 8) {  // one load and one store of eight bytes around the look-ups
      uint64_t codes, found = 0;
      __builtin_memcpy(&codes, x + i, 8);
      for (int j = 0; j < 64; j += 8) found |= static_cast<uint64_t>(table256[codes >> j & 255]) << j;
      __builtin_memcpy(y + i, &found, 8);
    }
    for (; i < n; ++i) y[i] = table256[x[i]];
  }
}

inline void quantize(int64_t rows, int64_t n, const float* x, int64_t x_stride, QResult y, float scale,
                     int32_t zero_point) noexcept {
  join_rows(rows, n, x_stride, y.stride);
  const auto low = static_cast<float>(y.low - zero_point), high = static_cast<float>(y.high - zero_point);
  with_type(y.type, [&](auto* y_type) {
    for (int64_t r = 0; r < rows; ++r) {
      const float* from = x + r * x_stride;
      auto* to = row_of(y.data, r, y.stride, y_type);
      for (int64_t i = 0; i < n; ++i) {
        const float value = from[i] / scale, known = value == value ? value : 0.0f;
        to[i] = static_cast<__typeof__(*to)>(static_cast<int32_t>(round_clamped(known, low, high)) + zero_point);
      }
    }
  });
}

inline void dequantize(int64_t rows, int64_t n, QOperand x, float* y, int64_t y_stride, float scale,
                       int32_t zero_point) noexcept {
  join_rows(rows, n, x.stride, y_stride);
  with_type(x.type, [&](auto* x_type) {
    for (int64_t r = 0; r < rows; ++r) {
      const auto* from = row_of(x.data, r, x.stride, x_type);
      float* to = y + r * y_stride;
      for (int64_t i = 0; i < n; ++i) to[i] = static_cast<float>(from[i] - zero_point) * scale;
    }
  });
}

/// A few rows, such as the colours of a picture, to pixels without gaps.
template <int kRows, typename T>
void interleave_rows(int64_t columns, const T* in, int64_t in_stride, T* out) {
  for (int64_t c = 0; c < columns; ++c)
    for (int r = 0; r < kRows; ++r) out[c * kRows + r] = in[r * in_stride + c];
}

template <typename T>
void transpose(int64_t rows, int64_t columns, const T* in, int64_t in_stride, T* out, int64_t out_stride) noexcept {
  if (rows == 1 && out_stride == 1) return interleave_rows<1>(columns, in, in_stride, out);
  if (rows == 3 && out_stride == 3) return interleave_rows<3>(columns, in, in_stride, out);
  if (rows == 4 && out_stride == 4) return interleave_rows<4>(columns, in, in_stride, out);
  constexpr int64_t kBlock = 64 / static_cast<int64_t>(sizeof(T));  // a cache line of each row, read while it is there
  for (int64_t r0 = 0; r0 < rows; r0 += kBlock)
    for (int64_t c0 = 0; c0 < columns; c0 += kBlock) {
      const int64_t r1 = smaller(rows, r0 + kBlock), c1 = smaller(columns, c0 + kBlock);
      for (int64_t c = c0; c < c1; ++c)
        for (int64_t r = r0; r < r1; ++r) out[c * out_stride + r] = in[r * in_stride + c];
    }
}

template <typename P>
constexpr QEltwiseKernels eltwise_kernels(Isa isa) {
  return {isa, add<P>, mul, requantize, table, quantize, dequantize, transpose<uint8_t>, transpose<uint32_t>};
}

// ---- Pooling: a chunk of channels at a time, all taps of a pixel one after the other.

constexpr int64_t kPoolChunk = 256;

/// Calls visit(element index) for each tap of output pixel p inside the input; returns their number.
template <typename Visit>
[[gnu::always_inline]] inline int64_t for_each_tap(const QPoolCall& call, int64_t p, Visit visit) {
  const QLayerShape& s = *call.shape;
  const int64_t column = p % s.out_width, row = p / s.out_width % s.out_height,
                image = p / (s.out_width * s.out_height);
  int64_t count = 0;
  for (int64_t ky = 0; ky < s.kernel_h; ++ky)
    for (int64_t kx = 0; kx < s.kernel_w; ++kx) {
      const int64_t y = row * s.stride_h - s.pad_top + ky * s.dilation_h;
      const int64_t x = column * s.stride_w - s.pad_left + kx * s.dilation_w;
      if (y < 0 || y >= s.height || x < 0 || x >= s.width) continue;
      visit(((image * s.height + y) * s.width + x) * call.input_stride);
      ++count;
    }
  return count;
}

template <typename T>
void max_pool_of(const QPoolCall& call, T lowest) {
  for (int64_t p = call.pixel_begin; p < call.pixel_end; ++p)
    for (int64_t c = 0; c < call.channels; c += kPoolChunk) {
      const int64_t n = smaller(kPoolChunk, call.channels - c);
      T largest[kPoolChunk];
      for (int64_t i = 0; i < n; ++i) largest[i] = lowest;
      for_each_tap(call, p, [&](int64_t at) {
        const T* x = static_cast<const T*>(call.input) + at + c;
        for (int64_t i = 0; i < n; ++i) largest[i] = x[i] > largest[i] ? x[i] : largest[i];
      });
      __builtin_memcpy(static_cast<T*>(call.output) + p * call.output_stride + c, largest, static_cast<size_t>(n));
    }
}

inline void max_pool(const QPoolCall& call, Code type) noexcept {
  if (type == Code::u8)
    max_pool_of<uint8_t>(call, 0);
  else
    max_pool_of<int8_t>(call, -128);
}

/// Sums of `count` codes -> codes of their mean over n elements.
inline void finish_means(const int32_t* sums, int64_t channels, int64_t count, int64_t n, const QAverage& average,
                         void* output, int64_t first, Code out) {
  const float m = average.scale_in / (average.scale_out * static_cast<float>(n));
  const double factor = static_cast<double>(m);
  const double low = average.low - average.zero_out, high = average.high - average.zero_out;
  const auto taken = static_cast<int32_t>(count * average.zero_in);
  with_byte_type(out, [&](auto* type) {
    auto* to = row_of(output, 0, 0, type) + first;
    for (int64_t i = 0; i < channels; ++i) {
      const double code = round_clamped(static_cast<double>(sums[i] - taken) * factor, low, high);
      to[i] = static_cast<__typeof__(*to)>(static_cast<int32_t>(code) + average.zero_out);
    }
  });
}

inline void average_pool(const QPoolCall& call, Code in, Code out, const QAverage& average) noexcept {
  for (int64_t p = call.pixel_begin; p < call.pixel_end; ++p)
    for (int64_t c = 0; c < call.channels; c += kPoolChunk) {
      const int64_t n = smaller(kPoolChunk, call.channels - c);
      int32_t sums[kPoolChunk] = {};
      int64_t count = 0;
      with_byte_type(in, [&](auto* type) {
        count = for_each_tap(call, p, [&](int64_t at) {
          const auto* x = row_of(call.input, 0, 0, type) + at + c;
          for (int64_t i = 0; i < n; ++i) sums[i] += x[i];
        });
      });
      const int64_t elements = average.count_padding ? call.shape->kernel_h * call.shape->kernel_w : count;
      finish_means(sums, n, count, elements, average, call.output, p * call.output_stride + c, out);
    }
}

inline void global_average(int64_t pixels, int64_t begin, int64_t end, const void* input, int64_t input_stride, Code in,
                           void* output, Code out, const QAverage& average) noexcept {
  for (int64_t c = begin; c < end; c += kPoolChunk) {
    const int64_t n = smaller(kPoolChunk, end - c);
    int32_t sums[kPoolChunk] = {};
    with_byte_type(in, [&](auto* type) {
      for (int64_t p = 0; p < pixels; ++p) {
        const auto* x = row_of(input, p, input_stride, type) + c;
        for (int64_t i = 0; i < n; ++i) sums[i] += x[i];
      }
    });
    finish_means(sums, n, pixels, pixels, average, output, c, out);
  }
}

constexpr QPoolKernels pool_kernels(Isa isa) { return {isa, max_pool, average_pool, global_average}; }

}  // namespace
}  // namespace lowbit::kernels
