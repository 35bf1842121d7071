#include "lowbit/numbers/kmeans.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "lowbit/base/random.h"
#include "lowbit/base/threads.h"
#include "lowbit/numbers/level_table.h"
#include "lowbit/numbers/vector_search.h"

namespace lowbit {
namespace {

constexpr int64_t kSampleVectors = int64_t{1} << 17;  ///< that the first turns use
constexpr int64_t kSeedVectors = int64_t{1} << 14;    ///< that the seeds are chosen from, more for large codebooks
constexpr int64_t kSeedsPerEntry = 8;
constexpr int kSampleTurns = 40, kFullTurns = 6;
constexpr double kLeastGain = 1e-4;               ///< of the error, below which turns end
constexpr int64_t kMostStarts = 32;               ///< of small searches, whose local optima differ most
constexpr int64_t kStartWork = int64_t{1} << 15;  ///< vectors * entries that all starts may take in one turn
constexpr uint64_t kSeed = 20070107;
constexpr int64_t kBlock = 2048;  ///< vectors of one task

/// Vectors [n, size] with a weight for every component; a missing component has weight 0.
struct Vectors {
  int size;
  std::vector<float> x, w;
  int64_t count() const { return static_cast<int64_t>(x.size()) / size; }
  const float* values(int64_t i) const { return x.data() + i * size; }
  const float* weights(int64_t i) const { return w.data() + i * size; }
};

/// Non-finite values have no weight.
Vectors cut(const FitData& data, int64_t row_length, int size) {
  Vectors result{size, {}, {}};
  const int64_t n = static_cast<int64_t>(data.x.size());
  const int64_t row = row_length > 0 ? row_length : n;
  for (int64_t begin = 0; begin < n; begin += row)
    for (int64_t at = begin; at < std::min(begin + row, n); at += size)
      for (int64_t j = at; j < at + size; ++j) {
        const bool there = j < std::min(begin + row, n) && std::isfinite(data.x[static_cast<size_t>(j)]);
        result.x.push_back(there ? data.x[static_cast<size_t>(j)] : 0);
        result.w.push_back(there ? static_cast<float>(data.weight(static_cast<size_t>(j))) : 0);
      }
  return result;
}

Vectors sampled(const Vectors& all, int64_t most) {
  if (all.count() <= most) return all;
  Vectors result{all.size, {}, {}};
  for (int64_t k = 0; k < most; ++k) {
    const int64_t i = k * all.count() / most;
    result.x.insert(result.x.end(), all.values(i), all.values(i) + all.size);
    result.w.insert(result.w.end(), all.weights(i), all.weights(i) + all.size);
  }
  return result;
}

class Search {
 public:
  Search(const Vectors& vectors, int64_t count, ThreadPool* threads)
      : v_(vectors),
        count_(count),
        threads_(threads),
        codes_(static_cast<size_t>(v_.count())),
        errors_(static_cast<size_t>(v_.count())) {}

  /// Each next seed is drawn with a probability in proportion to its distance from those before.
  std::vector<float> seeds(uint64_t start) {
    std::vector<float> entries;
    Random random(kSeed, start);
    std::vector<double> distance(static_cast<size_t>(v_.count()), std::numeric_limits<double>::infinity());
    int64_t chosen = first_seed();
    for (int64_t k = 0;; ++k) {
      entries.insert(entries.end(), v_.values(chosen), v_.values(chosen) + v_.size);
      if (k + 1 == count_) return entries;
      const VectorTable one({v_.values(chosen), static_cast<size_t>(v_.size)}, 1, v_.size);
      assign(one);
      for (size_t i = 0; i < distance.size(); ++i) distance[i] = std::min(distance[i], errors_[i]);
      chosen = draw(distance, random.uniform());
    }
  }

  /// Lloyd's turns; entries: [count, size]. Returns the error of the last entries that were measured.
  double improve(std::vector<float>& entries, int turns) {
    double error = std::numeric_limits<double>::infinity();
    for (int turn = 0; turn < turns; ++turn) {
      assign(VectorTable(entries, count_, v_.size));
      const double next = std::accumulate(errors_.begin(), errors_.end(), 0.0);
      if (!(next < error * (1 - kLeastGain))) return std::min(next, error);
      error = next;
      move_to_means(entries);
    }
    return error;
  }

