#include "lowbit/ops/channels_last.h"

#include <algorithm>

#include "lowbit/ops/dispatch.h"

namespace lowbit {
namespace {

constexpr int64_t kTile = 16;  // rows and columns of a tile, which stays in the first cache

/// y[images, columns, rows] = x[images, rows, columns] with rows and columns exchanged.
template <typename T>
void transpose(const T* x, T* y, int64_t images, int64_t rows, int64_t columns, ThreadPool& threads) {
  constexpr int64_t kBand = 4 * kTile;  // columns of one task
  const int64_t bands = (columns + kBand - 1) / kBand;
  threads.parallel_for(images * bands, [=](int64_t task) {
    const T* from = x + task / bands * rows * columns;
    T* to = y + task / bands * rows * columns;
    const int64_t first = task % bands * kBand, last = std::min(columns, first + kBand);
    for (int64_t r0 = 0; r0 < rows; r0 += kTile)
      for (int64_t c0 = first; c0 < last; c0 += kTile)
        for (int64_t c = c0; c < std::min(last, c0 + kTile); ++c)
          for (int64_t r = r0; r < std::min(rows, r0 + kTile); ++r) to[c * rows + r] = from[r * columns + c];
  });
}

/// `out` holds the elements of x [images, rows, columns] with rows and columns exchanged.
Tensor exchanged(const Tensor& x, Dims out, int64_t images, int64_t rows, int64_t columns, ThreadPool& threads) {
  if (rows == 1 || columns == 1) return x.reshaped(std::move(out));
  Tensor y = Tensor::uninitialized(x.dtype(), std::move(out));
  dispatch_width(Node{}, x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    transpose(raw_elements<T>(x), raw_elements<T>(y), images, rows, columns, threads);
  });
  return y;
}

}  // namespace

Tensor to_channels_last(const Tensor& x, ThreadPool& threads) {
  Dims d = x.dims();
  LOWBIT_CHECK(d.size() <= 4);
  d.insert(d.begin(), 4 - d.size(), 1);
  return exchanged(x, {d[0], d[2], d[3], d[1]}, d[0], d[1], d[2] * d[3], threads);
}

Tensor to_channels_first(const Tensor& x, ThreadPool& threads) {
  const Dims d = x.dims();
  LOWBIT_CHECK(d.size() == 4);
  return exchanged(x, {d[0], d[3], d[1], d[2]}, d[0], d[1] * d[2], d[3], threads);
}

}  // namespace lowbit
