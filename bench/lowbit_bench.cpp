// lowbit_bench: what weights of few bits and the float kernels reach on this machine, one thread, beside its own
// limits. usage: lowbit_bench [--only matvec|gemm|binary|recurrent|float] [--isa NAME] Each line alternates with its
// limit or its rival, round by round, and gives the median of the rounds: memory bandwidth is read from a buffer of the
// same size, the int8 product is that of qlayer.h. Pin it: taskset -c 1.
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "lowbit/kernels/float_layer.h"
#include "lowbit/kernels/lowbit_binary_product.h"
#include "lowbit/kernels/lowbit_product.h"
#include "lowbit/kernels/peak.h"
#include "lowbit/kernels/qlayer.h"
#include "lowbit/kernels/recurrent.h"

namespace {

using namespace lowbit::kernels;
using Clock = std::chrono::steady_clock;

double seconds(const std::function<void()>& work) {
  const auto start = Clock::now();
  work();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Medians of the times of several works that take turns.
std::vector<double> alternate(const std::vector<std::function<void()>>& works, int rounds = 9) {
  std::vector<std::vector<double>> times(works.size());
  for (const auto& work : works) work();
  for (int round = 0; round < rounds; ++round)
    for (size_t i = 0; i < works.size(); ++i) times[i].push_back(seconds(works[i]));
  std::vector<double> medians;
  for (auto& list : times) {
    std::nth_element(list.begin(), list.begin() + rounds / 2, list.end());
    medians.push_back(list[static_cast<size_t>(rounds / 2)]);
  }
  return medians;
}

/// Memory in pages of 2 MiB where the system gives them.
class HugeBuffer {
 public:
  explicit HugeBuffer(size_t bytes) : bytes_((bytes + kPage) / kPage * kPage + kPage) {
    address_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address_ == MAP_FAILED) std::abort();
    begin_ = reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(address_) + kPage - 1) / kPage * kPage);
    madvise(begin_, bytes_ - kPage, MADV_HUGEPAGE);
  }
  ~HugeBuffer() { munmap(address_, bytes_); }
  HugeBuffer(const HugeBuffer&) = delete;
  HugeBuffer& operator=(const HugeBuffer&) = delete;
  uint8_t* begin() const { return begin_; }

 private:
  static constexpr size_t kPage = 2 << 20;
  void* address_;
  uint8_t* begin_;
  size_t bytes_;
};

volatile uint64_t sink;

/// Reads everything, eight sums side by side.
void read_all(const uint8_t* p, size_t bytes) {
  uint64_t sums[16] = {};
  for (size_t i = 0; i + 128 <= bytes; i += 128) {
    uint64_t words[16];
    std::memcpy(words, p + i, sizeof words);
    for (int k = 0; k < 16; ++k) sums[k] += words[k];
  }
  for (uint64_t s : sums) sink = sink + s;
}

struct CodingRow {
  LowbitCoding coding;
  const char* name;
};
constexpr CodingRow kCodings[] = {
    {LowbitCoding::u4, "4 bits"}, {LowbitCoding::u2, "2 bits, ternary"},   {LowbitCoding::u3, "3 bits"},
    {LowbitCoding::u1, "1 bit"},  {LowbitCoding::table, "16-level table"}, {LowbitCoding::u8, "8 bits"},
};

/// Weights and activations of a shape; codes are arbitrary bytes, which take the time of any others.
struct Product {
  LowbitMatrix w;
  std::unique_ptr<HugeBuffer> codes, scales;
  size_t stored_bytes = 0;
  std::vector<int8_t> x, table;
  std::vector<int32_t> sums;
  std::vector<float> x_scales, y;
  LowbitActivations activations;
  LowbitResult result;

