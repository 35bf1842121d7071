// observe_bench.cpp: time per value of tensor statistics, and of the range rules.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "lowbit/base/random.h"
#include "lowbit/observe/range.h"
#include "lowbit/observe/statistics.h"

namespace lowbit {
namespace {

enum Kind : int64_t { kNormal, kRelu, kImage, kSoftmax };

Tensor tensor_of(int64_t kind, int64_t n) {
  Random random(1, static_cast<uint64_t>(kind));
  Tensor x = Tensor::uninitialized(DType::float32, {n});
  for (float& v : x.mutable_values<float>()) {
    const double normal = random.normal();
    if (kind == kNormal) v = static_cast<float>(normal);
    if (kind == kRelu) v = static_cast<float>(std::max(0.0, normal));
    if (kind == kImage) v = static_cast<float>(random.below(256));
    if (kind == kSoftmax) v = static_cast<float>(std::exp(-40 * random.uniform()));
  }
  return x;
}

void BM_Statistics(benchmark::State& state) {
  const Tensor x = tensor_of(state.range(0), state.range(1));
  TensorStatistics statistics;
  for (auto _ : state) statistics.add(x, /*batched=*/false);
  state.counters["per_value"] = benchmark::Counter(static_cast<double>(state.iterations() * x.count()),
                                                   benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_Statistics)->ArgNames({"kind", "n"})->ArgsProduct({{kNormal, kRelu, kImage, kSoftmax}, {1000, 1 << 20}});

void BM_Range(benchmark::State& state, const char* rule, const char* format) {
  TensorStatistics statistics;
  statistics.add(tensor_of(kNormal, 1 << 20), /*batched=*/false);
  const RangeRule parsed = parse_range_rule(rule);
  const NumberFormat target = parse_number_format(format);
  for (auto _ : state) benchmark::DoNotOptimize(choose_range(statistics, parsed, target));
}
BENCHMARK_CAPTURE(BM_Range, percentile, "percentile", "uint8")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_Range, mse_uint8, "mse", "uint8")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_Range, mse_int8, "mse", "int8")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_Range, mse_int16, "mse", "int16")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_Range, adaptive_uint8, "adaptive", "uint8")->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_Range, entropy_uint8, "entropy", "uint8")->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace lowbit
