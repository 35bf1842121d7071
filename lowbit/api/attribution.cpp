#include "lowbit/api/attribution.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "lowbit/api/inference.h"
#include "lowbit/api/runner.h"
#include "lowbit/base/text.h"
#include "lowbit/eval/bootstrap.h"
#include "lowbit/eval/metrics.h"

namespace lowbit {
namespace {

constexpr int64_t kGrid = 8, kStretches = 16, kFlatStretches = 32, kMostChannels = 8;
constexpr int64_t kLeastSide = 8;  // of a picture
constexpr int kPathPoints = 4;

/// The cell of each element of one sample.
struct Cells {
  std::vector<int32_t> of;
  int32_t count = 0;
};

int64_t part(int64_t i, int64_t size, int64_t parts) { return i * std::min(size, parts) / size; }

/// dims: of a batch of one.
Cells cut(const Dims& dims) {
  Cells cells;
  int64_t size = 1;
  for (size_t i = 1; i < dims.size(); ++i) size *= dims[i];
  const bool last = dims.size() == 4 && dims[3] <= 4 && dims[1] >= kLeastSide && dims[2] >= kLeastSide;
  const bool first = dims.size() == 4 && !last && dims[1] <= 4 && dims[2] >= kLeastSide && dims[3] >= kLeastSide;
  for (int64_t i = 0; i < size; ++i) {
    int64_t cell = 0;
    if (last || first) {
      const int64_t height = dims[last ? 1 : 2], width = dims[last ? 2 : 3];
      const int64_t pixel = last ? i / dims[3] : i % (height * width);
      cell = part(pixel / width, height, kGrid) * std::min(width, kGrid) + part(pixel % width, width, kGrid);
    } else if (dims.size() >= 3) {
      const int64_t channels = size / dims[1];
      cell = part(i / channels, dims[1], kStretches) * std::min(channels, kMostChannels) +
             part(i % channels, channels, kMostChannels);
    } else {
      cell = part(i, size, kFlatStretches);
    }
    cells.of.push_back(static_cast<int32_t>(cell));
    cells.count = std::max(cells.count, static_cast<int32_t>(cell) + 1);
  }
  return cells;
}

/// One model, asked for the score of a class of many variants of a sample.
class Scorer {
 public:
  Scorer(const Model& model, ThreadPool& threads)
      : inference_(model.graph, threads), batch_(usable_batch(model.graph, kBatchSamples)) {}

  Tensor output(const NamedTensors& inputs) { return to_float32(inference_.run_ordered(inputs)[0]); }

  /// `variants` rows of the input `name`; other inputs stay as in `sample`.
  std::vector<double> scores(const NamedTensors& sample, const std::string& name,
                             const std::vector<std::vector<float>>& variants, int64_t decision) {
    std::vector<double> result;
    const int64_t step = sample.size() == 1 ? batch_ : 1;
    for (int64_t begin = 0; begin < static_cast<int64_t>(variants.size()); begin += step) {
      const int64_t count = std::min<int64_t>(step, static_cast<int64_t>(variants.size()) - begin);
      NamedTensors inputs = sample;
      Dims dims = sample.at(name).dims();
      dims[0] = count;
      std::vector<float> values;
      for (int64_t i = 0; i < count; ++i)
        values.insert(values.end(), variants[static_cast<size_t>(begin + i)].begin(),
                      variants[static_cast<size_t>(begin + i)].end());
      inputs[name] = Tensor::from<float>(dims, values).cast(sample.at(name).dtype());
      const Tensor out = output(inputs);
      const int64_t width = out.count() / count;
      for (int64_t i = 0; i < count; ++i)
        result.push_back(out.data<float>()[i * width + std::min(decision, width - 1)]);
    }
    return result;
  }

 private:
  Inference inference_;
  int64_t batch_;
};

float mean_of(const std::vector<float>& values) {
  return static_cast<float>(std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size()));
}

/// The variants whose scores make the map, cell by cell: with the cell, without it.
std::vector<std::vector<float>> variants_of(const std::vector<float>& x, const Cells& cells, AttributionMethod method) {
  const float base = mean_of(x);
  std::vector<std::vector<float>> variants;
  const auto add = [&](float way, int32_t cell, bool with) {
    std::vector<float> variant(x.size());
    for (size_t i = 0; i < x.size(); ++i)
      variant[i] = cells.of[i] == cell ? (with ? x[i] : base) : base + way * (x[i] - base);
    variants.push_back(std::move(variant));
  };
  const int points = method == AttributionMethod::occlusion ? 1 : kPathPoints;
  for (int k = 0; k < points; ++k) {
    const float way = points == 1 ? 1.0f : (static_cast<float>(k) + 0.5f) / static_cast<float>(points);
    for (int32_t cell = 0; cell < cells.count; ++cell) {
      add(way, cell, true);
      add(way, cell, false);
    }
  }
  return variants;
}

std::vector<double> map_of(const std::vector<double>& scores, int32_t cells) {
  std::vector<double> map(static_cast<size_t>(cells), 0);
  const size_t points = scores.size() / (2 * map.size());
  for (size_t i = 0; i + 1 < scores.size(); i += 2)
    map[i / 2 % map.size()] += (scores[i] - scores[i + 1]) / static_cast<double>(points);
  return map;
}

/// Equal values share the mean of their ranks.
std::vector<double> ranks_of(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (size_t i = 0; i < order.size();) {
    size_t end = i;
    while (end < order.size() && values[order[end]] == values[order[i]]) ++end;
    for (size_t k = i; k < end; ++k) ranks[order[k]] = 0.5 * static_cast<double>(i + end - 1);
    i = end;
  }
  return ranks;
}

double cosine_of(const std::vector<double>& a, const std::vector<double>& b, double centre_a, double centre_b) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += (a[i] - centre_a) * (b[i] - centre_b);
    aa += (a[i] - centre_a) * (a[i] - centre_a);
    bb += (b[i] - centre_b) * (b[i] - centre_b);
  }
  return aa > 0 && bb > 0 ? ab / std::sqrt(aa * bb) : NAN;
}