  Product(LowbitCoding coding, int64_t m, int64_t n, int64_t k, int64_t group) {
    w.coding = coding;
    w.n = n;
    w.k = k;
    w.group = group;
    w.zero = 1 << (lowbit_bits(coding) - 1);
    const size_t code_bytes = lowbit_code_bytes(coding, n, k);
    const size_t scale_bytes = static_cast<size_t>(w.blocks() * w.groups() * kLowbitRows) * 2;
    codes = std::make_unique<HugeBuffer>(code_bytes);
    scales = std::make_unique<HugeBuffer>(scale_bytes);
    std::memset(codes->begin(), 0x5a, code_bytes);
    std::memset(scales->begin(), 0x2c, scale_bytes);
    stored_bytes = code_bytes + scale_bytes;
    w.codes = codes->begin();
    w.half_scales = reinterpret_cast<const uint16_t*>(scales->begin());
    for (int i = 0; i < 16; ++i) table.push_back(static_cast<int8_t>(16 * i - 120));
    w.table = table.data();
    for (int64_t i = 0; i < m * w.padded_k(); ++i) x.push_back(static_cast<int8_t>(i * 37 % 255 - 127));
    sums.resize(static_cast<size_t>(m * w.groups()));
    lowbit_sum_rows(w, x.data(), w.padded_k(), m, sums.data());
    x_scales.assign(static_cast<size_t>(m), 0.01f);
    y.resize(static_cast<size_t>(m * (n + 16)));
    activations = {m, x.data(), w.padded_k(), sums.data(), x_scales.data(), nullptr};
    result.values = y.data();
    result.stride = n + 16;
  }
  void run(Isa isa) { lowbit_product(w, activations, 0, w.blocks(), result, isa); }
};

void bench_matvec(Isa isa) {
  fmt::print("matrix-vector products, 64 MiB of codes, k 4096, float16 scales\n");
  fmt::print("  {:24} {:>8} {:>10} {:>12} {:>16}\n", "weights", "group", "GB/s", "read GB/s", "of bandwidth");
  for (const CodingRow& row : kCodings)
    for (int64_t group : {32, 128, 4096}) {
      constexpr int64_t kK = 4096;
      Product p(row.coding, 1, (int64_t{64} << 23) / lowbit_bits(row.coding) / kK, kK, group);
      const HugeBuffer plain(p.stored_bytes);
      std::memset(plain.begin(), 1, p.stored_bytes);
      const auto times = alternate({[&] { p.run(isa); }, [&] { read_all(plain.begin(), p.stored_bytes); }});
      const double bytes = static_cast<double>(p.stored_bytes) * 1e-9;
      fmt::print("  {:24} {:>8} {:>10.1f} {:>12.1f} {:>14.0f} %\n", row.name,
                 group == kK ? "row" : fmt::format("{}", group), bytes / times[0], bytes / times[1],
                 100 * times[1] / times[0]);
    }
}

/// The int8 product of qlayer.h with uint8 activations and codes out.
struct IntegerProduct {
  QLayerShape shape;
  const QLayerKernel* kernel;
  std::vector<int8_t> weights;
  std::vector<uint8_t> packed, x, y, scratch;
  QLayerCall call;

  IntegerProduct(int64_t m, int64_t n, int64_t k, Isa isa)
      : shape(qgemm_shape(m, n, k)), kernel(&select_qlayer(shape, Code::u8, isa)) {
    weights.assign(static_cast<size_t>(n * k), 77);
    const std::vector<float> factors(static_cast<size_t>(n), 1e-4f);
    QLayerWeights w{weights.data(), 0, 0, 0, 0, nullptr, factors.data(), nullptr, 120, Code::u8};
    set_onnx_strides(shape, w);
    uint8_t* to = align(packed, kernel->packed_bytes(shape, Code::u8));
    kernel->pack(shape, w, Code::u8, to);
    x.assign(static_cast<size_t>(m * k) + kReadSlack, 99);
    y.resize(static_cast<size_t>(m * n));
    call = {&shape,
            to,
            x.data(),
            k,
            y.data(),
            n,
            {Code::u8, 10, 0, 255, nullptr},
            0,
            m,
            0,
            n,
            align(scratch, kernel->scratch_bytes(shape))};
  }
  static uint8_t* align(std::vector<uint8_t>& storage, size_t size) {
    storage.resize(size + kAlignment);
    return storage.data() + (kAlignment - reinterpret_cast<uintptr_t>(storage.data()) % kAlignment) % kAlignment;
  }
  void run() const { kernel->run(call); }
};

