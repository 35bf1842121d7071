#include "lowbit/methods/learning_data.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "lowbit/base/random.h"
#include "lowbit/ops/evaluate.h"

namespace lowbit {
namespace {

constexpr int64_t kMemoryBytes = int64_t{1} << 30;
constexpr double kShareOfSquares = 0.1;  ///< of the loss on classes: keeps a gradient where the classes are certain

/// Probabilities of one row.
void softmax(const float* x, int64_t count, std::vector<double>& p) {
  const float largest = *std::max_element(x, x + count);
  double sum = 0;
  p.resize(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) sum += p[static_cast<size_t>(i)] = std::exp(static_cast<double>(x[i] - largest));
  for (double& share : p) share /= sum;
}

/// Whether the first axis of every input counts samples that can be put together anew.
bool can_regroup(const Graph& graph, const std::vector<std::vector<Tensor>>& chunks,
                 const std::vector<int64_t>& samples) {
  for (ValueId id : graph.inputs) {
    const auto& shape = graph.value(id).shape;
    if (!shape || shape->empty() || (*shape)[0].known()) return false;
  }
  for (size_t c = 0; c < chunks.size(); ++c)
    for (const Tensor& x : chunks[c])
      if (x.rank() < 1 || x.dim(0) != samples[c] ||
          Dims(x.dims().begin() + 1, x.dims().end()) !=
              Dims(chunks[0][static_cast<size_t>(&x - chunks[c].data())].dims().begin() + 1,
                   chunks[0][static_cast<size_t>(&x - chunks[c].data())].dims().end()))
        return false;
  return true;
}

std::vector<int64_t> permutation(int64_t count, uint64_t seed) {
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), int64_t{0});
  Random random(seed, 77);
  for (int64_t i = count; i > 1; --i)
    std::swap(order[static_cast<size_t>(i - 1)], order[static_cast<size_t>(random.below(i))]);
  return order;
}

}  // namespace

void LossPoint::observe(const Tensor& wanted) {
  for (const float x : wanted.values<float>()) {
    sum_ += static_cast<double>(x);
    squares_ += static_cast<double>(x) * static_cast<double>(x);
  }
  count_ += static_cast<double>(wanted.count());
}

double LossPoint::loss(const Tensor& wanted, const Tensor& made, Tensor* gradient) const {
  if (gradient) *gradient = Tensor(DType::float32, made.dims());
  if (!classes_) return add_squares(wanted, made, 1, gradient);
  return add_divergence(wanted, made, gradient) + add_squares(wanted, made, kShareOfSquares, gradient);
}

double LossPoint::add_squares(const Tensor& wanted, const Tensor& made, double weight, Tensor* gradient) const {
  const double mean = sum_ / count_, variance = squares_ / count_ - mean * mean;
  if (!(variance > 0)) return 0;
  const double unit = weight / (variance * static_cast<double>(made.count()));
  const float *x = made.data<float>(), *y = wanted.data<float>();
  float* to = gradient ? gradient->mutable_data<float>() : nullptr;
  double sum = 0;
  for (int64_t i = 0; i < made.count(); ++i) {
    const double d = static_cast<double>(x[i]) - static_cast<double>(y[i]);
    sum += d * d;
    if (to) to[i] += static_cast<float>(2 * d * unit);
  }
  return sum * unit;
}

double LossPoint::add_divergence(const Tensor& wanted, const Tensor& made, Tensor* gradient) const {
  const int64_t classes = made.dims().back(), rows = classes > 0 ? made.count() / classes : 0;
  float* to = gradient ? gradient->mutable_data<float>() : nullptr;
  std::vector<double> p, q;
  double sum = 0;
  for (int64_t r = 0; r < rows; ++r) {
    softmax(wanted.data<float>() + r * classes, classes, p);
    softmax(made.data<float>() + r * classes, classes, q);
    for (int64_t c = 0; c < classes; ++c) {
      const double wanted_share = p[static_cast<size_t>(c)], share = q[static_cast<size_t>(c)];
      if (wanted_share > 0) sum += wanted_share * std::log(wanted_share / std::max(share, 1e-300));
      if (to) to[r * classes + c] += static_cast<float>((share - wanted_share) / static_cast<double>(rows));
    }
  }
  return sum / static_cast<double>(rows);
}

