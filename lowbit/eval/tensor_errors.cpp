// Errors of numbers: tensors against their reference, outputs against targets.
#include <cmath>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include "lowbit/eval/bootstrap.h"
#include "lowbit/eval/metrics.h"

namespace lowbit {
namespace {

void check_same_count(const Tensor& a, const Tensor& b) {
  if (a.count() != b.count())
    throw Error(ErrorCode::bad_argument, fmt::format("a tensor of shape {} cannot be compared with one of shape {}",
                                                     dims_text(a.dims()), dims_text(b.dims())));
}

/// max that keeps NaN.
double worse(double largest, double value) { return value <= largest || std::isnan(largest) ? largest : value; }

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

}  // namespace

void ErrorAccumulator::add(const Tensor& reference, const Tensor& other) {
  check_same_count(reference, other);
  const Tensor reference_floats = to_float32(reference), other_floats = to_float32(other);
  const float* x = reference_floats.data<float>();
  const float* y = other_floats.data<float>();
  for (int64_t i = 0; i < reference.count(); ++i) {
    const double r = x[i], o = y[i];
    const double difference = r == o ? 0.0 : r - o;  // equal infinities have no difference
    signal_ += r * r;
    other_ += o * o;
    dot_ += r * o;
    noise_ += difference * difference;
    max_abs_ = worse(max_abs_, std::abs(difference));
  }
  count_ += reference.count();
}

TensorError ErrorAccumulator::result() const {
  TensorError error;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (noise_ == 0)
    error.sqnr_db = kInfinity;
  else
    error.sqnr_db = signal_ == 0 ? -kInfinity : 10 * std::log10(signal_ / noise_);
  error.mse = count_ == 0 ? 0.0 : noise_ / static_cast<double>(count_);
  if (signal_ == 0 || other_ == 0)
    error.cosine = signal_ == other_ ? 1 : 0;
  else
    error.cosine = dot_ / (std::sqrt(signal_) * std::sqrt(other_));
  error.max_abs = max_abs_;
  return error;
}

void RegressionScores::add(const Tensor& outputs, const Tensor& targets) {
  check_same_count(outputs, targets);
  if (outputs.count() == 0) return;
  const int64_t batch = targets.rank() == 0 ? 1 : targets.dim(0), per_sample = targets.count() / batch;
  const Tensor output_floats = to_float32(outputs), target_floats = to_float32(targets);
  const float* y = output_floats.data<float>();
  const float* t = target_floats.data<float>();
  for (int64_t sample = 0; sample < batch; ++sample) {
    double squared = 0, absolute = 0;
    for (int64_t i = sample * per_sample; i < (sample + 1) * per_sample; ++i) {
      const double difference = static_cast<double>(y[i]) - t[i];
      squared += difference * difference;
      absolute += std::abs(difference);
      max_ = worse(max_, std::abs(difference));
    }
    squared_.push_back(squared / static_cast<double>(per_sample));
    absolute_.push_back(absolute / static_cast<double>(per_sample));
  }
}

std::map<std::string, Metric> RegressionScores::metrics() const {
  if (squared_.empty()) return {};
  const std::vector<Interval> intervals = bootstrap(samples(), 2, [this](const std::vector<int32_t>& times) {
    double squared = 0, absolute = 0;
    for (size_t i = 0; i < times.size(); ++i) {
      squared += times[i] * squared_[i];
      absolute += times[i] * absolute_[i];
    }
    return std::vector<double>{squared / static_cast<double>(samples()), absolute / static_cast<double>(samples())};
  });
  return {{"mse", {mean(squared_), intervals[0]}},
          {"mae", {mean(absolute_), intervals[1]}},
          {"max_error", {max_, {max_, max_}}}};
}

}  // namespace lowbit
