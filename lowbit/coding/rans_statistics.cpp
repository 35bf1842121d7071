#include "lowbit/coding/rans_statistics.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

constexpr int kHeaderBytes = 3;

int width_of(uint32_t remaining) { return std::bit_width(remaining); }

/// Counts -> frequencies that sum to 2^precision, at least 1 for every symbol that occurs. False if there are too many
/// symbols.
bool normalize(const SymbolCounts& counts, uint64_t total, RansStatistics& result) {
  const auto wanted = int64_t{1} << result.precision;
  int64_t sum = 0;
  std::array<double, 256> ideal{};
  for (int s = result.first; s <= result.last; ++s) {
    const auto at = static_cast<size_t>(s);
    ideal[at] = static_cast<double>(counts[at]) / static_cast<double>(total) * static_cast<double>(wanted);
    const int64_t rounded = std::max<int64_t>(counts[at] > 0, static_cast<int64_t>(ideal[at] + 0.5));
    result.frequency[at] = static_cast<uint16_t>(rounded);
    sum += rounded;
  }
  // What rounding gave too much or too little goes where a step costs fewest bits: count * |log2(f / (f +- 1))|.
  while (sum != wanted) {
    const int step = sum > wanted ? -1 : 1;
    int best = -1;
    double best_cost = INFINITY;
    for (int s = result.first; s <= result.last; ++s) {
      const auto at = static_cast<size_t>(s);
      const double f = result.frequency[at];
      if (f == 0 || f + step < 1) continue;
      const double cost = static_cast<double>(counts[at]) * std::log2(f / (f + step));
      if (cost < best_cost) best_cost = cost, best = s;
    }
    if (best < 0) return false;
    result.frequency[static_cast<size_t>(best)] =
        static_cast<uint16_t>(result.frequency[static_cast<size_t>(best)] + step);
    sum += step;
  }
  return true;
}

double coded_bits(const SymbolCounts& counts, const RansStatistics& statistics) {
  double bits = 0;
  for (int s = statistics.first; s <= statistics.last; ++s)
    if (const auto count = counts[static_cast<size_t>(s)]; count > 0)
      bits += static_cast<double>(count) *
              (statistics.precision - std::log2(static_cast<double>(statistics.frequency[static_cast<size_t>(s)])));
  return bits;
}

}  // namespace

SymbolCounts count_symbols(std::span<const uint8_t> symbols) {
  // Four tables, so that runs of one symbol do not wait for their own counter.
  std::array<SymbolCounts, 4> parts{};
  size_t i = 0;
  for (; i + 4 <= symbols.size(); i += 4)
    for (size_t k = 0; k < 4; ++k) ++parts[k][symbols[i + k]];
  for (; i < symbols.size(); ++i) ++parts[0][symbols[i]];
  for (size_t s = 0; s < parts[0].size(); ++s) parts[0][s] += parts[1][s] + parts[2][s] + parts[3][s];
  return parts[0];
}

RansStatistics choose_statistics(const SymbolCounts& counts) {
  RansStatistics base;
  uint64_t total = 0;
  for (const uint64_t count : counts) total += count;
  LOWBIT_CHECK(total > 0);
  const auto occurs = [](uint64_t count) { return count > 0; };
  base.first = static_cast<uint8_t>(std::find_if(counts.begin(), counts.end(), occurs) - counts.begin());
  base.last = static_cast<uint8_t>(255 - (std::find_if(counts.rbegin(), counts.rend(), occurs) - counts.rbegin()));
  if (base.constant()) {
    base.precision = 1;
    base.frequency[base.first] = 2;
    return base;
  }
  RansStatistics best;
  double best_bits = INFINITY;
  for (int precision = 1; precision <= kRansBits; ++precision) {
    RansStatistics candidate = base;
    candidate.precision = precision;
    if (!normalize(counts, total, candidate)) continue;
    std::vector<uint8_t> stored;
    write_statistics(candidate, stored);
    const double bits = coded_bits(counts, candidate) + 8.0 * static_cast<double>(stored.size());
    if (bits < best_bits) best_bits = bits, best = candidate;
  }
  return best;
}

void write_statistics(const RansStatistics& statistics, std::vector<uint8_t>& bytes) {
  bytes.push_back(static_cast<uint8_t>(statistics.precision));
  bytes.push_back(statistics.first);
  bytes.push_back(statistics.last);
  uint64_t pending = 0;
  int pending_bits = 0;
  uint32_t remaining = 1u << statistics.precision;
  for (int s = statistics.first; s < statistics.last; ++s) {
    const uint32_t frequency = statistics.frequency[static_cast<size_t>(s)];
    pending |= static_cast<uint64_t>(frequency) << pending_bits;
    pending_bits += width_of(remaining);
    remaining -= frequency;
    for (; pending_bits >= 8; pending_bits -= 8, pending >>= 8) bytes.push_back(static_cast<uint8_t>(pending));
  }
  if (pending_bits > 0) bytes.push_back(static_cast<uint8_t>(pending));
}

RansStatistics read_statistics(std::span<const uint8_t>& bytes) {
  const auto damaged = [] {
    return Error(ErrorCode::bad_file, "the statistics of entropy-coded weights are inconsistent (the file is damaged)");
  };
  if (bytes.size() < kHeaderBytes) throw damaged();
  RansStatistics result;
  result.precision = bytes[0];
  result.first = bytes[1];
  result.last = bytes[2];
  if (result.precision < 1 || result.precision > kRansBits || result.last < result.first) throw damaged();
  bytes = bytes.subspan(kHeaderBytes);
  uint32_t remaining = 1u << result.precision, pending = 0;
  int pending_bits = 0;
  for (int s = result.first; s < result.last; ++s) {
    const int width = width_of(remaining);
    while (pending_bits < width) {
      if (bytes.empty()) throw damaged();
      pending |= static_cast<uint32_t>(bytes[0]) << pending_bits;
      pending_bits += 8;
      bytes = bytes.subspan(1);
    }
    const uint32_t frequency = pending & ((1u << width) - 1);
    pending >>= width;
    pending_bits -= width;
    if (frequency > remaining) throw damaged();
    result.frequency[static_cast<size_t>(s)] = static_cast<uint16_t>(frequency);
    remaining -= frequency;
  }
  result.frequency[result.last] = static_cast<uint16_t>(remaining);
  if (pending != 0 || remaining == 0 || result.frequency[result.first] == 0) throw damaged();
  return result;
}

}  // namespace lowbit
