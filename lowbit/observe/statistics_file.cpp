// The layout is docs/statistics-file.md. What is read is believed only as far as the bytes left can hold it.
#include <fmt/format.h>
#include <xxhash.h>

#include <bit>
#include <cmath>
#include <cstring>

#include "lowbit/base/checked.h"
#include "lowbit/base/text.h"
#include "lowbit/observe/statistics.h"

namespace lowbit {
namespace {

constexpr std::string_view kMagic = "lowbitST";
constexpr uint32_t kVersion = 2;
constexpr size_t kHeaderBytes = 32;
constexpr uint32_t kMostNameBytes = 1 << 20;
/// The least bytes that an item takes, to bound the counts: a tensor without channels and pages, a channel.
constexpr size_t kLeastTensorBytes = 4 + 5 * 8 + 2 * 4 + 4 * 48 + 8 + 4 + 4;
constexpr size_t kChannelBytes = 2 * 4 + 8 + 2 * 48;
constexpr size_t kLeastPageBytes = 2 + 8 + 8;

class Writer {
 public:
  template <typename T>
  void number(T value) {
    static_assert(std::endian::native == std::endian::little, "numbers are written as they lie in memory");
    text.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  void string(const std::string& value) {
    number(static_cast<uint32_t>(value.size()));
    text += value;
  }
  void sum(const ExactSum& value) {
    for (uint64_t limb : value.limbs()) number(limb);
  }
  std::string text;
};

class Reader {
 public:
  Reader(Bytes bytes, size_t base, const std::string& path) : bytes_(bytes), base_(base), path_(path) {}

  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  /// A count that is >= 0.
  int64_t count() {
    const auto value = number<int64_t>();
    if (value < 0) fail("a count is negative");
    return value;
  }
  /// A number of items that take at least `least_bytes` each.
  uint32_t items(size_t least_bytes) {
    const auto value = number<uint32_t>();
    if (value > left() / least_bytes) fail(fmt::format("{} items do not fit into the {} bytes left", value, left()));
    return value;
  }
  std::string string() {
    const uint32_t size = items(1);
    if (size > kMostNameBytes) fail(fmt::format("a text of {} bytes is too long", size));
    const Bytes text = take(size);
    return {reinterpret_cast<const char*>(text.data()), text.size()};
  }
  ExactSum sum() {
    ExactSum::Limbs limbs;
    for (uint64_t& limb : limbs) limb = number<uint64_t>();
    return ExactSum(limbs);
  }
  size_t left() const { return bytes_.size() - at_; }
  void require(bool condition, std::string_view what) {
    if (!condition) fail(what);
  }
  [[noreturn]] void fail(std::string_view what) const {
    throw Error(ErrorCode::bad_file,
                fmt::format("{} at byte {}; the statistics file is damaged, calibrate again", what, base_ + at_),
                path_);
  }

