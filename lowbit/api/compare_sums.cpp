#include "lowbit/api/compare_sums.h"

#include <algorithm>

#include "lowbit/analysis/rule.h"
#include "lowbit/api/report_data.h"

namespace lowbit {
namespace {

constexpr int64_t kMostCodesCounted = 65536;
constexpr int64_t kMostComparedChannels = 16384;

}  // namespace

ChannelView channel_view(const Dims& dims, const Node* producer) {
  if (dims.size() < 2) return {};
  const bool last = dims.size() == 3 && !(producer && (producer->is("Conv") || producer->is("ConvTranspose")));
  const size_t axis = last ? 2 : 1;
  if (dims[axis] < 1 || dims[axis] > kMostComparedChannels) return {};
  ChannelView view{dims[axis], 1};
  for (size_t i = axis + 1; i < dims.size(); ++i) view.inner *= std::max<int64_t>(1, dims[i]);
  return view;
}

std::vector<double> channel_ranges(const Tensor& weights, int64_t axis) {
  const int64_t channels = weights.dim(axis), inner = row_major_strides(weights.dims())[static_cast<size_t>(axis)];
  std::vector<double> ranges(static_cast<size_t>(channels), 0);
  const auto values = weights.values<float>();
  for (size_t i = 0; i < values.size(); ++i) {
    double& most = ranges[static_cast<size_t>(static_cast<int64_t>(i) / inner % channels)];
    most = std::max<double>(most, std::abs(values[i]));
  }
  return ranges;
}

void ValueSums::add(const Tensor& wanted, const Tensor& made, const Quantization* quantization, ChannelView view) {
  local_.add(wanted, made);
  const Interval range = quantization ? unclipped_range(*quantization) : Interval{-INFINITY, INFINITY};
  const auto x = wanted.values<float>(), y = made.values<float>();
  channels_.resize(static_cast<size_t>(view.channels));
  for (size_t i = 0; i < x.size(); ++i) {
    const double v = x[i];
    sum_ += v;
    squares_ += v * v;
    clipped_ += v < range.low || v > range.high;
    Channel& channel = channels_[static_cast<size_t>(view.of(i))];
    channel.low = std::min(channel.low, v);
    channel.high = std::max(channel.high, v);
    const double error = double{y[i]} - v;
    channel.error += error;
    channel.signal += v * v;
    channel.noise += error * error;
  }
  facts_.count += wanted.count();
  per_channel_ += wanted.count() / view.channels;
  if (quantization) add_codes(made, *quantization);
}

void ValueSums::add_codes(const Tensor& made, const Quantization& quantization) {
  const CodeRange codes = quantization.codes();
  if (codes.count() > kMostCodesCounted || quantization.format.vector_size > 1) return;
  codes_used_.resize(static_cast<size_t>(codes.count()), 0);
  const Tensor made_codes = encode_tensor(quantization, made);
  for (const int32_t code : made_codes.values<int32_t>()) codes_used_[static_cast<size_t>(code - codes.min)] = 1;
}

void ValueSums::add_accumulated(const Tensor& wanted, const Tensor& made) {
  has_accumulated_ = true;
  accumulated_.add(wanted, made);
}

ValueFacts ValueSums::facts(const Value& value) const {
  ValueFacts facts = facts_;
  facts.name = value.name;
  if (facts.count > 0) facts.sqnr_db = local_.result().sqnr_db;
  const double n = static_cast<double>(std::max<int64_t>(1, facts_.count));
  facts.mean = sum_ / n;
  facts.standard_deviation = std::sqrt(std::max(0.0, squares_ / n - facts.mean * facts.mean));
  if (facts_.count > 0) {
    facts.low = INFINITY, facts.high = -INFINITY;
    for (const Channel& channel : channels_) {
      if (channel.low > channel.high) continue;  // only other batches had this many channels
      facts.low = std::min(facts.low, channel.low);
      facts.high = std::max(facts.high, channel.high);
      facts.channels.push_back({channel.low, channel.high,
                                channel.error / static_cast<double>(std::max<int64_t>(1, per_channel_)),
                                channel.noise > 0 ? 10 * std::log10(channel.signal / channel.noise) : INFINITY});
    }
    if (!(facts.low <= facts.high)) facts.low = facts.high = 0;  // nothing finite
  }
  if (!value.quantization || value.quantization->dynamic) return facts;
  const Quantization& quantization = *value.quantization;
  const Interval grid = representable_range(quantization);
  facts.has_codes = true;
  facts.grid_low = grid.low;
  facts.grid_high = grid.high;
  facts.bits = quantization.format.bits;
  facts.codes = quantization.codes().count();
  facts.codes_used = codes_used_.empty() ? facts.codes : std::count(codes_used_.begin(), codes_used_.end(), 1);
  facts.clipped_share = static_cast<double>(clipped_) / n;
  if (quantization.linear() && !quantization.params.empty()) facts.step = quantization.linear_at(0).scale;
  return facts;
}

LayerFigures figures_of(const LayerFacts& layer, double saturated_share) {
  const ValueFacts& result = layer.result;
  LayerFigures figures;
  figures.name = layer.name;
  figures.op = layer.op;
  figures.value = result.name;
  if (result.has_codes) {
    const double grid = result.grid_high - result.grid_low;
    const double used = std::min(result.high, result.grid_high) - std::max(result.low, result.grid_low);
    figures.range_use = grid > 0 ? std::clamp(used / grid, 0.0, 1.0) : 0;
    figures.codes = result.codes;
    figures.codes_used = result.codes_used;
    figures.clipped_share = result.clipped_share;
    figures.saturated_share = saturated_share;
  }
  figures.weight_imbalance = widest_of(layer.channel_ranges).times;
  std::vector<double> reaches;
  double squares = 0;
  for (const ChannelFacts& channel : result.channels) {
    reaches.push_back(channel.reach());
    squares += channel.mean_error * channel.mean_error;
    figures.dead_channels += channel.low == channel.high;
  }
  const Widest widest = widest_of(reaches);
  figures.channel_imbalance = widest.times;
  if (widest.times > 0) figures.widest_channel = static_cast<int64_t>(widest.channel);
  if (result.standard_deviation > 0)
    figures.tail = std::max(result.high - result.mean, result.mean - result.low) / result.standard_deviation;
  if (result.step > 0 && !result.channels.empty())
    figures.mean_shift = std::sqrt(squares / static_cast<double>(result.channels.size())) / result.step;
  return figures;
}

}  // namespace lowbit
