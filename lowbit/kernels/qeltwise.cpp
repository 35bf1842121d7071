#include "lowbit/kernels/qeltwise.h"

#include "lowbit/base/error.h"
#include "lowbit/kernels/qpool.h"
#include "lowbit/kernels/ref/ref.h"
#include "lowbit/kernels/ref/scalar.h"

namespace lowbit::kernels {

// The rows stand at the end of the files of each instruction set; those with VNNI or dot products have no other ones.
#if defined(__x86_64__)
namespace avx2 {
extern const QEltwiseKernels qeltwise_kernels;
extern const QPoolKernels qpool_kernels;
}  // namespace avx2
namespace avx512 {
extern const QEltwiseKernels qeltwise_kernels;
extern const QPoolKernels qpool_kernels;
}  // namespace avx512
#elif defined(__aarch64__)
namespace neon {
extern const QEltwiseKernels qeltwise_kernels;
extern const QPoolKernels qpool_kernels;
}  // namespace neon
#endif

namespace {

/// The row of the highest instruction set up to `isa`.
template <typename Row>
const Row& best_row(std::span<const Row> rows, Isa isa) {
  const Row* best = nullptr;
  for (const Row& row : rows)
    if (row.isa <= isa && (!best || row.isa > best->isa)) best = &row;
  LOWBIT_CHECK(best);
  return *best;
}

}  // namespace

std::span<const QEltwiseKernels> qeltwise_table() {
  static const QEltwiseKernels rows[] = {
#if defined(__x86_64__)
#if !defined(LOWBIT_SMALL_RUNTIME)
    avx512::qeltwise_kernels,
#endif
    avx2::qeltwise_kernels,
#elif defined(__aarch64__)
    neon::qeltwise_kernels,
#endif
    ref::qeltwise_kernels
  };
  return rows;
}
const QEltwiseKernels& qeltwise(Isa isa) { return best_row(qeltwise_table(), isa); }

std::span<const QPoolKernels> qpool_table() {
  static const QPoolKernels rows[] = {
#if defined(__x86_64__)
#if !defined(LOWBIT_SMALL_RUNTIME)
    avx512::qpool_kernels,
#endif
    avx2::qpool_kernels,
#elif defined(__aarch64__)
    neon::qpool_kernels,
#endif
    ref::qpool_kernels
  };
  return rows;
}
const QPoolKernels& qpool(Isa isa) { return best_row(qpool_table(), isa); }

void fill_requantize_table(Code in, Code out, QRequantizeFactors factors, int32_t low, int32_t high,
                           uint8_t* table256) {
  for (int byte = 0; byte < 256; ++byte) {
    const int32_t code = in == Code::u8 ? byte : static_cast<int8_t>(byte);
    store_code(table256, byte, out,
               to_code(static_cast<double>(code - factors.zero_in) * static_cast<double>(factors.m), factors.zero_out,
                       low, high));
  }
}

}  // namespace lowbit::kernels
