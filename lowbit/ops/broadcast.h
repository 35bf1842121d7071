// broadcast.h: NumPy broadcasting without index arithmetic per element. Neighbouring dimensions along which every
// operand either advances evenly or repeats are merged, so that the common cases (same shape, scalar, per channel,
// trailing dimensions) become a few long runs; along a run each operand has stride 1 or 0.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "lowbit/base/threads.h"
#include "lowbit/core/tensor.h"

namespace lowbit {

/// How N operands walk one output of `dims`.
struct BroadcastLoop {
  Dims dims;                  ///< merged, innermost last; never empty
  std::vector<Dims> strides;  ///< for each operand, in elements; 0 where it repeats
  int64_t run = 1;            ///< length of the innermost dimension
  int64_t runs = 0;           ///< number of runs; runs * run = output elements
};

/// Precondition: every operand broadcasts to `out` (its dims come from broadcast_dims).
BroadcastLoop make_broadcast_loop(const Dims& out, const std::vector<const Dims*>& operands);

/// Calls f(output offset, offsets of the operands) at the start of each run in [begin, end).
template <size_t N, typename F>
void for_each_run(const BroadcastLoop& loop, int64_t begin, int64_t end, F&& f) {
  const size_t outer = loop.dims.size() - 1;
  Dims index(outer);
  std::array<int64_t, N> offsets{};
  int64_t rest = begin;
  for (size_t axis = outer; axis-- > 0;) {
    index[axis] = rest % loop.dims[axis];
    rest /= loop.dims[axis];
    for (size_t k = 0; k < N; ++k) offsets[k] += index[axis] * loop.strides[k][axis];
  }
  for (int64_t r = begin; r < end; ++r) {
    f(r * loop.run, offsets);
    for (size_t axis = outer; axis-- > 0;) {
      for (size_t k = 0; k < N; ++k) offsets[k] += loop.strides[k][axis];
      if (++index[axis] < loop.dims[axis]) break;
      for (size_t k = 0; k < N; ++k) offsets[k] -= loop.dims[axis] * loop.strides[k][axis];
      index[axis] = 0;
    }
  }
}

/// Cuts the runs into tasks of some 2^15 elements: body(first run, last run, first element, last element), where the
/// element range is inside the one run when a single run is cut, else the whole run.
template <typename Body>
void parallel_runs(ThreadPool& threads, const BroadcastLoop& loop, Body body) {
  constexpr int64_t kBlock = int64_t{1} << 15;
  if (loop.runs == 1) {
    threads.parallel_blocks(loop.run, kBlock, [&](int64_t begin, int64_t end) { body(0, 1, begin, end); });
  } else {
    threads.parallel_blocks(loop.runs, std::max<int64_t>(1, kBlock / std::max<int64_t>(loop.run, 1)),
                            [&](int64_t begin, int64_t end) { body(begin, end, 0, loop.run); });
  }
}

/// out[i] = f(a[i], b[i]) with broadcasting. `out` has the broadcast dims.
template <typename T, typename R, typename F>
void broadcast_binary(ThreadPool& threads, const Tensor& a, const Tensor& b, const Dims& out_dims, R* out, F f) {
  const BroadcastLoop loop = make_broadcast_loop(out_dims, {&a.dims(), &b.dims()});
  const T *pa = a.data<T>(), *pb = b.data<T>();
  const bool a_runs = loop.strides[0].back() != 0, b_runs = loop.strides[1].back() != 0;
  parallel_runs(threads, loop, [&](int64_t first, int64_t last, int64_t begin, int64_t end) {
    for_each_run<2>(loop, first, last, [&](int64_t at, const std::array<int64_t, 2>& offsets) {
      const T *x = pa + offsets[0], *y = pb + offsets[1];
      R* z = out + at;
      if (a_runs && b_runs) {
        for (int64_t i = begin; i < end; ++i) z[i] = f(x[i], y[i]);
      } else if (a_runs) {
        const T same = *y;
        for (int64_t i = begin; i < end; ++i) z[i] = f(x[i], same);
      } else if (b_runs) {
        const T same = *x;
        for (int64_t i = begin; i < end; ++i) z[i] = f(same, y[i]);
      } else if (begin < end) {
        std::fill(z + begin, z + end, f(*x, *y));
      }
    });
  });
}

}  // namespace lowbit
