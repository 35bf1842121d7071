#include "lowbit/kernels/lowbit_product.h"

#include <algorithm>
#include <cstring>

namespace lowbit::kernels {
namespace {

constexpr int64_t kPanelBytes = 192 * 1024;  // activations that stay in the second-level cache over all blocks

/// What all blocks of a call share, worked out once; small matrices are called often.
class Product {
 public:
  Product(const LowbitMatrix& w, const LowbitActivations& x, const LowbitResult& result, Isa isa)
      : w_(w),
        x_(x),
        result_(result),
        fn_(lowbit_kernels(isa).tiles[static_cast<size_t>(w.coding)]),
        groups_(w.groups()),
        block_bytes_(static_cast<int64_t>(lowbit_code_bytes(w.coding, kLowbitRows, w.k))) {
    tile_ = {};
    tile_.chunks = w.chunks();
    tile_.group_chunks = groups_ == 1 ? tile_.chunks : w.group / kLowbitChunk;
    tile_.zero = w.zero;
    tile_.step = w.step;
    tile_.table = w.table;
    tile_.x_stride = x.stride;
    tile_.x_sums_stride = groups_;
    tile_.sums = result.values ? nullptr : sums_;
    direct_ = result.values && !x.zeros;
  }

  void run(int64_t first_block, int64_t last_block) {
    const int64_t row_bytes = std::max<int64_t>(1, x_.stride);
    const int64_t panel = std::max<int64_t>(kLowbitTileM, kPanelBytes / row_bytes / kLowbitTileM * kLowbitTileM);
    for (int64_t begin = 0; begin < x_.m; begin += panel)
      for (int64_t block = first_block; block < last_block; ++block)
        run_block(block, begin, std::min(x_.m, begin + panel));
  }

 private:
  void run_block(int64_t block, int64_t begin, int64_t end) {
    const int64_t parameter = block * groups_ * kLowbitRows;
    tile_.codes = w_.codes + block * block_bytes_;
    tile_.scales = w_.scales ? w_.scales + parameter : nullptr;
    tile_.half_scales = w_.half_scales ? w_.half_scales + parameter : nullptr;
    tile_.zeros = w_.zeros ? w_.zeros + parameter : nullptr;
    column_ = block * kLowbitRows;
    count_ = std::min<int64_t>(kLowbitRows, w_.n - column_);
    const bool direct = direct_ && count_ == kLowbitRows;  // the tile itself finishes and stores
    tile_.values_stride = direct ? result_.stride : kLowbitRows;
    tile_.bias = direct && result_.bias ? result_.bias + column_ : nullptr;
    if (!direct) read_columns();
    for (int64_t row = begin; row < end; row += kLowbitTileM) {
      const int m = static_cast<int>(std::min<int64_t>(kLowbitTileM, end - row));
      tile_.x = x_.codes + row * x_.stride;
      tile_.x_sums = x_.sums + row * groups_;
      if (result_.values) tile_.values = direct ? result_.values + row * result_.stride + column_ : values_;
      tile_.x_scales = direct ? x_.scales + row : nullptr;
      fn_(tile_, m);
      for (int i = 0; i < m && !direct; ++i) finish(row + i, i * kLowbitRows);
    }
  }

  /// Biases and factors of the columns, the missing ones 0: so that the loops below have sixteen turns without pointers
  /// that might overlap, and become vectors.
  void read_columns() {
    const auto read = [this](const auto* from, auto* to) {
      std::fill_n(to, kLowbitRows, std::remove_reference_t<decltype(*to)>{});
      if (from) std::copy_n(from + column_, count_, to);
    };
    read(result_.bias, bias_);
    read(result_.integer_bias, integer_bias_);
    read(result_.factors, factors_);
    if (x_.zeros) std::copy_n(w_.offsets + column_, kLowbitRows, offsets_);
  }