 private:
  /// The vector nearest to the mean.
  int64_t first_seed() {
    std::vector<float> mean(static_cast<size_t>(v_.size));
    std::fill(codes_.begin(), codes_.end(), 0);
    const int64_t count = std::exchange(count_, 1);
    move_to_means(mean);
    count_ = count;
    assign(VectorTable(mean, 1, v_.size));
    return std::min_element(errors_.begin(), errors_.end()) - errors_.begin();
  }

  int64_t draw(const std::vector<double>& share, double uniform) const {
    const double total = std::accumulate(share.begin(), share.end(), 0.0);
    double rest = uniform * total;
    for (size_t i = 0; i < share.size(); ++i) {
      rest -= share[i];
      if (rest < 0) return static_cast<int64_t>(i);
    }
    return std::max_element(share.begin(), share.end()) - share.begin();
  }

  void assign(const VectorTable& table) {
    const auto work = [&](int64_t begin, int64_t end) {
      table.nearest(v_.values(begin), v_.weights(begin), (end - begin) * v_.size, codes_.data() + begin,
                    errors_.data() + begin);
    };
    if (threads_)
      threads_->parallel_blocks(v_.count(), kBlock, work);
    else
      work(0, v_.count());
  }

  void move_to_means(std::vector<float>& entries) {
    const size_t size = static_cast<size_t>(v_.size);
    std::vector<double> sums(static_cast<size_t>(count_) * size), weights(sums.size());
    std::vector<char> used(static_cast<size_t>(count_));
    for (size_t i = 0; i < codes_.size(); ++i) {
      const size_t at = static_cast<size_t>(codes_[i]) * size;
      used[static_cast<size_t>(codes_[i])] = 1;
      for (size_t j = 0; j < size; ++j) {
        const double w = static_cast<double>(v_.w[i * size + j]);
        sums[at + j] += w * static_cast<double>(v_.x[i * size + j]);
        weights[at + j] += w;
      }
    }
    for (size_t k = 0; k < sums.size(); ++k)
      if (weights[k] > 0) entries[k] = saturate_to_float(sums[k] / weights[k]);
    for (size_t k = 0; k < used.size(); ++k)
      if (!used[k]) take_worst(entries.data() + k * size);
  }

  void take_worst(float* entry) {
    const auto worst = std::max_element(errors_.begin(), errors_.end());
    if (worst == errors_.end() || !(*worst > 0)) return;
    std::copy_n(v_.values(worst - errors_.begin()), v_.size, entry);
    *worst = 0;
  }

  const Vectors& v_;
  int64_t count_;
  ThreadPool* threads_;
  std::vector<int32_t> codes_;
  std::vector<double> errors_;
};

}  // namespace

std::vector<float> kmeans(const FitData& data, int64_t row_length, int64_t count, int size, ThreadPool* threads) {
  const Vectors all = cut(data, row_length, size);
  if (all.count() == 0) return std::vector<float>(static_cast<size_t>(count * size), 0);
  const Vectors for_seeds = sampled(all, std::max(kSeedVectors, kSeedsPerEntry * count));
  const Vectors for_turns = sampled(all, std::max(kSampleVectors, kSeedsPerEntry * count));
  const int64_t starts = std::clamp<int64_t>(kStartWork / (all.count() * count), 1, kMostStarts);
  std::vector<float> best;
  double best_error = std::numeric_limits<double>::infinity();
  for (int64_t start = 0; start < starts; ++start) {
    std::vector<float> entries = Search(for_seeds, count, threads).seeds(static_cast<uint64_t>(start));
    const double error = Search(for_turns, count, threads).improve(entries, kSampleTurns);
    if (best.empty() || error < best_error) {
      best = std::move(entries);
      best_error = error;
    }
  }
  if (for_turns.count() < all.count()) Search(all, count, threads).improve(best, kFullTurns);
  return best;
}

}  // namespace lowbit
