// container_bench.cpp: decoding and encoding of weights (bytes_per_second counts decoded codes, a byte each), and
// loading of a container as large as ResNet-50 with 8-bit weights.
#include <benchmark/benchmark.h>

#include <cmath>
#include <filesystem>
#include <vector>

#include "lowbit/base/file.h"
#include "lowbit/base/hash.h"
#include "lowbit/base/random.h"
#include "lowbit/coding/rans.h"
#include "lowbit/formats/lbq/lbq.h"
#include "lowbit/numbers/packing.h"

namespace lowbit {
namespace {

constexpr size_t kCodes = size_t{1} << 24;

/// Codes of normal weights whose range is `deviations` standard deviations on each side.
std::vector<uint8_t> normal_codes(int bits, double deviations, size_t count) {
  Random random(1, static_cast<uint64_t>(bits));
  std::vector<uint8_t> codes(count);
  const double most = std::exp2(bits - 1) - 1;
  for (uint8_t& code : codes)
    code = static_cast<uint8_t>(std::lround(std::clamp(random.normal() / deviations, -1.0, 1.0) * most) + 128);
  return codes;
}

void report(benchmark::State& state, size_t codes) {
  state.SetBytesProcessed(static_cast<int64_t>(static_cast<size_t>(state.iterations()) * codes));
}

void BM_EntropyDecode(benchmark::State& state) {
  const std::vector<uint8_t> codes = normal_codes(static_cast<int>(state.range(0)), 4, kCodes),
                             stream = rans_encode(codes);
  std::vector<uint8_t> out(codes.size());
  for (auto _ : state) rans_decode(stream, out);
  report(state, kCodes);
  state.counters["bits_each"] = 8.0 * static_cast<double>(stream.size()) / static_cast<double>(kCodes);
  state.counters["over_entropy"] = 8.0 * static_cast<double>(stream.size()) / empirical_entropy_bits(codes);
}
BENCHMARK(BM_EntropyDecode)->ArgName("bits")->DenseRange(2, 8, 2)->Unit(benchmark::kMillisecond);

void BM_EntropyEncode(benchmark::State& state) {
  const std::vector<uint8_t> codes = normal_codes(static_cast<int>(state.range(0)), 4, kCodes / 4);
  for (auto _ : state) benchmark::DoNotOptimize(rans_encode(codes));
  report(state, kCodes / 4);
}
BENCHMARK(BM_EntropyEncode)->ArgName("bits")->Arg(4)->Arg(8)->Unit(benchmark::kMillisecond);

void BM_Unpack(benchmark::State& state) {
  const auto bits = static_cast<int>(state.range(0));
  std::vector<uint8_t> packed(packed_bytes(kCodes, bits), 0x5a);
  std::vector<int8_t> out(kCodes);
  for (auto _ : state) unpack_codes(packed, kCodes, bits, true, out.data());
  report(state, kCodes);
}
BENCHMARK(BM_Unpack)->ArgName("bits")->DenseRange(1, 8)->Unit(benchmark::kMillisecond);

void BM_UnpackTernary(benchmark::State& state) {
  std::vector<uint8_t> packed(packed_ternary_bytes(kCodes), 140);
  std::vector<int8_t> out(kCodes);
  for (auto _ : state) unpack_ternary(packed, kCodes, out.data());
  report(state, kCodes);
}
BENCHMARK(BM_UnpackTernary)->Unit(benchmark::kMillisecond);

/// The yardstick: what memory gives.
void BM_Copy(benchmark::State& state) {
  std::vector<uint8_t> from(kCodes, 1), to(kCodes);
  for (auto _ : state) {
    std::copy(from.begin(), from.end(), to.begin());
    benchmark::ClobberMemory();
  }
  report(state, kCodes);
}
BENCHMARK(BM_Copy)->Unit(benchmark::kMillisecond);

void BM_Checksum(benchmark::State& state) {
  std::vector<std::byte> bytes(kCodes, std::byte{7});
  for (auto _ : state) benchmark::DoNotOptimize(xxhash64(bytes));
  report(state, kCodes);
}
BENCHMARK(BM_Checksum)->Unit(benchmark::kMillisecond);

/// 54 layers with 25.5 million int8 weights in all, as ResNet-50.
Model large_model() {
  constexpr int64_t kLayers = 54, kOutputs = 512, kInputs = 922;
  Model model;
  Graph& graph = model.graph;
  ValueId x = graph.add_value("x", DType::float32, Shape{Dim("N"), kInputs});
  graph.inputs = {x};
  for (int64_t layer = 0; layer < kLayers; ++layer) {
    const std::vector<uint8_t> codes = normal_codes(8, 4, kOutputs * kInputs);
    std::vector<int8_t> values(codes.size());
    for (size_t i = 0; i < codes.size(); ++i) values[i] = static_cast<int8_t>(codes[i] - 128);
    const ValueId weight =
        graph.add_constant("w" + std::to_string(layer), Tensor::from(Dims{kOutputs, kInputs}, values));
    Quantization q;
    q.format = parse_number_format("int8");
    q.granularity = {Granularity::Kind::channel, 0, 1, 0};
    Random random(static_cast<uint64_t>(layer));
    for (int64_t c = 0; c < kOutputs; ++c) {
      q.params.push_back(static_cast<float>(0.01 + random.uniform()));
      q.params.push_back(0);
    }
    graph.value(weight).quantization = q;
    graph.value(weight).dtype = DType::float32;
    Node node;
    node.op = "Gemm";
    node.name = "n" + std::to_string(layer);
    node.inputs = {x, weight};
    node.outputs = {graph.add_value("y" + std::to_string(layer), DType::float32)};
    graph.outputs.push_back(node.outputs[0]);
    graph.nodes.push_back(node);
  }
  return model;
}

void BM_Load(benchmark::State& state) {
  const std::string path = (std::filesystem::temp_directory_path() / "lowbit_container_bench.lbq").string();
  {
    AtomicFile file(path);
    lbq::write_model(large_model(), file, {/*entropy=*/state.range(0) != 0, {}});
    file.commit();
  }
  for (auto _ : state) {
    const auto file = MappedFile::open(path);
    benchmark::DoNotOptimize(lbq::Container::open(file->bytes(), file).read_model());
  }
  state.counters["file_bytes"] = static_cast<double>(std::filesystem::file_size(path));
  std::filesystem::remove(path);
}
BENCHMARK(BM_Load)->ArgName("entropy")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace lowbit