  void finish(int64_t row, int first) {
    const int64_t at = row * result_.stride + column_;
    if (result_.values) {
      finish_values(row, values_ + first);
      store(values_ + first, result_.values + at);
      return;
    }
    int32_t* sums = sums_ + first;
    // Modulo 2^32: weights from a file that was tampered with may overflow.
    for (int r = 0; r < kLowbitRows; ++r)
      sums[r] = static_cast<int32_t>(static_cast<uint32_t>(sums[r]) + static_cast<uint32_t>(integer_bias_[r]));
    if (result_.sums) return store(sums, result_.sums + at);
    uint8_t codes[kLowbitRows];
    finish_codes(sums, codes);
    store(codes, result_.codes + at);
  }

  void finish_values(int64_t row, float* f) const {
    if (x_.zeros) {
      const auto zero = static_cast<float>(x_.zeros[row]);
      for (int r = 0; r < kLowbitRows; ++r) f[r] = f[r] - zero * offsets_[r];
    }
    const float scale = x_.scales[row];
    for (int r = 0; r < kLowbitRows; ++r) f[r] = f[r] * scale;
    if (result_.bias)
      for (int r = 0; r < kLowbitRows; ++r) f[r] = f[r] + bias_[r];
  }

  void finish_codes(const int32_t* sums, uint8_t* codes) const {
    // Limits first (they are integers, so this commutes with rounding); then adding 1.5 * 2^23 rounds to even.
    constexpr float kRound = 12582912.0f;
    const auto low = static_cast<float>(result_.low - result_.zero_point);
    const auto high = static_cast<float>(result_.high - result_.zero_point);
    for (int r = 0; r < kLowbitRows; ++r) {
      const float value = static_cast<float>(sums[r]) * factors_[r];
      const float above = value > low ? value : low, limited = above > high ? high : above;
      codes[r] = static_cast<uint8_t>(static_cast<int32_t>((limited + kRound) - kRound) + result_.zero_point);
    }
  }

  template <typename T>
  void store(const T* from, T* to) const {
    if (count_ == kLowbitRows) {
      std::memcpy(to, from, kLowbitRows * sizeof(T));
    } else {
      std::copy_n(from, count_, to);
    }
  }

  const LowbitMatrix& w_;
  const LowbitActivations& x_;
  const LowbitResult& result_;
  LowbitTileFn fn_;
  int64_t groups_, block_bytes_;
  LowbitTile tile_;
  bool direct_ = false;
  int64_t column_ = 0, count_ = 0;
  alignas(64) float values_[kLowbitTileM * kLowbitRows];
  alignas(64) int32_t sums_[kLowbitTileM * kLowbitRows];
  float bias_[kLowbitRows], factors_[kLowbitRows], offsets_[kLowbitRows];
  int32_t integer_bias_[kLowbitRows];
};

}  // namespace

namespace {

/// The sum of n codes, eight at a time as unsigned bytes (the code plus 128) in four 16-bit lanes of a word.
int32_t sum_codes(const int8_t* codes, int64_t n) {
  constexpr uint64_t kEven = 0x00FF00FF00FF00FFu;
  constexpr int64_t kMostWords = 128;  // 128 * 2 * 255 fit 16 bits
  int64_t sum = 0, i = 0;
  while (i + 8 <= n) {
    uint64_t lanes = 0;
    const int64_t first = i;
    for (int64_t words = 0; words < kMostWords && i + 8 <= n; ++words, i += 8) {
      uint64_t word;
      std::memcpy(&word, codes + i, sizeof word);
      word ^= 0x8080808080808080u;
      lanes += (word & kEven) + (word >> 8 & kEven);
    }
    for (int lane = 0; lane < 4; ++lane) sum += static_cast<int64_t>(lanes >> 16 * lane & 0xFFFF);
    sum -= 128 * (i - first);
  }
  for (; i < n; ++i) sum += codes[i];
  return static_cast<int32_t>(sum);
}

}  // namespace

void lowbit_product(const LowbitMatrix& w, const LowbitActivations& x, int64_t first_block, int64_t last_block,
                    const LowbitResult& result, Isa isa) noexcept {
  Product(w, x, result, isa).run(first_block, last_block);
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
    for (int64_t g = 0; g < w.groups(); ++g)
      sums[i * w.groups() + g] = sum_codes(codes + i * stride + g * group, std::min(w.k, (g + 1) * group) - g * group);
}

}  // namespace lowbit::kernels
