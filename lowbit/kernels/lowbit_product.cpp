#include "lowbit/kernels/lowbit_product.h"

#include <algorithm>
#include <cstring>

namespace lowbit::kernels {
namespace {

constexpr int64_t kPanelBytes = 192 * 1024;  // activations that stay in the second-level cache over all blocks

LowbitTile block_tile(const LowbitMatrix& w, int64_t block) {
  LowbitTile tile = {};
  tile.codes = w.codes + static_cast<size_t>(block) * lowbit_code_bytes(w.coding, kLowbitRows, w.k);
  tile.chunks = w.chunks();
  tile.group_chunks = w.groups() == 1 ? tile.chunks : w.group / kLowbitChunk;
  const int64_t first_parameter = block * w.groups() * kLowbitRows;
  if (w.scales) tile.scales = w.scales + first_parameter;
  if (w.half_scales) tile.half_scales = w.half_scales + first_parameter;
  if (w.zeros) tile.zeros = w.zeros + first_parameter;
  tile.zero = w.zero;
  tile.step = w.step;
  tile.table = w.table;
  return tile;
}

void finish_values(const LowbitMatrix& w, const LowbitActivations& x, int64_t row, int64_t column, int64_t count,
                   const float* f, const LowbitResult& result) {
  float* y = result.values + row * result.stride + column;
  const float scale = x.scales[row];
  float centred[kLowbitRows];
  std::copy_n(f, kLowbitRows, centred);
  if (x.zeros && w.offsets) {
    const float zero = static_cast<float>(x.zeros[row]);
    for (int r = 0; r < kLowbitRows; ++r) centred[r] = f[r] - zero * w.offsets[column + r];
  }
  for (int64_t r = 0; r < count; ++r) y[r] = centred[r] * scale;
  if (result.bias)
    for (int64_t r = 0; r < count; ++r) y[r] += result.bias[column + r];
}

void finish_codes(int64_t row, int64_t column, int64_t count, const int32_t* sums, const LowbitResult& result) {
  uint8_t* y = result.codes + row * result.stride + column;
  const auto low = static_cast<float>(result.low - result.zero_point);
  const auto high = static_cast<float>(result.high - result.zero_point);
  for (int64_t r = 0; r < count; ++r) {
    const int32_t acc = sums[r] + (result.integer_bias ? result.integer_bias[column + r] : 0);
    const float value = static_cast<float>(acc) * result.factors[column + r];
    // Limits first (they are integers, so this commutes with rounding); then adding 1.5 * 2^23 rounds to even.
    constexpr float kRound = 12582912.0f;
    const float limited = value < low ? low : value > high ? high : value;
    y[r] = static_cast<uint8_t>(static_cast<int32_t>((limited + kRound) - kRound) + result.zero_point);
  }
}

void run_tile(const LowbitMatrix& w, const LowbitActivations& x, LowbitTile& tile, LowbitTileFn fn, int64_t block,
              int64_t row, int m, const LowbitResult& result) {
  alignas(64) int32_t sums[kLowbitTileM * kLowbitRows];
  alignas(64) float values[kLowbitTileM * kLowbitRows];
  const int64_t column = block * kLowbitRows, count = std::min<int64_t>(kLowbitRows, w.n - column);
  tile.x = x.codes + row * x.stride;
  tile.x_stride = x.stride;
  tile.x_sums = x.sums + row * w.groups();
  tile.x_sums_stride = w.groups();
  tile.sums = result.values ? nullptr : sums;
  tile.values = result.values ? values : nullptr;
  fn(tile, m);
  for (int i = 0; i < m; ++i) {
    if (result.values) {
      finish_values(w, x, row + i, column, count, values + i * kLowbitRows, result);
    } else if (result.codes) {
      finish_codes(row + i, column, count, sums + i * kLowbitRows, result);
    } else {
      int32_t* y = result.sums + (row + i) * result.stride + column;
      for (int64_t r = 0; r < count; ++r)
        y[r] = sums[i * kLowbitRows + r] + (result.integer_bias ? result.integer_bias[column + r] : 0);
    }
  }
}

}  // namespace

void lowbit_product(const LowbitMatrix& w, const LowbitActivations& x, int64_t first_block, int64_t last_block,
                    const LowbitResult& result, Isa isa) noexcept {
  const LowbitTileFn fn = lowbit_kernels(isa).tiles[static_cast<size_t>(w.coding)];
  const int64_t panel =
      std::max<int64_t>(kLowbitTileM, kPanelBytes / std::max<int64_t>(1, x.stride) / kLowbitTileM * kLowbitTileM);
  for (int64_t begin = 0; begin < x.m; begin += panel) {
    const int64_t end = std::min(x.m, begin + panel);
    for (int64_t block = first_block; block < last_block; ++block) {
      LowbitTile tile = block_tile(w, block);
      for (int64_t row = begin; row < end; row += kLowbitTileM)
        run_tile(w, x, tile, fn, block, row, static_cast<int>(std::min<int64_t>(kLowbitTileM, end - row)), result);
    }
  }
}

void lowbit_quantize_rows(const LowbitMatrix& w, const float* x, int64_t x_stride, int64_t first, int64_t last,
                          float fixed_scale, const LowbitQuantizedRows& to, Isa isa) noexcept {
  const LowbitKernels& kernels = lowbit_kernels(isa);
  const int64_t group = w.groups() == 1 ? w.padded_k() : w.group;
  for (int64_t i = first; i < last; ++i)
    to.scales[i] = kernels.quantize_row(x + i * x_stride, w.k, w.padded_k(), group, fixed_scale,
                                        to.codes + i * w.padded_k(), to.sums + i * w.groups());
}

void lowbit_sum_rows(const LowbitMatrix& w, const int8_t* codes, int64_t stride, int64_t m, int32_t* sums) noexcept {
  const int64_t group = w.groups() == 1 ? w.padded_k() : w.group;
  for (int64_t i = 0; i < m; ++i)
    for (int64_t g = 0; g < w.groups(); ++g) {
      int32_t sum = 0;
      for (int64_t k = g * group; k < std::min(w.k, (g + 1) * group); ++k) sum += codes[i * stride + k];
      sums[i * w.groups() + g] = sum;
    }
}

}  // namespace lowbit::kernels