void bench_gemm(Isa isa) {
  const double peak = measure_peak(isa);
  fmt::print("products, n 2048, k 2048, one scale per row; int8 is qlayer.h; its peak {:.0f} GOP/s\n", peak * 1e-9);
  fmt::print("  {:24} {:>6} {:>10} {:>12} {:>16} {:>10}\n", "weights", "m", "GOP/s", "int8 GOP/s", "of the int8 peak",
             "x int8");
  constexpr int64_t kSize = 2048;
  for (const CodingRow& row : kCodings)
    for (int64_t m : {1, 8, 128, 512, 1024}) {
      Product p(row.coding, m, kSize, kSize, kSize);
      const IntegerProduct rival(m, kSize, kSize, isa);
      const auto times = alternate({[&] { p.run(isa); }, [&] { rival.run(); }}, m > 200 ? 5 : 9);
      const double ops = 2.0 * static_cast<double>(m * kSize * kSize);
      fmt::print("  {:24} {:>6} {:>10.1f} {:>12.1f} {:>14.0f} % {:>10.2f}\n", row.name, m, ops / times[0] * 1e-9,
                 ops / times[1] * 1e-9, peak > 0 ? 100 * ops / times[0] / peak : 0, times[1] / times[0]);
    }
}

void bench_binary(Isa isa) {
  fmt::print("products of signs (xor and bit counts)\n  {:>6} {:>10} {:>12} {:>10}\n", "m=n=k", "GOP/s", "int8 GOP/s",
             "x int8");
  for (int64_t size : {256, 512, 1024, 2048}) {
    const auto words = static_cast<size_t>(size * size / 64);
    const std::vector<uint64_t> a(words, 0x0123456789abcdef), packed(binary_packed_words(size, size), 0x5555);
    std::vector<int32_t> y(static_cast<size_t>(size * (size + 16)));
    const BinaryProduct product{size, size, size, a.data(), size / 64, packed.data(), y.data(), size + 16};
    const IntegerProduct rival(size, size, size, isa);
    const auto times = alternate({[&] { binary_product(product, 0, size / 16, isa); }, [&] { rival.run(); }}, 5);
    const double ops = 2.0 * static_cast<double>(size * size * size);
    fmt::print("  {:>6} {:>10.0f} {:>12.0f} {:>10.2f}\n", size, ops / times[0] * 1e-9, ops / times[1] * 1e-9,
               times[1] / times[0]);
  }
}

void bench_recurrent(Isa isa) {
  constexpr int64_t kHidden = 512, kInputs = 256, kSteps = 64;
  fmt::print("sequences of {} steps, {} inputs, {} units, dynamic activations; peers: bench/peers/recurrent.py\n",
             kSteps, kInputs, kHidden);
  fmt::print("  {:6} {:>10} {:>10} {:>10}\n", "layer", "W", "R", "ms");
  const CodingRow codings[] = {
      {LowbitCoding::u8, "8 bits"}, {LowbitCoding::u7, "7 bits"}, {LowbitCoding::u4, "4 bits"}};
  for (auto kind : {RecurrentLayer::Kind::lstm, RecurrentLayer::Kind::gru})
    for (const CodingRow& w : codings)
      for (const CodingRow& r : codings) {
        RecurrentLayer layer;
        layer.kind = kind;
        layer.hidden = kHidden;
        layer.linear_before_reset = true;
        const Product input(w.coding, 1, layer.gates() * kHidden, kInputs, kInputs),
            state(r.coding, 1, layer.gates() * kHidden, kHidden, kHidden);
        layer.input = input.w;
        layer.recurrent = state.w;
        const std::vector<float> x(static_cast<size_t>(kSteps * kInputs), 0.3f);
        std::vector<float> y(static_cast<size_t>(kSteps * kHidden));
        RecurrentCall call;
        call.steps = kSteps;
        call.batch = 1;
        call.x = x.data();
        call.x_step = kInputs;
        call.y = y.data();
        call.y_step = kHidden;
        const HugeBuffer scratch(recurrent_scratch_bytes(layer, kSteps, 1));
        call.scratch = scratch.begin();
        const auto times = alternate({[&] { run_recurrent(layer, call, TaskPool{}, isa); }}, 41);
        fmt::print("  {:6} {:>10} {:>10} {:>10.3f}\n", kind == RecurrentLayer::Kind::lstm ? "LSTM" : "GRU", w.name,
                   r.name, times[0] * 1e3);
      }
}

