#include "lowbit/observe/accumulate.h"

#include <algorithm>
#include <cstdlib>
#include <new>

#include <fmt/format.h>

#include "lowbit/base/checked.h"

namespace lowbit {
namespace {

constexpr int kRawKeys = 1 << 15;  // sign, exponent, 6 mantissa bits
constexpr int kSignBit = kRawKeys / 2;
constexpr int kTables = 4;
constexpr size_t kFewKeys = 4096;  // below, clearing and emptying the tables costs more than they save
constexpr int64_t kMostPending = int64_t{1} << 31;
constexpr int64_t kPartValues = 1 << 18;  // values that one thread takes at a time

}  // namespace

void KeyCounter::Free::operator()(uint32_t* p) const { std::free(p); }

KeyCounter::KeyCounter(size_t expected) {
  if (expected <= kFewKeys) return;
  // calloc, since most pages of the tables are never touched and then take no memory.
  tables_.reset(static_cast<uint32_t*>(std::calloc(size_t{kTables} * kRawKeys, sizeof(uint32_t))));
  if (!tables_) throw std::bad_alloc();
}

void KeyCounter::count(std::span<const uint32_t> keys, uint32_t min_magnitude, uint32_t max_magnitude) {
  if (!tables_) {
    few_.insert(few_.end(), keys.begin(), keys.end());
    return;
  }
  if (keys.empty()) return;
  first_page_ = std::min(first_page_, min_magnitude >> 23);
  last_page_ = std::max(last_page_, max_magnitude >> 23);
  uint32_t *a = tables_.get(), *b = a + kRawKeys, *c = b + kRawKeys, *d = c + kRawKeys;
  size_t i = 0;
  for (; i + kTables <= keys.size(); i += kTables) {
    ++a[keys[i]];
    ++b[keys[i + 1]];
    ++c[keys[i + 2]];
    ++d[keys[i + 3]];
  }
  for (; i < keys.size(); ++i) ++a[keys[i]];
  pending_ += static_cast<int64_t>(keys.size());
  if (pending_ > kMostPending) flush(overflow_);
}

void KeyCounter::flush(Histogram& histogram) {
  if (pending_ == 0) return;
  for (int32_t sign : {0, kSignBit}) {
    for (int32_t raw = sign + static_cast<int32_t>(first_page_) * Histogram::kPageBins,
                 end = sign + (static_cast<int32_t>(last_page_) + 1) * Histogram::kPageBins;
         raw < end; ++raw) {
      int64_t n = 0;
      for (int32_t table = 0; table < kTables; ++table) {
        uint32_t& entry = tables_[static_cast<size_t>(table * kRawKeys + raw)];
        n += entry;
        entry = 0;
      }
      if (n > 0) histogram.add_key(Histogram::key_of(static_cast<uint32_t>(raw)), n);
    }
  }
  pending_ = 0;
}

void KeyCounter::finish(Histogram& histogram) {
  histogram.add_top_bits(few_);
  few_.clear();
  flush(histogram);
  histogram.merge(overflow_);
}

ValueAccumulator::ValueAccumulator(size_t expected) : counter_(expected) {}

MinMax ValueAccumulator::add(std::span<const float> x) {
  const FloatMode mode;
  MinMax all;
  uint32_t keys[kBlockValues + kKeySlack];
  for (size_t begin = 0; begin < x.size(); begin += kBlockValues) {
    const size_t n = std::min(kBlockValues, x.size() - begin);
    BlockSummary block;
    summarize_block(x.data() + begin, n, keys, block);
    values_.count += static_cast<int64_t>(n);
    values_.nonfinite += static_cast<int64_t>(n - block.finite);
    values_.zeros += static_cast<int64_t>(block.finite - block.nonzero);
    if (block.finite > 0) all.add({block.min, block.max});
    for (int level = 0; level < block.sum_levels; ++level) values_.sum.add_exact(block.sums[level]);
    for (int level = 0; level < block.square_levels; ++level) values_.sum_of_squares.add_exact(block.squares[level]);
    counter_.count({keys, block.nonzero}, block.min_magnitude, block.max_magnitude);
  }
  values_.min = std::min(values_.min, all.min);
  values_.max = std::max(values_.max, all.max);
  return all;
}

void ValueAccumulator::finish(TensorStatistics& statistics) {
  counter_.finish(statistics.histogram);
  statistics.histogram.add_zeros(values_.zeros);
  statistics.count = checked_add(statistics.count, values_.count);
  merge_values(statistics, values_);
}

namespace {

/// What one part of a tensor contributes: its values, and the extremes of each sample it holds values of.
struct Part {
  TensorStatistics values;
  std::vector<MinMax> samples;  ///< from sample `first` on
  int64_t first = 0;
};

Part summarize_part(std::span<const float> x, int64_t begin, int64_t end, int64_t per_sample) {
  Part part;
  part.first = begin / per_sample;
  ValueAccumulator accumulator(static_cast<size_t>(end - begin));
  while (begin < end) {
    const int64_t stop = std::min(end, (begin / per_sample + 1) * per_sample);
    part.samples.push_back(accumulator.add(x.subspan(static_cast<size_t>(begin), static_cast<size_t>(stop - begin))));
    begin = stop;
  }
  accumulator.finish(part.values);
  return part;
}

void add_values(TensorStatistics& statistics, std::span<const float> x, int64_t samples, ThreadPool* threads) {
  const auto count = static_cast<int64_t>(x.size());
  std::vector<MinMax> extremes(static_cast<size_t>(samples));
  if (count > 0) {
    const int64_t per_sample = count / samples;
    std::vector<Part> parts(threads ? static_cast<size_t>((count + kPartValues - 1) / kPartValues) : 1);
    if (threads)
      threads->parallel_blocks(count, kPartValues, [&](int64_t begin, int64_t end) {
        parts[static_cast<size_t>(begin / kPartValues)] = summarize_part(x, begin, end, per_sample);
      });
    else
      parts[0] = summarize_part(x, 0, count, per_sample);
    for (const Part& part : parts) {
      statistics.count = checked_add(statistics.count, part.values.count);
      merge_values(statistics, part.values);
      for (size_t i = 0; i < part.samples.size(); ++i)
        extremes[static_cast<size_t>(part.first) + i].add(part.samples[i]);
    }
  }
  std::vector<float> minima, maxima;
  for (const MinMax& sample : extremes) {
    if (sample.empty()) continue;
    minima.push_back(sample.min);
    maxima.push_back(sample.max);
  }
  statistics.samples = checked_add(statistics.samples, samples);
  statistics.finite_samples += static_cast<int64_t>(minima.size());
  statistics.sum_of_sample_minima.add(minima);
  statistics.sum_of_sample_maxima.add(maxima);
}

/// Adds up to kBlockValues values to a channel.
void add_to_channel(TensorStatistics::Channel& channel, const float* values, size_t n) {
  BlockSummary block;
  summarize_block(values, n, nullptr, block);
  if (block.finite == 0) return;
  channel.min = std::min(channel.min, block.min);
  channel.max = std::max(channel.max, block.max);
  channel.count += static_cast<int64_t>(block.finite);
  for (int level = 0; level < block.sum_levels; ++level) channel.sum.add_exact(block.sums[level]);
  for (int level = 0; level < block.square_levels; ++level) channel.sum_of_squares.add_exact(block.squares[level]);
}

/// The values of one channel, which lie in runs of `inner` at a distance of `inner * channels`.
void add_channel(TensorStatistics::Channel& channel, std::span<const float> x, size_t offset, size_t inner,
                 size_t stride) {
  float gathered[kBlockValues];
  size_t filled = 0;
  for (; offset < x.size(); offset += stride) {
    for (size_t done = 0; done < inner;) {
      const size_t n = std::min(inner - done, kBlockValues - filled);
      std::copy_n(x.data() + offset + done, n, gathered + filled);
      done += n;
      filled += n;
      if (filled < kBlockValues) continue;
      add_to_channel(channel, gathered, filled);
      filled = 0;
    }
  }
  if (filled > 0) add_to_channel(channel, gathered, filled);
}

constexpr size_t kChannelsTogether = 16;  // floats of a cache line

/// Up to kChannelsTogether channels that lie side by side, `stride` values from one pixel to the next.
void add_neighbours(std::span<TensorStatistics::Channel> channels, std::span<const float> x, size_t offset,
                    size_t stride) {
  // All of it stays in the first cache; rows a multiple of 4096 bytes apart would fall on the same lines.
  constexpr size_t kTogether = kBlockValues / 4;
  float gathered[kChannelsTogether][kTogether + 16];
  size_t filled = 0;
  const auto empty = [&] {
    for (size_t c = 0; c < channels.size(); ++c) add_to_channel(channels[c], gathered[c], filled);
    filled = 0;
  };
  for (; offset < x.size(); offset += stride) {
    const float* pixel = x.data() + offset;
    if (channels.size() == kChannelsTogether)
      for (size_t c = 0; c < kChannelsTogether; ++c) gathered[c][filled] = pixel[c];
    else
      for (size_t c = 0; c < channels.size(); ++c) gathered[c][filled] = pixel[c];
    if (++filled == kTogether) empty();
  }
  if (filled > 0) empty();
}

/// task(i) for all i, on the pool if there is one.
template <typename Task>
void run_all(int64_t count, ThreadPool* threads, Task task) {
  const auto run = [&](int64_t i) {
    const FloatMode mode;
    task(i);
  };
  if (threads)
    threads->parallel_for(count, run);
  else
    for (int64_t i = 0; i < count; ++i) run(i);
}

/// dims: as ONNX means them, whatever the order of the values.
void add_channels(TensorStatistics& statistics, std::span<const float> x, const Dims& dims, bool channels_last,
                  ThreadPool* threads) {
  const int64_t axis = statistics.channel_axis;
  if (axis >= static_cast<int64_t>(dims.size()))
    throw Error(ErrorCode::bad_argument,
                fmt::format("statistics per channel of axis {} are wanted, but the tensor has the shape {}", axis,
                            dims_text(dims)));
  const auto channels = static_cast<size_t>(dims[static_cast<size_t>(axis)]);
  if (statistics.channels.empty()) statistics.channels.resize(channels);
  if (statistics.channels.size() != channels)
    throw Error(ErrorCode::bad_argument,
                fmt::format("the tensor has {} channels in axis {}, but {} in an earlier batch", channels, axis,
                            statistics.channels.size()));
  if (x.empty()) return;
  if (channels_last) {
    const auto groups = static_cast<int64_t>((channels + kChannelsTogether - 1) / kChannelsTogether);
    run_all(groups, threads, [&](int64_t group) {
      const size_t first = static_cast<size_t>(group) * kChannelsTogether;
      const std::span all(statistics.channels);
      add_neighbours(all.subspan(first, std::min(kChannelsTogether, channels - first)), x, first, channels);
    });
    return;
  }
  size_t inner = 1;
  for (size_t i = static_cast<size_t>(axis) + 1; i < dims.size(); ++i) inner *= static_cast<size_t>(dims[i]);
  run_all(static_cast<int64_t>(channels), threads, [&](int64_t c) {
    const auto index = static_cast<size_t>(c);
    add_channel(statistics.channels[index], x, index * inner, inner, inner * channels);
  });
}

}  // namespace

void add_tensor(TensorStatistics& statistics, const Tensor& x, TensorOrder order, ThreadPool* threads) {
  const FloatMode mode;
  const Tensor floats = to_float32(x);
  const std::span<const float> values = floats.values<float>();
  const Dims& d = x.dims();
  const Dims dims = order.channels_last ? Dims{d[0], d[3], d[1], d[2]} : d;
  const int64_t samples = order.batched && x.rank() > 0 ? x.dim(0) : 1;
  // Channels first: they check the shape, and what throws must leave the statistics as they were.
  if (statistics.channel_axis >= 0)
    add_channels(statistics, values, dims, order.channels_last && statistics.channel_axis == 1, threads);
  add_values(statistics, values, samples, threads);
}

}  // namespace lowbit
