#include "lowbit/methods/weight_fit.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "lowbit/numbers/fit_data.h"
#include "lowbit/numbers/widths.h"

namespace lowbit {
namespace {

/// Which input channel the elements of a weight multiply: channels of one group of outputs, and how often each repeats.
struct InputChannels {
  int64_t outputs = 1, per_group = 1, groups = 1, repeat = 1;
  bool input_major = false;  ///< [in, out]
  int64_t of(int64_t element) const {
    if (input_major) return element / outputs;
    const int64_t output = element / (per_group * repeat), input = element / repeat % per_group;
    return output / (outputs / groups) * per_group + input;
  }
};

std::optional<InputChannels> input_channels(const Node& node, const Tensor& weight) {
  InputChannels at;
  if (node.is("Conv")) {
    at.outputs = weight.dim(0);
    at.per_group = weight.dim(1);
    at.groups = std::max<int64_t>(node.attr_int("group", 1), 1);
    for (int64_t d = 2; d < weight.rank(); ++d) at.repeat *= weight.dim(d);
    return at.outputs > 0 && at.outputs % at.groups == 0 ? std::optional(at) : std::nullopt;
  }
  if (weight.rank() != 2 || !(node.is("Gemm") || node.is("MatMul"))) return std::nullopt;
  const bool output_major = node.is("Gemm") && node.attr_int("transB", 0) != 0;
  at.outputs = weight.dim(output_major ? 0 : 1);
  at.per_group = weight.dim(output_major ? 1 : 0);
  at.input_major = !output_major;
  return at;
}

}  // namespace

std::vector<float> weight_importance(const Graph& graph, const Node& node, const Tensor& weight,
                                     const StatisticsSet* statistics) {
  const auto at = input_channels(node, weight);
  if (!statistics || !at || weight.count() == 0) return {};
  const auto found = statistics->tensors.find(graph.value(node.inputs[0]).name);
  if (found == statistics->tensors.end()) return {};
  const auto& channels = found->second.channels;
  if (static_cast<int64_t>(channels.size()) != at->per_group * at->groups) return {};
  std::vector<double> squares;
  double total = 0, least = std::numeric_limits<double>::infinity();
  for (const TensorStatistics::Channel& channel : channels) {
    squares.push_back(channel.count > 0 ? channel.sum_of_squares.value() / static_cast<double>(channel.count) : 0);
    total += squares.back();
    if (squares.back() > 0) least = std::min(least, squares.back());
  }
  if (!(total > 0) || !std::isfinite(total)) return {};
  const double mean = total / static_cast<double>(squares.size());
  for (double& value : squares) value = (value > 0 ? value : least) / mean;
  std::vector<float> importance(static_cast<size_t>(weight.count()));
  for (size_t i = 0; i < importance.size(); ++i)
    importance[i] = static_cast<float>(squares[static_cast<size_t>(at->of(static_cast<int64_t>(i)))]);
  return importance;
}

double WeightFit::sqnr_db() const {
  if (error == 0) return std::numeric_limits<double>::infinity();
  return signal > 0 ? 10 * std::log10(signal / error) : -std::numeric_limits<double>::infinity();
}

WeightFit fit_weight(const NumberFormat& format, const Granularity& granularity, const Tensor& weight,
                     std::span<const float> importance, FitRule rule, ThreadPool* threads) {
  WeightFit result;
  result.quantization.format = format;
  result.quantization.granularity = granularity;
  result.quantization.params = fit_groups(format, granularity, weight.dims(), weight.data<float>(), importance,
                                          {.rule = rule, .threads = threads});
  const Tensor decoded = fake_quantize(result.quantization, weight);
  const FitData data{weight.values<float>(), importance};
  result.error = squared_error(data, decoded.values<float>());
  result.signal = squared_error(data, std::vector<float>(data.x.size()));
  result.bits = stored_bits(format, granularity, weight.dims());
  return result;
}

}  // namespace lowbit
