// numbers_bench.cpp: how fast number systems encode, decode and fit, beside the memory bandwidth of one core.
//   numbers_bench [SYSTEM...]         tables on stdout; with names, the speed of those systems only
//   numbers_bench fit                 only the table of fits
//   numbers_bench decode IN.npy DIR   decode(encode(x)) of every system at every width, fitted by least squared error
//                                     to the rows of IN, as DIR/SYSTEM.npy: for comparison with other implementations
// Seconds are those of the processor, so that other work on the machine does not count.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <vector>

#include "lowbit/base/random.h"
#include "lowbit/base/threads.h"
#include "lowbit/core/quantization.h"
#include "lowbit/formats/npy.h"
#include "lowbit/numbers/granularity.h"
#include "lowbit/numbers/widths.h"

namespace lowbit {
namespace {

constexpr int64_t kElements = int64_t{1} << 24;  // 64 MiB: beyond every cache
constexpr int64_t kInCache = 8192;               // values and codes fit the first two caches
constexpr int kRepeats = 5;

/// Processor time of all threads.
double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

template <class Work>
double best_seconds(const Work& work) {
  double best = 1e9;
  for (int i = 0; i < kRepeats; ++i) {
    const double begin = processor_seconds();
    work();
    best = std::min(best, processor_seconds() - begin);
  }
  return best;
}

std::vector<float> bell(int64_t n) {
  Random random(1);
  std::vector<float> x(static_cast<size_t>(n));
  for (float& value : x) value = static_cast<float>(random.normal() * (random.below(16) == 0 ? 3 : 1));
  return x;
}

struct Buffers {
  std::vector<float> x = bell(kElements), y = std::vector<float>(static_cast<size_t>(kElements));
  std::vector<int32_t> codes = std::vector<int32_t>(static_cast<size_t>(kElements));
};

/// Bytes read and written in a second by a copy: the limit of anything that reads floats and writes as many bytes.
double bandwidth(Buffers& buffers) {
  const double seconds =
      best_seconds([&] { std::memcpy(buffers.y.data(), buffers.x.data(), sizeof(float) * kElements); });
  return 2.0 * sizeof(float) * kElements / seconds;
}

void speed_row(const NumberFormat& format, double limit, Buffers& b) {
  std::vector<float> params(static_cast<size_t>(format.system->param_count(format)));
  format.system->fit(format, {b.x.data(), 1 << 16}, {}, {}, params.data());
  const double bytes =
      static_cast<double>(sizeof(float)) * static_cast<double>(kElements + code_count(format, kElements));
  const double encoding = best_seconds([&] { encode(format, params.data(), b.x.data(), kElements, b.codes.data()); });
  const double cached = best_seconds([&] {
    for (int64_t i = 0; i < kElements / kInCache; ++i)
      encode(format, params.data(), b.x.data(), kInCache, b.codes.data());
  });
  const double decoding = best_seconds([&] { decode(format, params.data(), b.codes.data(), kElements, b.y.data()); });
  fmt::print("| {} | {:.2f} | {:.0f} % | {:.2f} | {:.2f} | {:.0f} % |\n", to_string(format), bytes / encoding / 1e9,
             100 * bytes / encoding / limit, bytes / cached / 1e9, bytes / decoding / 1e9,
             100 * bytes / decoding / limit);
}

const std::vector<std::string> kMeasured = {
    "int2",     "int4",     "int8",       "int16",     "uint8",     "int8-asym", "float16", "bfloat16",  "fp8-e4m3",
    "fp8-e5m2", "fp6-e3m2", "fp6-e2m3",   "fp4-e2m1",  "mxfp4",     "nvfp4",     "ternary", "binary",    "log4",
    "pot2-4",   "exp4",     "piecewise4", "codebook2", "codebook3", "codebook4", "nf4",     "codebook6", "codebook8",
    "log8-2",   "std-int4", "std-int8",   "vq-2x16",   "vq-2x256",  "vq-4x256"};

void speed_table(const std::vector<std::string>& systems) {
  Buffers buffers;
  const double limit = bandwidth(buffers);
  fmt::print(
      "One core; copying 64 MiB moves {:.2f} GB/s (read and written). GB/s of floats and 32-bit codes together.\n\n",
      limit / 1e9);
  fmt::print("| system | encode GB/s | of the copy | encode in cache | decode GB/s | of the copy |\n");
  fmt::print("|---|---:|---:|---:|---:|---:|\n");
  for (const std::string& name : systems) speed_row(parse_number_format(name), limit, buffers);
}

void fit_table() {
  constexpr int64_t kRows = 2500, kColumns = 4000;
  const std::vector<float> x = bell(kRows * kColumns);
  const std::vector<int64_t> dims = {kRows, kColumns};
  ThreadPool threads;
  fmt::print(
      "\nFit of 10 million weights by least squared error: processor seconds, of which {} threads take a share "
      "each.\n\n",
      threads.size());
  fmt::print("| system | granularity | seconds |\n|---|---|---:|\n");
  const std::pair<const char*, const char*> rows[] = {
      {"codebook4", "tensor"}, {"codebook8", "tensor"}, {"codebook4", "channel"}, {"int4", "tensor"},
      {"int4", "channel"},     {"int4", "group:32"},    {"nf4", "channel"},       {"fp4-e2m1", "group:32"},
      {"mxfp4", "group:32"},   {"ternary", "channel"},  {"exp4", "channel"},      {"vq-2x256", "tensor"}};
  for (const auto& [name, granularity] : rows) {
    const double begin = processor_seconds();
    fit_groups(parse_number_format(name), parse_granularity(granularity), dims, x.data(), {},
               {.rule = FitRule::mse, .threads = &threads});
    fmt::print("| {} | {} | {:.2f} |\n", name, granularity, processor_seconds() - begin);
  }
}

void decode_all(const std::string& input, const std::string& folder) {
  const Tensor x = to_float32(load_npy(input));
  for (int bits = 1; bits <= 16; ++bits)
    for (const NumberFormat& format : formats_of_width(bits)) {
      if (format.vector_size > 1 && format.option > 256) continue;
      Quantization quantization;
      quantization.format = format;
      quantization.granularity = parse_granularity(
          format.system->default_granularity.empty() ? "channel" : format.system->default_granularity);
      quantization.params =
          fit_groups(format, quantization.granularity, x.dims(), x.data<float>(), {}, {.rule = FitRule::mse});
      save_npy(fake_quantize(quantization, x), folder + "/" + to_string(format) + ".npy");
    }
}

}  // namespace
}  // namespace lowbit

int main(int argc, char** argv) {
  if (argc == 4 && std::string(argv[1]) == "decode") {
    lowbit::decode_all(argv[2], argv[3]);
    return 0;
  }
  const bool only_fits = argc == 2 && std::string(argv[1]) == "fit";
  if (!only_fits) lowbit::speed_table(argc > 1 ? std::vector<std::string>(argv + 1, argv + argc) : lowbit::kMeasured);
  if (only_fits || argc == 1) lowbit::fit_table();
  return 0;
}
