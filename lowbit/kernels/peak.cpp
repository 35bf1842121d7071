#include "lowbit/kernels/peak.h"

#include <algorithm>
#include <chrono>

namespace lowbit::kernels {

#if defined(__x86_64__)
namespace avx2 {
extern const PeakLoop peak_loop;
}
namespace avx512 {
extern const PeakLoop peak_loop;
}
namespace avx512vnni {
extern const PeakLoop peak_loop;
}
#endif

std::span<const PeakLoop> peak_table() {
#if defined(__x86_64__)
  static const PeakLoop rows[] = {avx2::peak_loop, avx512::peak_loop, avx512vnni::peak_loop};
  return rows;
#else
  return {};
#endif
}

double measure_peak(Isa isa) {
  for (const PeakLoop& row : peak_table()) {
    if (row.isa != isa) continue;
    using Clock = std::chrono::steady_clock;
    double best = 0;
    constexpr int64_t kRounds = 100000;  // about 1 ms
    volatile uint32_t sink = 0;          // the results are used
    for (int i = 0; i < 20; ++i) {
      const auto start = Clock::now();
      sink = sink + static_cast<uint32_t>(row.run(kRounds));
      const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
      best = std::max(best, static_cast<double>(kRounds * row.ops_per_round) / seconds);
    }
    return best;
  }
  return 0;
}

}  // namespace lowbit::kernels
