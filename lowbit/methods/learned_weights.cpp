#include "lowbit/methods/learned_weights.h"

#include <algorithm>
#include <cmath>

#include "lowbit/numbers/element_groups.h"

namespace lowbit {

void Adam::step(float rate, const std::vector<float>& gradient, std::vector<float>& values) {
  constexpr float kFirst = 0.9f, kSecond = 0.999f;
  ++count_;
  const auto n = static_cast<double>(count_);
  const auto first = static_cast<float>(1 / (1 - std::pow(static_cast<double>(kFirst), n))),
             second = static_cast<float>(1 / (1 - std::pow(static_cast<double>(kSecond), n)));
  for (size_t i = 0; i < values.size(); ++i) {
    first_[i] = kFirst * first_[i] + (1 - kFirst) * gradient[i];
    second_[i] = kSecond * second_[i] + (1 - kSecond) * gradient[i] * gradient[i];
    values[i] -= rate * first_[i] * first / (std::sqrt(second_[i] * second) + 1e-8f);
  }
}

LearnedWeights::LearnedWeights(const Quantization& quantization, const Tensor& levels, const Tensor& original,
                               std::vector<float> least_scale)
    : quantization_(quantization),
      values_(levels),
      group_(group_of_elements(quantization.granularity, levels.dims())),
      codes_(static_cast<size_t>(levels.count())),
      least_(std::move(least_scale)),
      code_moments_(codes_.size()),
      log_moments_(quantization.params.size() / 2) {
  constexpr float kLean = 0.45f;
  for (size_t g = 0; g < quantization.params.size() / 2; ++g) {
    logs_.push_back(0);
    scales_.push_back(quantization.params[g * 2]);
    zeros_.push_back(quantization.params[g * 2 + 1]);
  }
  least_.resize(logs_.size(), 0.0f);
  for (size_t i = 0; i < codes_.size(); ++i) {
    const auto g = static_cast<size_t>(group_[i]);
    const float scale = quantization.params[g * 2], level = levels.data<float>()[i];
    const float code = std::nearbyint(level / scale + zeros_[g]);
    codes_[i] = code + std::clamp((original.data<float>()[i] - level) / scale, -kLean, kLean);
  }
  round();
}

std::vector<float> LearnedWeights::params() const {
  std::vector<float> params;
  for (size_t g = 0; g < logs_.size(); ++g) {
    params.push_back(std::max(scales_[g] * std::exp(logs_[g]), least_[g]));
    params.push_back(zeros_[g]);
  }
  return params;
}

void LearnedWeights::round() {
  const std::vector<float> params = this->params();
  const CodeRange range = quantization_.codes();
  float* to = values_.mutable_data<float>();
  for (size_t i = 0; i < codes_.size(); ++i) {
    const auto g = static_cast<size_t>(group_[i]) * 2;
    const float code =
        std::clamp(std::nearbyint(codes_[i]), static_cast<float>(range.min), static_cast<float>(range.max));
    to[i] = (code - params[g + 1] + 0.0f) * params[g];  // never -0
  }
}

void LearnedWeights::learn(const Tensor& gradient, const LearningRates& rates) {
  constexpr float kOutside = 0.5f;
  const CodeRange range = quantization_.codes();
  const std::vector<float> params = this->params();
  std::vector<float> by_code(codes_.size()), by_log(logs_.size(), 0.0f);
  const float* g = gradient.data<float>();
  for (size_t i = 0; i < codes_.size(); ++i) {
    const auto group = static_cast<size_t>(group_[i]);
    by_code[i] = g[i] * params[group * 2];
    by_log[group] += g[i] * values_.data<float>()[i];
  }
  code_moments_.step(static_cast<float>(rates.weights), by_code, codes_);
  log_moments_.step(static_cast<float>(rates.scales), by_log, logs_);
  // Further out nothing changes, and the way back would only get longer.
  for (float& code : codes_)
    code = std::clamp(code, static_cast<float>(range.min) - kOutside, static_cast<float>(range.max) + kOutside);
  round();
}

void LearnedWeights::restore(State state) {
  codes_ = std::move(state.codes);
  logs_ = std::move(state.logs);
  round();
}

}  // namespace lowbit