 private:
  Bytes take(size_t n) {
    if (n > left()) fail(fmt::format("{} bytes are expected, {} are left", n, left()));
    at_ += n;
    return bytes_.subspan(at_ - n, n);
  }
  Bytes bytes_;
  size_t base_, at_ = 0;
  const std::string& path_;
};

void write_histogram(Writer& out, const Histogram& histogram) {
  out.number(static_cast<uint32_t>(histogram.pages().size()));
  for (const auto& [index, counts] : histogram.pages()) {
    uint64_t used = 0;
    for (size_t i = 0; i < counts.size(); ++i) used |= counts[i] != 0 ? uint64_t{1} << i : 0;
    out.number(index);
    out.number(used);
    for (int64_t count : counts)
      if (count != 0) out.number(count);
  }
}

/// Pages in ascending order, each with a count; the sum of all counts fits int64.
Histogram read_histogram(Reader& in, int64_t zeros) {
  Histogram histogram;
  histogram.add_zeros(zeros);
  int64_t total = zeros;
  int before = Histogram::kMinKey / Histogram::kPageBins - 1;
  for (uint32_t pages = in.items(kLeastPageBytes); pages > 0; --pages) {
    const int index = in.number<int16_t>();
    in.require(index > before && index <= Histogram::kMaxKey / Histogram::kPageBins,
               "a histogram page is out of order");
    before = index;
    const auto used = in.number<uint64_t>();
    in.require(used != 0, "a histogram page is empty");
    for (int bin = 0; bin < Histogram::kPageBins; ++bin) {
      if ((used >> bin & 1) == 0) continue;
      const int64_t count = in.count();
      in.require(count > 0, "a histogram count is 0");
      total = checked_add(total, count);
      histogram.add_key(index * Histogram::kPageBins + bin, count);
    }
  }
  return histogram;
}

/// A sum of n values lies between n times the least and n times the largest of them.
bool sum_fits(const ExactSum& sum, int64_t n, double min, double max) {
  if (n == 0) return sum == ExactSum();
  const double value = sum.value(), slack = 1e-12 * std::max(std::abs(min), std::abs(max)) * static_cast<double>(n);
  return value >= min * static_cast<double>(n) - slack && value <= max * static_cast<double>(n) + slack;
}

bool extremes_fit(float min, float max, int64_t n) {
  if (n == 0) return min == TensorStatistics::kInfinity && max == -TensorStatistics::kInfinity;
  return std::isfinite(min) && std::isfinite(max) && min <= max;
}

/// The extremes lie in the outermost bins.
bool extremes_fit(const TensorStatistics& s) {
  if (!extremes_fit(s.min, s.max, s.finite())) return false;
  if (s.finite() == 0) return true;
  const std::vector<Histogram::Bin> bins = s.histogram.bins();
  const auto holds = [](const Histogram::Bin& bin, double x) {
    if (bin.low == bin.high) return x == 0;
    return x != 0 && (x > 0 ? bin.low <= x && x < bin.high : bin.low < x && x <= bin.high);
  };
  return holds(bins.front(), s.min) && holds(bins.back(), s.max);
}

/// The largest float32(x * x) between two extremes, with room for its rounding.
double most_square(double low, double high) { return std::max(low * low, high * high) * (1 + 0x1p-20) + 0x1p-149; }

void write_tensor(Writer& out, const TensorStatistics& s) {
  for (int64_t count : {s.count, s.samples, s.finite_samples, s.nonfinite, s.zeros}) out.number(count);
  out.number(s.min);
  out.number(s.max);
  for (const ExactSum* sum : {&s.sum, &s.sum_of_squares, &s.sum_of_sample_minima, &s.sum_of_sample_maxima})
    out.sum(*sum);
  out.number(s.channel_axis);
  out.number(static_cast<uint32_t>(s.channels.size()));
  for (const TensorStatistics::Channel& channel : s.channels) {
    out.number(channel.min);
    out.number(channel.max);
    out.number(channel.count);
    out.sum(channel.sum);
    out.sum(channel.sum_of_squares);
  }
  write_histogram(out, s.histogram);
}

void read_channels(Reader& in, TensorStatistics& s) {
  s.channel_axis = in.number<int64_t>();
  in.require(s.channel_axis >= -1, "a channel axis is negative");
  s.channels.resize(in.items(kChannelBytes));
  in.require(s.channel_axis >= 0 || s.channels.empty(), "there are channels without an axis");
  for (TensorStatistics::Channel& channel : s.channels) {
    channel.min = in.number<float>();
    channel.max = in.number<float>();
    channel.count = in.count();
    channel.sum = in.sum();
    channel.sum_of_squares = in.sum();
    in.require(extremes_fit(channel.min, channel.max, channel.count) &&
                   sum_fits(channel.sum, channel.count, channel.min, channel.max) &&
                   sum_fits(channel.sum_of_squares, channel.count, 0, most_square(channel.min, channel.max)),
               "the statistics of a channel contradict each other");
  }
}

TensorStatistics read_tensor(Reader& in) {
  TensorStatistics s;
  for (int64_t* count : {&s.count, &s.samples, &s.finite_samples, &s.nonfinite, &s.zeros}) *count = in.count();
  in.require(s.nonfinite <= s.count && s.zeros <= s.count - s.nonfinite && s.finite_samples <= s.samples &&
                 s.finite_samples <= s.finite(),
             "the counts of a tensor contradict each other");
  s.min = in.number<float>();
  s.max = in.number<float>();
  for (ExactSum* sum : {&s.sum, &s.sum_of_squares, &s.sum_of_sample_minima, &s.sum_of_sample_maxima}) *sum = in.sum();
  read_channels(in, s);
  s.histogram = read_histogram(in, s.zeros);
  in.require(s.histogram.total() == s.finite(), "the histogram has another number of values than the tensor");
  in.require(extremes_fit(s), "the extremes of a tensor contradict its histogram");
  const double low = s.min, high = s.max;
  in.require(sum_fits(s.sum, s.finite(), low, high) &&
                 sum_fits(s.sum_of_squares, s.finite(), 0, most_square(s.min, s.max)) &&
                 sum_fits(s.sum_of_sample_minima, s.finite_samples, low, high) &&
                 sum_fits(s.sum_of_sample_maxima, s.finite_samples, low, high),
             "the sums of a tensor contradict its extremes");
  return s;
}

StatisticsSet read_payload(Reader& in) {
  StatisticsSet set;
  set.model_fingerprint = in.string();
  set.data_description = in.string();
  for (uint32_t tensors = in.items(kLeastTensorBytes); tensors > 0; --tensors) {
    const std::string name = in.string();
    in.require(set.tensors.empty() || set.tensors.rbegin()->first < name, "the tensors are not in the order of names");
    set.tensors.emplace_hint(set.tensors.end(), name, read_tensor(in));
  }
  in.require(in.left() == 0, "there are bytes behind the last tensor");
  return set;
}

}  // namespace

std::string write_statistics(const StatisticsSet& set) {
  Writer payload;
  payload.string(set.model_fingerprint);
  payload.string(set.data_description);
  payload.number(static_cast<uint32_t>(set.tensors.size()));
  for (const auto& [name, statistics] : set.tensors) {
    payload.string(name);
    write_tensor(payload, statistics);
  }
  Writer file;
  file.text = kMagic;
  file.number(kVersion);
  file.number(uint32_t{0});
  file.number(static_cast<uint64_t>(payload.text.size()));
  file.number(static_cast<uint64_t>(XXH64(payload.text.data(), payload.text.size(), /*seed=*/0)));
  return file.text + payload.text;
}

void save_statistics(const StatisticsSet& set, const std::string& path) { write_file(path, write_statistics(set)); }

StatisticsSet read_statistics(Bytes bytes, const std::string& path) {
  const auto refuse = [&](std::string what) { throw Error(ErrorCode::bad_file, std::move(what), path); };
  if (bytes.size() < kHeaderBytes || std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) != 0)
    refuse("this is no statistics file of lowbit; give one that `lowbit` saved while calibrating");
  Reader header(bytes.subspan(kMagic.size(), kHeaderBytes - kMagic.size()), kMagic.size(), path);
  const auto version = header.number<uint32_t>(), reserved = header.number<uint32_t>();
  if (version != kVersion)
    refuse(
        fmt::format("the statistics file has version {}, but this program reads version {}; calibrate again or use "
                    "the program that wrote it",
                    version, kVersion));
  const auto size = header.number<uint64_t>(), hash = header.number<uint64_t>();
  const Bytes payload = bytes.subspan(kHeaderBytes);
  if (reserved != 0 || size != payload.size() || hash != XXH64(payload.data(), payload.size(), /*seed=*/0))
    refuse("the checksum or the size is wrong; the statistics file is damaged, copy it again or calibrate again");
  Reader reader(payload, kHeaderBytes, path);
  return read_payload(reader);
}

StatisticsSet load_statistics(const std::string& path) {
  const auto file = MappedFile::open(path);
  return read_statistics(file->bytes(), path);
}

}  // namespace lowbit
