#include "lowbit/kernels/qeltwise.h"

#include "lowbit/kernels/ref/ref.h"
#include "lowbit/kernels/ref/scalar.h"

namespace lowbit::kernels::ref {
namespace {

void add(int64_t rows, int64_t n, QOperand a, QOperand b, QResult y, QAddFactors factors) noexcept {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < n; ++i)
      store_code(y.data, r * y.stride + i, y.type,
                 add_codes(load_code(a.data, r * a.stride + i, a.type), load_code(b.data, r * b.stride + i, b.type),
                           factors.r_a, factors.r_b, factors.f, y.low, y.high));
}

void mul(int64_t rows, int64_t n, QOperand a, QOperand b, QResult y, QMulFactors factors) noexcept {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < n; ++i) {
      const int64_t product = static_cast<int64_t>(load_code(a.data, r * a.stride + i, a.type) - factors.zero_a) *
                              static_cast<int64_t>(load_code(b.data, r * b.stride + i, b.type) - factors.zero_b);
      store_code(
          y.data, r * y.stride + i, y.type,
          to_code(static_cast<double>(product) * static_cast<double>(factors.m), factors.zero_out, y.low, y.high));
    }
}

int32_t requantized(int32_t code, QRequantizeFactors factors, int32_t low, int32_t high) {
  return to_code(static_cast<double>(code - factors.zero_in) * static_cast<double>(factors.m), factors.zero_out, low,
                 high);
}

void requantize(int64_t rows, int64_t n, QOperand x, QResult y, QRequantizeFactors factors) noexcept {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < n; ++i)
      store_code(y.data, r * y.stride + i, y.type,
                 requantized(load_code(x.data, r * x.stride + i, x.type), factors, y.low, y.high));
}

void table(int64_t rows, int64_t n, const uint8_t* x, int64_t x_stride, uint8_t* y, int64_t y_stride,
           const uint8_t* table256) noexcept {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < n; ++i) y[r * y_stride + i] = table256[x[r * x_stride + i]];
}

void quantize(int64_t rows, int64_t n, const float* x, int64_t x_stride, QResult y, float scale,
              int32_t zero_point) noexcept {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < n; ++i) {
      const float value = x[r * x_stride + i] / scale;
      const float known = value == value ? value : 0.0f;
      store_code(y.data, r * y.stride + i, y.type, to_code(known, zero_point, y.low, y.high));
    }
}

void dequantize(int64_t rows, int64_t n, QOperand x, float* y, int64_t y_stride, float scale,
                int32_t zero_point) noexcept {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t i = 0; i < n; ++i)
      y[r * y_stride + i] = static_cast<float>(load_code(x.data, r * x.stride + i, x.type) - zero_point) * scale;
}

template <typename T>
void transpose(int64_t rows, int64_t columns, const T* in, int64_t in_stride, T* out, int64_t out_stride) noexcept {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) out[c * out_stride + r] = in[r * in_stride + c];
}

}  // namespace

const QEltwiseKernels qeltwise_kernels = {
    Isa::ref, add, mul, requantize, table, quantize, dequantize, transpose<uint8_t>, transpose<uint32_t>};

}  // namespace lowbit::kernels::ref
