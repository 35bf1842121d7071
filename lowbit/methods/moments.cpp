#include "lowbit/methods/moments.h"

#include <algorithm>
#include <cmath>

#include "lowbit/base/random.h"
#include "lowbit/methods/matrix_kernels.h"
#include "lowbit/ops/convolution.h"

namespace lowbit {
namespace {

constexpr int64_t kPositionsPerBlock = 256;  ///< summed in float before they go to double
constexpr int64_t kRowsPerTile = 32;

/// Reads the columns of a layer's input at given output positions.
class ColumnReader {
 public:
  /// A position is sample * positions_per_sample + place.
  ColumnReader(const Node& node, const Dims& x, const Dims& weight) : convolution_(node.is("Conv")) {
    if (convolution_) {
      geometry_ = conv_geometry(node, x, weight);
      positions_ = geometry_.batch * geometry_.out_size();
    } else {
      row_ = x.back();
      positions_ = row_ > 0 ? element_count(x) / row_ : 0;
    }
  }

  int64_t positions() const { return positions_; }

  /// Scratch of one thread.
  using Offsets = std::vector<int64_t>;

  /// out[c] = input of column first_column + c of the part's group at the position, minus pivot[c].
  void read(const float* x, int64_t position, const MatrixPart& part, const float* pivot, Offsets& offsets,
            float* out) const {
    if (convolution_)
      read_window(x, position, part, offsets, out);
    else
      std::copy_n(x + position * row_ + part.first_column, part.columns, out);
    for (int64_t c = 0; c < part.columns; ++c) out[c] -= pivot[c];
  }

 private:
  /// Where each tap lies inside a channel, or -1 in the padding.
  void find_taps(int64_t place, Offsets& offsets) const {
    const auto& [a, b, c] = geometry_.axes;
    const int64_t at_a = a.start(place / (b.out * c.out)), at_b = b.start(place / c.out % b.out),
                  at_c = c.start(place % c.out);
    offsets.clear();
    for (int64_t ka = 0; ka < a.kernel; ++ka)
      for (int64_t kb = 0; kb < b.kernel; ++kb)
        for (int64_t kc = 0; kc < c.kernel; ++kc) {
          const int64_t ia = at_a + ka * a.dilation, ib = at_b + kb * b.dilation, ic = at_c + kc * c.dilation;
          const bool inside = ia >= 0 && ia < a.in && ib >= 0 && ib < b.in && ic >= 0 && ic < c.in;
          offsets.push_back(inside ? (ia * b.in + ib) * c.in + ic : -1);
        }
  }

  void read_window(const float* x, int64_t position, const MatrixPart& part, Offsets& offsets, float* out) const {
    const ConvGeometry& g = geometry_;
    find_taps(position % g.out_size(), offsets);
    const int64_t taps = g.kernel_size(), size = g.in_size();
    const float* image = x + ((position / g.out_size()) * g.groups + part.group) * g.in_channels * size;
    const float* channel = image + part.first_column / taps * size;
    int64_t tap = part.first_column % taps;
    for (int64_t i = 0; i < part.columns; ++i) {
      const int64_t offset = offsets[static_cast<size_t>(tap)];
      out[i] = offset >= 0 ? channel[offset] : 0.0f;
      if (++tap < taps) continue;
      tap = 0;
      channel += size;
    }
  }

  bool convolution_;
  ConvGeometry geometry_;
  int64_t row_ = 0, positions_ = 0;
};

/// The sums of one part.
class PartSums {
 public:
  explicit PartSums(const MatrixPart& part)
      : part_(part),
        stride_(padded(part.columns, kTileColumns)),
        qq_(part.columns, part.columns),
        fq_(part.columns, part.columns),
        sum_f_(static_cast<size_t>(part.columns), 0.0),
        sum_q_(sum_f_),
        pivot_(static_cast<size_t>(part.columns), 0.0f) {}

