// kernels_bench: time of the integer kernels over layers of real networks, one thread.
// usage: kernels_bench [--isa NAME] [--only TEXT] [--json] [--quick]
// One line per layer and state of the cache: nanoseconds (median of 21 runs and the lowest), operations per second (two
// per multiplication), share of the measured multiply-add peak of the instruction set. Pin it: taskset -c 1.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include "lowbit/kernels/peak.h"
#include "lowbit/kernels/qlayer.h"

namespace {

using namespace lowbit::kernels;

struct Layer {
  std::string network, name;
  QLayerShape shape;
  int64_t count;  ///< how often the network has it
};

QLayerShape conv(int64_t size, int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t groups = 1) {
  QLayerShape s;
  s.height = s.width = size;
  s.in_channels = in, s.out_channels = out, s.groups = groups;
  s.kernel_h = s.kernel_w = kernel, s.stride_h = s.stride_w = stride;
  s.out_height = s.out_width = (size + stride - 1) / stride;
  const int64_t pads = std::max<int64_t>(0, (s.out_height - 1) * stride + kernel - size);
  s.pad_top = s.pad_left = pads / 2;
  return s;
}

void mobilenet_v1(std::vector<Layer>& layers) {
  layers.push_back({"mobilenet-v1-0.25", "first", conv(96, 3, 8, 3, 2), 1});
  int64_t size = 48, channels = 8;
  const int64_t out[] = {16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256};
  const int64_t stride[] = {1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1};
  for (int i = 0; i < 13; ++i) {
    layers.push_back(
        {"mobilenet-v1-0.25", fmt::format("dw{}", i), conv(size, channels, channels, 3, stride[i], channels), 1});
    size = (size + stride[i] - 1) / stride[i];
    layers.push_back({"mobilenet-v1-0.25", fmt::format("pw{}", i), conv(size, channels, out[i], 1, 1), 1});
    channels = out[i];
  }
}

void mobilenet_v2(std::vector<Layer>& layers) {
  layers.push_back({"mobilenet-v2", "first", conv(224, 3, 32, 3, 2), 1});
  struct Row {
    int64_t expand, out, repeat, stride;
  };
  const Row rows[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                      {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
  int64_t size = 112, channels = 32;
  for (const Row& row : rows)
    for (int64_t i = 0; i < row.repeat; ++i) {
      const int64_t wide = channels * row.expand, stride = i == 0 ? row.stride : 1;
      if (row.expand > 1) layers.push_back({"mobilenet-v2", "expand", conv(size, channels, wide, 1, 1), 1});
      layers.push_back({"mobilenet-v2", "dw", conv(size, wide, wide, 3, stride, wide), 1});
      size = (size + stride - 1) / stride;
      layers.push_back({"mobilenet-v2", "project", conv(size, wide, row.out, 1, 1), 1});
      channels = row.out;
    }
  layers.push_back({"mobilenet-v2", "last", conv(7, 320, 1280, 1, 1), 1});
}

void resnet50(std::vector<Layer>& layers) {
  layers.push_back({"resnet-50", "first", conv(224, 3, 64, 7, 2), 1});
  struct Stage {
    int64_t size, wide, blocks, in;
  };
  const Stage stages[] = {{56, 64, 3, 64}, {28, 128, 4, 256}, {14, 256, 6, 512}, {7, 512, 3, 1024}};
  for (const Stage& s : stages) {
    const int64_t stride = s.size == 56 ? 1 : 2, before = s.size * stride;
    layers.push_back({"resnet-50", "reduce0", conv(before, s.in, s.wide, 1, 1), 1});
    layers.push_back({"resnet-50", "3x3s", conv(before, s.wide, s.wide, 3, stride), 1});
    layers.push_back({"resnet-50", "shortcut", conv(before, s.in, 4 * s.wide, 1, stride), 1});
    layers.push_back({"resnet-50", "expand", conv(s.size, s.wide, 4 * s.wide, 1, 1), s.blocks});
    layers.push_back({"resnet-50", "reduce", conv(s.size, 4 * s.wide, s.wide, 1, 1), s.blocks - 1});
    layers.push_back({"resnet-50", "3x3", conv(s.size, s.wide, s.wide, 3, 1), s.blocks - 1});
  }
  layers.push_back({"resnet-50", "fc", qgemm_shape(1, 1000, 2048), 1});
}

std::vector<Layer> all_layers() {
  std::vector<Layer> layers;
  layers.push_back({"gemm", "1024^3", qgemm_shape(1024, 1024, 1024), 1});
  const int64_t size[] = {32, 16, 8};
  layers.push_back({"resnet-8", "first", conv(32, 3, 16, 3, 1), 1});
  layers.push_back({"resnet-8", "stage0", conv(32, 16, 16, 3, 1), 2});
  for (int i = 1; i < 3; ++i) {
    const int64_t wide = 16 << i;
    layers.push_back({"resnet-8", "down", conv(size[i - 1], wide / 2, wide, 3, 2), 1});
    layers.push_back({"resnet-8", "conv", conv(size[i], wide, wide, 3, 1), 1});
    layers.push_back({"resnet-8", "shortcut", conv(size[i - 1], wide / 2, wide, 1, 2), 1});
  }
  QLayerShape first = conv(1, 1, 64, 1, 1);
  first.height = 49, first.width = 10, first.kernel_h = 10, first.kernel_w = 4, first.stride_h = first.stride_w = 2;
  first.out_height = 25, first.out_width = 5, first.pad_top = 4, first.pad_left = 1;
  layers.push_back({"ds-cnn", "first", first, 1});
  QLayerShape dw = conv(25, 64, 64, 3, 1, 64), pw = conv(25, 64, 64, 1, 1);
  dw.width = dw.out_width = pw.width = pw.out_width = 5;
  layers.push_back({"ds-cnn", "dw", dw, 4});
  layers.push_back({"ds-cnn", "pw", pw, 4});
  mobilenet_v1(layers);
  mobilenet_v2(layers);
  resnet50(layers);
  layers.push_back({"autoencoder", "640x128", qgemm_shape(1, 128, 640), 1});
  layers.push_back({"autoencoder", "128x128", qgemm_shape(1, 128, 128), 7});
  layers.push_back({"autoencoder", "128x640", qgemm_shape(1, 640, 128), 1});
  layers.push_back({"bert", "qkvo", qgemm_shape(128, 768, 768), 48});
  layers.push_back({"bert", "up", qgemm_shape(128, 3072, 768), 12});
  layers.push_back({"bert", "down", qgemm_shape(128, 768, 3072), 12});
  return layers;
}

/// A layer ready to run, everything random.
struct Prepared {
  QLayerShape shape;
  const QLayerKernel* kernel;
  std::vector<uint8_t> x, y, packed_storage, scratch_storage;
  QLayerCall call;
};

uint8_t* align(std::vector<uint8_t>& storage, size_t size) {
  storage.resize(size + kAlignment);
  return storage.data() + (kAlignment - reinterpret_cast<uintptr_t>(storage.data()) % kAlignment) % kAlignment;
}

void prepare(const Layer& layer, Isa isa, Prepared& p) {
  const QLayerShape& s = p.shape = layer.shape;
  p.kernel = &select_qlayer(s, Code::u8, isa);
  std::vector<int8_t> weights(static_cast<size_t>(s.out_channels * s.kernel_h * s.kernel_w * s.group_in()));
  uint32_t state = 1;
  const auto next = [&] { return static_cast<uint8_t>((state = state * 1664525u + 1013904223u) >> 24); };
  for (int8_t& w : weights) w = static_cast<int8_t>(next() | 1);
  const std::vector<float> factors(static_cast<size_t>(s.out_channels), 1e-3f);
  QLayerWeights w{weights.data(), 0, 0, 0, 0, nullptr, factors.data(), nullptr, 120, Code::u8};
  set_onnx_strides(s, w);
  uint8_t* packed = align(p.packed_storage, p.kernel->packed_bytes(s, Code::u8));
  p.kernel->pack(s, w, Code::u8, packed);
  p.x.resize(static_cast<size_t>(s.images * s.height * s.width * s.in_channels) + kReadSlack);
  for (uint8_t& x : p.x) x = next();
  p.y.resize(static_cast<size_t>(s.pixels() * s.out_channels));
  p.call = {&p.shape,
            packed,
            p.x.data(),
            s.in_channels,
            p.y.data(),
            s.out_channels,
            {Code::u8, 10, 0, 255, nullptr},
            0,
            s.pixels(),
            0,
            s.out_channels,
            align(p.scratch_storage, p.kernel->scratch_bytes(s))};
}

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

struct Times {
  double median, lowest;
};

Times measure(const Prepared& p, bool cold, bool quick) {
  static std::vector<uint8_t> evict(48 << 20);
  p.kernel->run(p.call);
  int64_t repeats = 1;
  if (!cold)
    for (;; repeats *= 2) {
      const auto start = Clock::now();
      for (int64_t i = 0; i < repeats; ++i) p.kernel->run(p.call);
      if (seconds_since(start) > 3e-4) break;
    }
  std::vector<double> times(quick ? 7 : 21);
  for (double& time : times) {
    if (cold)
      for (size_t i = 0; i < evict.size(); i += 64) evict[i]++;
    const auto start = Clock::now();
    for (int64_t i = 0; i < repeats; ++i) p.kernel->run(p.call);
    time = seconds_since(start) / static_cast<double>(repeats);
  }
  std::sort(times.begin(), times.end());
  return {times[times.size() / 2], times[0]};
}

double operations(const QLayerShape& s) {
  return 2.0 * static_cast<double>(s.pixels() * s.out_channels * s.kernel_h * s.kernel_w * s.group_in());
}

}  // namespace

int main(int argc, char** argv) {
  Isa isa = active_isa();
  std::string only;
  bool json = false, quick = false;
  for (int i = 1; i < argc; ++i) {
    if (!std::strcmp(argv[i], "--isa") && i + 1 < argc)
      isa = parse_isa(argv[++i]);
    else if (!std::strcmp(argv[i], "--only") && i + 1 < argc)
      only = argv[++i];
    else if (!std::strcmp(argv[i], "--json"))
      json = true;
    else if (!std::strcmp(argv[i], "--quick"))
      quick = true;
    else
      return fmt::print(stderr, "usage: kernels_bench [--isa NAME] [--only TEXT] [--json] [--quick]\n"), 2;
  }
  const double peak = measure_peak(isa);
  fmt::print(stderr, "{}: peak {:.1f} GOP/s\n", isa_row(isa).name, peak * 1e-9);
  std::string network;
  double total = 0, total_ops = 0;
  const auto finish_network = [&] {
    if (!network.empty() && !json)
      fmt::print("{:18} all layers, warm: {:.1f} us, {:.1f} GOP/s, {:.1f} % of peak\n", network, total * 1e6,
                 total_ops / total * 1e-9, peak > 0 ? 100 * total_ops / total / peak : 0);
    total = total_ops = 0;
  };
  for (const Layer& layer : all_layers()) {
    const QLayerShape& s = layer.shape;
    const std::string text =
        fmt::format("{} {}x{}x{}->{}x{}x{} k{} s{}{}", layer.name, s.height, s.width, s.in_channels, s.out_height,
                    s.out_width, s.out_channels, s.kernel_h, s.stride_h, s.groups > 1 ? " dw" : "");
    if (!only.empty() && (layer.network + " " + text).find(only) == std::string::npos) continue;
    if (network != layer.network) finish_network(), network = layer.network;
    Prepared prepared;
    prepare(layer, isa, prepared);
    for (const bool cold : {false, true}) {
      if (cold && quick) continue;
      const Times t = measure(prepared, cold, quick);
      const double ops = operations(s);
      if (!cold)
        total += t.median * static_cast<double>(layer.count), total_ops += ops * static_cast<double>(layer.count);
      if (json)
        fmt::print(
            "{{\"network\":\"{}\",\"layer\":\"{}\",\"kernel\":\"{}\",\"isa\":\"{}\",\"threads\":1,\"cache\":\"{}\","
            "\"ns\":{:.0f},"
            "\"lowest_ns\":{:.0f},\"gops\":{:.2f},\"share_of_peak\":{:.4f}}}\n",
            layer.network, text, prepared.kernel->name, isa_row(prepared.kernel->isa).name, cold ? "cold" : "warm",
            t.median * 1e9, t.lowest * 1e9, ops / t.median * 1e-9, peak > 0 ? ops / t.median / peak : 0);
      else
        fmt::print("{:18} {:44} {:22} {} {:10.2f} us (lowest {:.2f}) {:7.1f} GOP/s {:5.1f} %\n", layer.network, text,
                   prepared.kernel->name, cold ? "cold" : "warm", t.median * 1e6, t.lowest * 1e6, ops / t.median * 1e-9,
                   peak > 0 ? 100 * ops / t.median / peak : 0);
    }
  }
  finish_network();
}