LearningData::LearningData(const MethodContext& context, std::vector<LossPoint>& points)
    : graph_(*context.float_graph), store_(kMemoryBytes) {
  std::vector<std::vector<Tensor>> chunks;
  std::vector<int64_t> samples;
  const BatchSource source = context.batches();
  NamedTensors inputs;
  for (int64_t count = 0; (count = source(inputs)) > 0; inputs.clear()) {
    chunks.emplace_back();
    for (ValueId id : graph_.inputs) chunks.back().push_back(inputs.find(graph_.value(id).name)->second);
    samples.push_back(count);
  }
  cut(chunks, samples, context.recipe.seed);
  chunks.clear();
  run_float(context, points);
}

void LearningData::cut(const std::vector<std::vector<Tensor>>& chunks, const std::vector<int64_t>& samples,
                       uint64_t seed) {
  const bool regroup = can_regroup(graph_, chunks, samples);
  if (!regroup) {
    for (const int64_t chunk : permutation(static_cast<int64_t>(chunks.size()), seed)) {
      for (size_t i = 0; i < graph_.inputs.size(); ++i)
        store_.put(blocks_, graph_.inputs[i], chunks[static_cast<size_t>(chunk)][i]);
      ++blocks_;
    }
    return;
  }
  std::vector<std::pair<size_t, int64_t>> place;  // of each sample: chunk and row
  for (size_t c = 0; c < chunks.size(); ++c)
    for (int64_t r = 0; r < samples[c]; ++r) place.emplace_back(c, r);
  const auto total = static_cast<int64_t>(place.size());
  const std::vector<int64_t> order = permutation(total, seed);
  for (int64_t begin = 0; begin + kBlock <= total; begin += kBlock, ++blocks_)
    for (size_t i = 0; i < graph_.inputs.size(); ++i) {
      Dims dims = chunks[0][i].dims();
      const size_t row = chunks[0][i].byte_size() / static_cast<size_t>(dims[0]);
      dims[0] = kBlock;
      Tensor block = Tensor::uninitialized(chunks[0][i].dtype(), dims);
      std::byte* to = block.mutable_raw();
      for (int64_t k = 0; k < kBlock; ++k, to += row) {
        const auto [chunk, at] = place[static_cast<size_t>(order[static_cast<size_t>(begin + k)])];
        std::memcpy(to, chunks[chunk][i].raw().data() + static_cast<size_t>(at) * row, row);
      }
      store_.put(blocks_, graph_.inputs[i], std::move(block));
    }
}

void LearningData::run_float(const MethodContext& context, std::vector<LossPoint>& points) {
  int64_t block = 0;
  EvaluateOptions options;
  options.on_value = [&](const Graph& where, ValueId id, Tensor& x) {
    if (&where != &graph_ || x.dtype() != DType::float32) return;
    for (LossPoint& point : points) {
      if (point.value() != id) continue;
      point.observe(x);
      store_.put(block, id, x);
    }
  };
  Evaluator evaluator(graph_, context.threads, options);
  for (; block < blocks_; ++block) {
    NamedTensors inputs;
    for (ValueId id : graph_.inputs) inputs[graph_.value(id).name] = store_.get(block, id);
    evaluator.run(inputs);
  }
}

std::vector<Tensor> LearningData::inputs(int64_t block) const {
  std::vector<Tensor> result;
  for (ValueId id : graph_.inputs) result.push_back(store_.get(block, id));
  return result;
}

}  // namespace lowbit
