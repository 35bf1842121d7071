#include "lowbit/observe/statistics.h"

#include <algorithm>

#include <fmt/format.h>

#include "lowbit/base/checked.h"
#include "lowbit/base/text.h"
#include "lowbit/observe/accumulate.h"
#include "lowbit/observe/float_mode.h"

namespace lowbit {
namespace {

bool is_fresh(const TensorStatistics& statistics) { return statistics.samples == 0 && statistics.channels.empty(); }

/// Channels of merged statistics: those that have seen nothing yet take over the other's.
void merge_channels(TensorStatistics& to, const TensorStatistics& from) {
  if (is_fresh(from)) return;
  if (is_fresh(to)) {
    to.channel_axis = from.channel_axis;
    to.channels = from.channels;
    return;
  }
  if (to.channel_axis != from.channel_axis || to.channels.size() != from.channels.size())
    throw Error(ErrorCode::bad_argument,
                fmt::format("statistics with {} channels in axis {} cannot be merged with {} channels in axis {}; "
                            "calibrate both with the same options",
                            to.channels.size(), to.channel_axis, from.channels.size(), from.channel_axis));
  for (size_t c = 0; c < to.channels.size(); ++c) {
    TensorStatistics::Channel& mine = to.channels[c];
    const TensorStatistics::Channel& theirs = from.channels[c];
    mine.min = std::min(mine.min, theirs.min);
    mine.max = std::max(mine.max, theirs.max);
    mine.count = checked_add(mine.count, theirs.count);
    mine.sum.merge(theirs.sum);
    mine.sum_of_squares.merge(theirs.sum_of_squares);
  }
}

}  // namespace

void merge_values(TensorStatistics& to, const TensorStatistics& from) {
  const FloatMode mode;  // comparing must not take denormals for zeros either
  to.nonfinite += from.nonfinite;
  to.zeros += from.zeros;
  to.min = std::min(to.min, from.min);
  to.max = std::max(to.max, from.max);
  to.sum.merge(from.sum);
  to.sum_of_squares.merge(from.sum_of_squares);
  to.histogram.merge(from.histogram);
}

void TensorStatistics::add(const Tensor& x, bool batched) { add_tensor(*this, x, {batched}, nullptr); }

void TensorStatistics::merge(const TensorStatistics& other) {
  const FloatMode mode;
  const int64_t merged_count = checked_add(count, other.count);
  const int64_t merged_samples = checked_add(samples, other.samples);
  merge_channels(*this, other);
  count = merged_count;
  samples = merged_samples;
  finite_samples += other.finite_samples;
  sum_of_sample_minima.merge(other.sum_of_sample_minima);
  sum_of_sample_maxima.merge(other.sum_of_sample_maxima);
  merge_values(*this, other);
}

double TensorStatistics::mean() const { return finite() > 0 ? sum.value() / static_cast<double>(finite()) : 0; }

double TensorStatistics::variance() const {
  if (finite() == 0) return 0;
  const double average = mean();
  return std::max(0.0, sum_of_squares.value() / static_cast<double>(finite()) - average * average);
}

void StatisticsSet::merge(const StatisticsSet& other) {
  if (tensors.empty() && model_fingerprint.empty()) {
    *this = other;
    return;
  }
  if (model_fingerprint != other.model_fingerprint)
    throw Error(ErrorCode::bad_argument,
                fmt::format("statistics of model {} cannot be merged with those of model {}; calibrate the same model",
                            printable(model_fingerprint, 80), printable(other.model_fingerprint, 80)));
  for (const auto& [name, statistics] : other.tensors) {
    const auto [at, inserted] = tensors.try_emplace(name, statistics);
    if (!inserted) at->second.merge(statistics);
  }
  if (data_description.empty())
    data_description = other.data_description;
  else if (!other.data_description.empty() && other.data_description != data_description)
    data_description += "; " + other.data_description;
}

}  // namespace lowbit