  /// Subtracting about the mean first keeps the sums of products small, so that float32 is enough for them.
  void set_pivot(const ColumnReader& reader, const float* x, const std::vector<int64_t>& positions) {
    std::vector<float> row(static_cast<size_t>(part_.columns));
    std::vector<double> sum(row.size(), 0.0);
    const std::vector<float> zero(row.size(), 0.0f);
    ColumnReader::Offsets offsets;
    const size_t count = std::min<size_t>(positions.size(), 1024);
    for (size_t p = 0; p < count; ++p) {
      reader.read(x, positions[p], part_, zero.data(), offsets, row.data());
      for (size_t c = 0; c < row.size(); ++c) sum[c] += static_cast<double>(row[c]);
    }
    for (size_t c = 0; c < row.size() && count > 0; ++c)
      pivot_[c] = static_cast<float>(sum[c] / static_cast<double>(count));
  }

  /// roots: square roots of the positions' weights.
  void add(const ColumnReader& reader, const float* x_f, const float* x_q, std::span<const int64_t> positions,
           std::span<const float> roots, ThreadPool& threads) {
    const auto count = static_cast<int64_t>(positions.size());
    std::vector<float> f(static_cast<size_t>(kPositionsPerBlock * stride_), 0.0f), q(f);
    for (int64_t begin = 0; begin < count; begin += kPositionsPerBlock) {
      const int64_t size = std::min(kPositionsPerBlock, count - begin);
      threads.parallel_blocks(size, 64, [&](int64_t from, int64_t to) {
        ColumnReader::Offsets offsets;
        for (int64_t p = from; p < to; ++p) {
          const auto at = static_cast<size_t>(begin + p);
          reader.read(x_f, positions[at], part_, pivot_.data(), offsets, f.data() + p * stride_);
          reader.read(x_q, positions[at], part_, pivot_.data(), offsets, q.data() + p * stride_);
          for (int64_t c = 0; c < part_.columns; ++c) {
            f[static_cast<size_t>(p * stride_ + c)] *= roots[at];
            q[static_cast<size_t>(p * stride_ + c)] *= roots[at];
          }
        }
      });
      add_means(f.data(), size, roots.data() + begin, sum_f_);
      add_means(q.data(), size, roots.data() + begin, sum_q_);
      for (int64_t p = 0; p < size; ++p) {
        const auto root = static_cast<double>(roots[static_cast<size_t>(begin + p)]);
        weight_ += root * root;
      }
      threads.parallel_blocks(part_.columns, kRowsPerTile, [&](int64_t row, int64_t end) {
        add_tile(q.data(), q.data(), size, row, end, row, qq_);
        add_tile(f.data(), q.data(), size, row, end, 0, fq_);
      });
    }
    positions_ += count;
  }

  Moments result(bool centred) {
    Moments m;
    m.positions = positions_;
    const double n = weight_ > 0 ? weight_ : 1;
    const size_t size = sum_f_.size();
    for (size_t c = 0; c < size; ++c) {
      sum_f_[c] /= n;
      sum_q_[c] /= n;
      m.mean_f.push_back(sum_f_[c] + static_cast<double>(pivot_[c]));
      m.mean_q.push_back(sum_q_[c] + static_cast<double>(pivot_[c]));
    }
    for (size_t i = 0; i < size; ++i)
      for (size_t j = 0; j < size; ++j) {
        const auto row = static_cast<int64_t>(i), column = static_cast<int64_t>(j);
        const double means_q = centred ? 0 : m.mean_q[i] * m.mean_q[j],
                     means_f = centred ? 0 : m.mean_f[i] * m.mean_q[j];
        qq_.at(row, column) = j < i ? qq_.at(column, row) : qq_.at(row, column) / n - sum_q_[i] * sum_q_[j] + means_q;
        fq_.at(row, column) = fq_.at(row, column) / n - sum_f_[i] * sum_q_[j] + means_f;
      }
    m.qq = std::move(qq_);
    m.fq = std::move(fq_);
    return m;
  }

 private:
  void add_means(const float* x, int64_t count, const float* roots, std::vector<double>& sums) const {
    for (int64_t p = 0; p < count; ++p)
      for (size_t c = 0; c < sums.size(); ++c)
        sums[c] += static_cast<double>(roots[p]) * static_cast<double>(x[p * stride_ + static_cast<int64_t>(c)]);
  }

