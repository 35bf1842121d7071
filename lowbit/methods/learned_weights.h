// learned_weights.h: low-bit weights of one layer that are learned by gradients. A weight is scale_g * (code - zero_g)
// with code = round(v), and v, a real number in steps of its group, is what is learned: the gradient passes through the
// rounding as if it were not there (straight through; Bengio et al., arXiv:1308.3432) and stops where v leaves the
// codes. Scales are learned as logarithms, d w / d log scale = w.
#pragma once

#include <vector>

#include "lowbit/core/graph.h"

namespace lowbit {

/// First and second moments of one list of numbers under Adam (Kingma and Ba, arXiv:1412.6980).
class Adam {
 public:
  explicit Adam(size_t count) : first_(count, 0.0f), second_(count, 0.0f) {}
  /// values[i] -= rate * m_i / (sqrt(v_i) + 1e-8), with the moments corrected for their start.
  void step(float rate, const std::vector<float>& gradient, std::vector<float>& values);

 private:
  std::vector<float> first_, second_;
  int count_ = 0;
};

struct LearningRates {
  double weights;  ///< steps of the codes
  double scales;   ///< of the logarithms
};

class LearnedWeights {
 public:
  /// `levels`: the rounded weights to start from; `original`: the float weights, towards which v leans inside its code,
  /// by at most 0.45. The annotation is linear. `least_scale[g]`: what scales stay above.
  LearnedWeights(const Quantization& quantization, const Tensor& levels, const Tensor& original,
                 std::vector<float> least_scale);

  const Tensor& values() const { return values_; }
  std::vector<float> params() const;

  /// One step of Adam down the gradient dL / d values.
  void learn(const Tensor& gradient, const LearningRates& rates);

  /// What a step changes, to go back to.
  struct State {
    std::vector<float> codes, logs;
  };
  State state() const { return {codes_, logs_}; }
  void restore(State state);

 private:
  void round();

  Quantization quantization_;
  Tensor values_;
  std::vector<int32_t> group_;
  std::vector<float> codes_, logs_, scales_, zeros_, least_;  ///< a scale is scales_ * exp(logs_)
  Adam code_moments_, log_moments_;
};

}  // namespace lowbit