double top_overlap(const std::vector<double>& a, const std::vector<double>& b) {
  const size_t most = std::max<size_t>(1, a.size() / 8);
  const auto top = [&](const std::vector<double>& values) {
    std::vector<size_t> order(values.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t i, size_t j) { return values[i] > values[j]; });
    order.resize(most);
    std::sort(order.begin(), order.end());
    return order;
  };
  const std::vector<size_t> x = top(a), y = top(b);
  std::vector<size_t> both;
  std::set_intersection(x.begin(), x.end(), y.begin(), y.end(), std::back_inserter(both));
  return static_cast<double>(both.size()) / static_cast<double>(most);
}

Metric mean_metric(const std::vector<double>& values) {
  const auto mean = [&](const std::vector<int32_t>& times) {
    double sum = 0, count = 0;
    for (size_t i = 0; i < values.size(); ++i)
      if (!std::isnan(values[i])) sum += times[i] * values[i], count += times[i];
    return std::vector<double>{count > 0 ? sum / count : NAN};
  };
  const auto n = static_cast<int64_t>(values.size());
  return {mean(std::vector<int32_t>(values.size(), 1))[0], bootstrap(n, 1, mean)[0]};
}

std::string first_float_input(const Graph& graph, const NamedTensors& inputs) {
  for (const ValueId id : graph.inputs) {
    const auto found = inputs.find(graph.value(id).name);
    if (found != inputs.end() && is_float(found->second.dtype()) && found->second.rank() >= 2) return found->first;
  }
  throw Error(ErrorCode::bad_argument, "the model has no float input with samples in its first dimension",
              "--attribution");
}

}  // namespace

AttributionMethod parse_attribution(const std::string& text) {
  if (text == "occlusion") return AttributionMethod::occlusion;
  if (text == "gradients") return AttributionMethod::gradients;
  throw Error(ErrorCode::bad_argument,
              fmt::format("there is no attribution '{}' (known are occlusion, gradients)", printable(text, 60)),
              "--attribution");
}

AttributionAgreement compare_attributions(const Model& float_model, const Model& low_bit, const DataSet& data,
                                          ThreadPool& threads, AttributionMethod method, int64_t samples,
                                          const std::function<void(double share)>& progress) {
  Scorer reference(float_model, threads), other(low_bit, threads);
  AttributionAgreement result;
  result.method = method == AttributionMethod::occlusion ? "occlusion" : "gradients";
  result.samples = std::min(samples, data.size());
  result.least_correlation = INFINITY;
  std::vector<double> ranks, cosines, overlaps;
  for (int64_t s = 0; s < result.samples; ++s) {
    const int64_t at = (2 * s + 1) * data.size() / (2 * result.samples);
    const NamedTensors sample = bind_inputs(float_model.graph, data.read(at, 1));
    const std::string name = first_float_input(float_model.graph, sample);
    const Tensor x = to_float32(sample.at(name));
    const Cells cells = cut(x.dims());
    result.cells = cells.count;
    const Tensor output = reference.output(sample);
    const int64_t decision =
        std::max_element(output.values<float>().begin(), output.values<float>().end()) - output.values<float>().begin();
    const auto variants = variants_of({x.values<float>().begin(), x.values<float>().end()}, cells, method);
    const std::vector<double> a = map_of(reference.scores(sample, name, variants, decision), cells.count);
    const std::vector<double> b = map_of(other.scores(sample, name, variants, decision), cells.count);
    const double centre = 0.5 * static_cast<double>(cells.count - 1);
    ranks.push_back(cosine_of(ranks_of(a), ranks_of(b), centre, centre));
    cosines.push_back(cosine_of(a, b, 0, 0));
    overlaps.push_back(top_overlap(a, b));
    if (ranks.back() < result.least_correlation) {
      result.least_correlation = ranks.back();
      result.least_alike = data.sample_name(at);
    }
    if (progress) progress(static_cast<double>(s + 1) / static_cast<double>(result.samples));
  }
  result.rank_correlation = mean_metric(ranks);
  result.cosine = mean_metric(cosines);
  result.top_overlap = mean_metric(overlaps);
  return result;
}

}  // namespace lowbit