  /// Rows [row, end), columns from `column` on, of to += a^T b.
  void add_tile(const float* a, const float* b, int64_t count, int64_t row, int64_t end, int64_t column,
                Matrix& to) const {
    const int64_t width = padded(part_.columns - column, kTileColumns);
    std::vector<float> tile(static_cast<size_t>(padded(end - row, kTileRows) * width), 0.0f);
    add_transposed_product(1.0f, end - row, part_.columns - column, count, a + row, stride_, b + column, stride_,
                           tile.data(), width);
    for (int64_t i = row; i < end; ++i)
      for (int64_t j = column; j < part_.columns; ++j)
        to.at(i, j) += static_cast<double>(tile[static_cast<size_t>((i - row) * width + j - column)]);
  }

  MatrixPart part_;
  int64_t stride_, positions_ = 0;
  double weight_ = 0;
  Matrix qq_, fq_;
  std::vector<double> sum_f_, sum_q_;
  std::vector<float> pivot_;
};

int64_t positions_of(const LayerWalk& walk, const Node& node, const Dims& weight) {
  int64_t total = 0;
  for (int64_t chunk = 0; chunk < walk.chunks(); ++chunk)
    total += ColumnReader(node, walk.float_value(chunk, node.inputs[0]).dims(), weight).positions();
  return total;
}

}  // namespace

std::vector<MatrixPart> matrix_parts(const LayerMatrix& matrix) {
  std::vector<MatrixPart> parts;
  const int64_t pieces = (matrix.columns + kMostColumns - 1) / kMostColumns;
  for (int64_t g = 0; g < matrix.groups; ++g)
    for (int64_t p = 0; p < pieces; ++p) {
      const int64_t begin = p * matrix.columns / pieces, end = (p + 1) * matrix.columns / pieces;
      parts.push_back({g, begin, end - begin});
    }
  return parts;
}

std::vector<Moments> collect_moments(const LayerWalk& walk, const Node& node, const Dims& weight,
                                     const LayerMatrix& matrix, const std::vector<MatrixPart>& parts,
                                     const MomentOptions& options, ThreadPool& threads) {
  const ValueId input = node.inputs[0];
  const int64_t total = positions_of(walk, node, weight);
  if (total == 0) return {};
  const int64_t wanted = std::max(options.positions, 128 * std::min(matrix.columns, kMostColumns));
  const double share = static_cast<double>(wanted) / static_cast<double>(total);
  const Random random(options.seed);
  std::vector<PartSums> sums(parts.begin(), parts.end());
  bool first = true;
  int64_t seen = 0;
  for (int64_t chunk = 0; chunk < walk.chunks(); ++chunk) {
    const Tensor f = walk.float_value(chunk, input), q = walk.low_value(chunk, input);
    if (f.dtype() != DType::float32 || q.dtype() != DType::float32) return {};
    const ColumnReader reader(node, f.dims(), weight);
    std::vector<int64_t> positions;
    std::vector<float> roots;
    for (int64_t p = 0; p < reader.positions(); ++p, ++seen) {
      if (share < 1 && random.uniform_at(static_cast<uint64_t>(seen)) >= share) continue;
      positions.push_back(p);
      roots.push_back(static_cast<float>(std::sqrt(walk.weight_of(chunk, p, reader.positions()))));
    }
    if (positions.empty()) continue;
    const auto work = [&](PartSums& part) {
      if (first) part.set_pivot(reader, f.data<float>(), positions);
      part.add(reader, f.data<float>(), q.data<float>(), positions, roots, threads);
    };
    if (sums.size() == 1)
      work(sums[0]);  // the part itself is cut for the threads
    else
      threads.parallel_for(static_cast<int64_t>(sums.size()), [&](int64_t i) { work(sums[static_cast<size_t>(i)]); });
    first = false;
  }
  std::vector<Moments> result;
  for (PartSums& part : sums) result.push_back(part.result(options.centred));
  return result;
}

}  // namespace lowbit
