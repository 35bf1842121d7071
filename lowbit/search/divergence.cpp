#include "lowbit/search/divergence.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace lowbit::search {
namespace {

constexpr double kLeastProbability = 1e-7;  // a float32 softmax gives no smaller ones reliably

/// p log(p / q)
double term(double p, double q) {
  return p > 0 ? p * std::log(std::max(p, kLeastProbability) / std::max(q, kLeastProbability)) : 0.0;
}

std::vector<double> softmax(std::span<const float> row) {
  const double most = static_cast<double>(*std::max_element(row.begin(), row.end()));
  std::vector<double> result;
  double sum = 0;
  for (const float x : row) sum += result.emplace_back(std::exp(static_cast<double>(x) - most));
  for (double& p : result) p /= sum;
  return result;
}

double between_classes(std::span<const double> p, std::span<const double> q) {
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) sum += term(p[i], q[i]);
  return sum;
}

}  // namespace

std::string_view kind_name(OutputKind kind) {
  return kind == OutputKind::values ? "relative squared error of the output" : "KL divergence of the output";
}

OutputKind output_kind(const Tensor& rows, bool has_labels) {
  const int64_t width = rows.dim(1);
  bool chances = true, sums = width > 1;
  for (int64_t r = 0; r < rows.dim(0); ++r) {
    double sum = 0;
    for (int64_t c = 0; c < width; ++c) {
      const float x = rows.data<float>()[r * width + c];
      chances = chances && x >= 0 && x <= 1 + 1e-4f;
      sum += static_cast<double>(x);
    }
    sums = sums && std::abs(sum - 1) < 1e-3;
  }
  if (chances && sums) return OutputKind::probabilities;
  if (chances && width == 1) return OutputKind::chances;
  return has_labels && width > 1 ? OutputKind::scores : OutputKind::values;
}

double divergence(OutputKind kind, std::span<const float> reference, std::span<const float> row) {
  double sum = 0;
  if (kind == OutputKind::scores) {
    sum = between_classes(softmax(reference), softmax(row));
  } else if (kind == OutputKind::values) {
    double noise = 0, signal = 0;
    for (size_t i = 0; i < row.size(); ++i) {
      const double x = static_cast<double>(reference[i]), d = static_cast<double>(row[i]) - x;
      noise += d * d;
      signal += x * x;
    }
    sum = noise > 0 ? noise / std::max(signal, 1e-30) : 0;
  } else {
    for (size_t i = 0; i < row.size(); ++i) {
      const double p = static_cast<double>(reference[i]), q = static_cast<double>(row[i]);
      sum += term(p, q);
      if (kind == OutputKind::chances) sum += term(1 - p, 1 - q);
    }
    if (kind == OutputKind::chances) sum /= static_cast<double>(row.size());
  }
  return std::isfinite(sum) ? std::clamp(sum, 0.0, kWorstDivergence) : kWorstDivergence;
}

}  // namespace lowbit::search
