// recurrent_accuracy_bench: what integer LSTM and GRU layers change at the output of a streaming audio network.
// usage: recurrent_accuracy_bench MODEL.onnx AUDIO.wav [FRAMES]
// The network's first input is a frame of samples, or, if it has 257 elements, the magnitudes of a frame of 512
// samples; its second input is a state that its second output becomes. The weights of each recurrent layer are
// quantized by row and its input dynamically; all else stays float. Each version carries its own state through the
// whole recording.
#include <fmt/format.h>

#include <cmath>
#include <cstring>
#include <numbers>
#include <string>
#include <vector>

#include "lowbit/base/file.h"
#include "lowbit/base/threads.h"
#include "lowbit/formats/format.h"
#include "lowbit/ops/evaluate.h"
#include "lowbit/passes/passes.h"
#include "lowbit/runtime/executor.h"

namespace {

using namespace lowbit;

/// Samples of a 16-bit mono recording.
std::vector<float> read_samples(const std::string& path) {
  const auto file = MappedFile::open(path);
  const Bytes bytes = file->bytes();
  std::vector<float> samples;
  for (size_t i = 44; i + 1 < bytes.size(); i += 2) {
    int16_t value = 0;
    std::memcpy(&value, bytes.data() + i, 2);
    samples.push_back(static_cast<float>(value) / 32768.0f);
  }
  return samples;
}

/// |DFT| of 512 samples, 257 values.
std::vector<float> magnitudes(const float* samples) {
  std::vector<float> result;
  for (int k = 0; k <= 256; ++k) {
    double re = 0, im = 0;
    for (int n = 0; n < 512; ++n) {
      const double angle = 2 * std::numbers::pi * k * n / 512;
      re += samples[n] * std::cos(angle);
      im -= samples[n] * std::sin(angle);
    }
    result.push_back(static_cast<float>(std::hypot(re, im)));
  }
  return result;
}

/// Weights by row, inputs dynamic. Returns the number of layers.
int annotate(Graph& graph, const std::string& format) {
  int count = 0;
  for (const Node& node : graph.nodes) {
    if (!node.is("LSTM") && !node.is("GRU")) continue;
    ++count;
    for (size_t input : {1, 2}) {
      Value& weight = graph.value(node.inputs[input]);
      Quantization q;
      q.format = parse_number_format(format);
      q.format.narrow = true;
      const Dims& dims = weight.constant->dims();
      q.granularity = {Granularity::Kind::group, 0, 1, dims[2]};
      q.params = fit_groups(q.format, q.granularity, dims, weight.constant->data<float>(), {}, {});
      weight.quantization = q;
    }
    Quantization x = linear_quantization(parse_number_format("int8"), {1, 0}, "bench");
    x.dynamic = true;
    x.params.clear();
    graph.value(node.inputs[0]).quantization = x;
  }
  return count;
}

/// Outputs of all frames, one after the other.
template <typename Run>
std::vector<float> run_frames(const Graph& graph, const std::vector<Tensor>& frames, Run run) {
  const std::string first = graph.value(graph.inputs[0]).name, second = graph.value(graph.inputs[1]).name;
  Tensor state(DType::float32, *concrete(*graph.value(graph.inputs[1]).shape));
  std::vector<float> all;
  for (const Tensor& frame : frames) {
    std::vector<Tensor> outputs = run(NamedTensors{{first, frame}, {second, state}});
    const float* y = outputs[0].data<float>();
    all.insert(all.end(), y, y + outputs[0].count());
    state = outputs[1];
  }
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return fmt::print(stderr, "usage: recurrent_accuracy_bench MODEL.onnx AUDIO.wav [FRAMES]\n"), 2;
  const std::vector<float> samples = read_samples(argv[2]);
  Model model = load_model(argv[1]);
  const Dims dims = *concrete(*model.graph.value(model.graph.inputs[0]).shape);
  const int64_t size = element_count(dims), window = size == 257 ? 512 : size;
  const int64_t wanted = argc > 3 ? std::atoll(argv[3]) : 300, hop = size == 257 ? 128 : 512;
  std::vector<Tensor> frames;
  for (int64_t i = 0;
       i + window <= static_cast<int64_t>(samples.size()) && static_cast<int64_t>(frames.size()) < wanted; i += hop) {
    const std::vector<float> spectrum = size == 257 ? magnitudes(samples.data() + i) : std::vector<float>();
    Tensor frame(DType::float32, dims);
    std::copy_n(spectrum.empty() ? samples.data() + i : spectrum.data(), size, frame.mutable_data<float>());
    frames.push_back(std::move(frame));
  }
  ThreadPool threads(1);
  prepare_for_quantization(model.graph);
  const std::vector<float> exact = run_frames(
      model.graph, frames, [&, e = std::make_shared<Evaluator>(model.graph, threads)](const NamedTensors& in) {
        return e->run_ordered(in);
      });
  fmt::print("{} frames; difference from float at the output\n  {:8} {:>8} {:>10} {:>10} {:>10}\n", frames.size(),
             "weights", "integer", "largest", "RMS", "SQNR dB");
  for (const char* format : {"int8", "int7", "int4"}) {
    Graph graph = model.graph;
    const int layers = annotate(graph, format);
    const auto executor = std::make_shared<Executor>(graph, threads);
    int integer = 0;
    for (const StepInfo& step : executor->steps()) integer += step.integer && (step.op == "LSTM" || step.op == "GRU");
    const std::vector<float> y =
        run_frames(graph, frames, [&](const NamedTensors& in) { return executor->run_ordered(in); });
    double largest = 0, noise = 0, power = 0;
    for (size_t i = 0; i < y.size(); ++i) {
      const double d = static_cast<double>(y[i]) - exact[i];
      largest = std::max(largest, std::abs(d));
      noise += d * d;
      power += static_cast<double>(exact[i]) * exact[i];
    }
    fmt::print("  {:8} {:>6}/{} {:>10.2g} {:>10.2g} {:>10.1f}\n", format, integer, layers, largest,
               std::sqrt(noise / static_cast<double>(y.size())), 10 * std::log10(power / noise));
  }
  return 0;
}