QLayerShape conv(int64_t size, int64_t in, int64_t out, int64_t kernel, int64_t stride) {
  QLayerShape s;
  s.height = s.width = size;
  s.in_channels = in;
  s.out_channels = out;
  s.kernel_h = s.kernel_w = kernel;
  s.stride_h = s.stride_w = stride;
  s.pad_top = s.pad_left = kernel / 2;
  s.out_height = s.out_width = (size - 1) / stride + 1;
  return s;
}

void bench_float(Isa isa) {
  fmt::print("float32 layers of ResNet-50 and others, whole layer\n  {:28} {:>8} {:>10} {:>10}\n", "layer", "storage",
             "ms", "GFLOP/s");
  struct Row {
    const char* name;
    QLayerShape shape;
  };
  const Row rows[] = {
      {"product 512^3", qgemm_shape(512, 512, 512)},        {"product 128x3072x768", qgemm_shape(128, 3072, 768)},
      {"conv 7x7 224 3->64 s2", conv(224, 3, 64, 7, 2)},    {"conv 1x1 56 64->256", conv(56, 64, 256, 1, 1)},
      {"conv 3x3 56 64->64", conv(56, 64, 64, 3, 1)},       {"conv 3x3 28 128->128", conv(28, 128, 128, 3, 1)},
      {"conv 1x1 14 1024->256", conv(14, 1024, 256, 1, 1)}, {"conv 3x3 14 256->256", conv(14, 256, 256, 3, 1)},
      {"conv 3x3 7 512->512", conv(7, 512, 512, 3, 1)},     {"product 1x4096x4096", qgemm_shape(1, 4096, 4096)}};
  const char* const names[] = {"float32", "float16", "bfloat16"};
  for (const Row& row : rows)
    for (FloatStorage storage : {FloatStorage::f32, FloatStorage::f16, FloatStorage::bf16}) {
      const QLayerShape& s = row.shape;
      const int64_t taps = s.kernel_h * s.kernel_w;
      const std::vector<float> weights(static_cast<size_t>(s.out_channels * s.in_channels * taps), 0.01f);
      const std::vector<float> x(static_cast<size_t>(s.height * s.width * s.in_channels), 0.5f);
      std::vector<float> y(static_cast<size_t>(s.pixels() * s.out_channels));
      const HugeBuffer packed(float_layer_packed_bytes(s, storage)), scratch(float_layer_scratch_bytes(s));
      float_layer_pack(s, {weights.data(), s.in_channels * taps, taps, s.kernel_w, 1}, storage, packed.begin());
      FloatLayerCall call = {};
      call.shape = &s;
      call.storage = storage;
      call.packed = packed.begin();
      call.input = x.data();
      call.input_stride = s.in_channels;
      call.output = y.data();
      call.output_stride = s.out_channels;
      call.pixel_end = s.pixels();
      call.channel_end = s.out_channels;
      call.low = 0;
      call.scratch = scratch.begin();
      const auto times = alternate({[&] { run_float_layer(call, isa); }});
      const double ops = 2.0 * static_cast<double>(s.pixels() * s.out_channels * s.in_channels * taps);
      fmt::print("  {:28} {:>8} {:>10.3f} {:>10.1f}\n", row.name, names[static_cast<size_t>(storage)], times[0] * 1e3,
                 ops / times[0] * 1e-9);
    }
}

struct Section {
  const char* name;
  void (*run)(Isa isa);
};
constexpr Section kSections[] = {{"matvec", bench_matvec},
                                 {"gemm", bench_gemm},
                                 {"binary", bench_binary},
                                 {"recurrent", bench_recurrent},
                                 {"float", bench_float}};

}  // namespace

int main(int argc, char** argv) {
  Isa isa = active_isa();
  std::string only;
  for (int i = 1; i < argc; ++i) {
    if (!std::strcmp(argv[i], "--isa") && i + 1 < argc)
      isa = parse_isa(argv[++i]);
    else if (!std::strcmp(argv[i], "--only") && i + 1 < argc)
      only = argv[++i];
    else
      return fmt::print(stderr, "usage: lowbit_bench [--only matvec|gemm|binary|recurrent|float] [--isa NAME]\n"), 2;
  }
  fmt::print("instruction set: {}\n", isa_row(isa).name);
  for (const Section& section : kSections)
    if (only.empty() || only == section.name) section.run(isa);
  return 0;
}
