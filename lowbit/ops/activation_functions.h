// activation_functions.h: the activation functions of networks, y = F(node)(x), by the formulas of the ONNX operator
// pages. Each functor reads its attributes once. They serve the references (activation.cpp) and the look-up tables of
// the small runtime, so that both have the same bits.
#pragma once

#include <cmath>
#include <limits>
#include <string>
#include <type_traits>

#include "lowbit/core/graph.h"
#include "lowbit/ops/dispatch.h"

namespace lowbit::functions {

/// One or two float attributes with the operator's defaults.
struct AlphaBeta {
  AlphaBeta(const Node& node, const char* first, float first_default, const char* second = nullptr,
            float second_default = 0)
      : alpha(node.attr_float(first, first_default)),
        beta(second ? node.attr_float(second, second_default) : second_default) {}
  float alpha, beta;
};

template <typename T>
T sigmoid(T x) {
  return T{1} / (T{1} + std::exp(-x));
}

/// log(1 + e^x) without overflow.
template <typename T>
T softplus(T x) {
  return (x > 0 ? x : T{0}) + std::log1p(std::exp(-std::fabs(x)));
}

struct Celu : AlphaBeta {
  explicit Celu(const Node& node) : AlphaBeta(node, "alpha", 1.0f) {}
  template <typename T>
  T operator()(T x) const {
    return x > 0 ? x : static_cast<T>(alpha) * std::expm1(x / static_cast<T>(alpha));
  }
};

struct Elu : AlphaBeta {
  explicit Elu(const Node& node) : AlphaBeta(node, "alpha", 1.0f) {}
  template <typename T>
  T operator()(T x) const {
    return x > 0 ? x : static_cast<T>(alpha) * std::expm1(x);
  }
};

struct Gelu {
  explicit Gelu(const Node& node) {
    const std::string kind = node.attr_string("approximate", "none");
    if (kind != "none" && kind != "tanh") node_error(node, "attribute approximate must be 'none' or 'tanh'");
    tanh = kind == "tanh";
  }
  template <typename T>
  T operator()(T x) const {
    if (tanh) return T(0.5) * x * (T(1) + std::tanh(T(0.7978845608028654) * (x + T(0.044715) * x * x * x)));
    return T(0.5) * x * (T(1) + std::erf(x * T(0.7071067811865476)));
  }
  bool tanh;
};

struct HardSigmoid : AlphaBeta {
  explicit HardSigmoid(const Node& node) : AlphaBeta(node, "alpha", 0.2f, "beta", 0.5f) {}
  template <typename T>
  T operator()(T x) const {
    const T y = static_cast<T>(alpha) * x + static_cast<T>(beta);
    return y < 0 ? T{0} : y > 1 ? T{1} : y;
  }
};

struct HardSwish {
  template <typename T>
  T operator()(T x) const {
    const T y = x / T(6) + T(0.5);
    return x * (y < 0 ? T{0} : y > 1 ? T{1} : y);
  }
};

struct LeakyRelu : AlphaBeta {
  explicit LeakyRelu(const Node& node) : AlphaBeta(node, "alpha", 0.01f) {}
  template <typename T>
  T operator()(T x) const {
    return x < 0 ? static_cast<T>(alpha) * x : x;
  }
};

struct Mish {
  template <typename T>
  T operator()(T x) const {
    return x * std::tanh(softplus(x));
  }
};

struct Relu {
  template <typename T>
  T operator()(T x) const {
    return x < T{0} ? T{0} : x;
  }
};

struct Selu : AlphaBeta {
  explicit Selu(const Node& node)
      : AlphaBeta(node, "alpha", 1.67326319217681884765625f, "gamma", 1.05070102214813232421875f) {}
  template <typename T>
  T operator()(T x) const {
    return static_cast<T>(beta) * (x > 0 ? x : static_cast<T>(alpha) * std::expm1(x));
  }
};

/// Soft or hard shrinkage; integers are computed in double, as the attributes are real numbers.
struct Shrink : AlphaBeta {
  explicit Shrink(const Node& node) : AlphaBeta(node, "bias", 0.0f, "lambd", 0.5f) {}
  template <typename T>
  T operator()(T x) const {
    using Wide = std::conditional_t<std::is_same_v<T, float>, float, double>;
    const Wide value = static_cast<Wide>(x), bias = static_cast<Wide>(alpha), lambda = static_cast<Wide>(beta);
    const Wide y = value < -lambda ? value + bias : value > lambda ? value - bias : Wide{0};
    if constexpr (std::is_floating_point_v<T>) return y;
    const Wide low = static_cast<Wide>(std::numeric_limits<T>::lowest());
    const Wide high = static_cast<Wide>(std::numeric_limits<T>::max());
    if (!(y > low)) return std::numeric_limits<T>::lowest();
    return y >= high ? std::numeric_limits<T>::max() : static_cast<T>(y);
  }
};

struct Sigmoid {
  template <typename T>
  T operator()(T x) const {
    return sigmoid(x);
  }
};

struct Softplus {
  template <typename T>
  T operator()(T x) const {
    return softplus(x);
  }
};

struct Softsign {
  template <typename T>
  T operator()(T x) const {
    return x / (T{1} + std::fabs(x));
  }
};

struct Swish : AlphaBeta {
  explicit Swish(const Node& node) : AlphaBeta(node, "alpha", 1.0f) {}
  template <typename T>
  T operator()(T x) const {
    return x * sigmoid(static_cast<T>(alpha) * x);
  }
};

struct Tanh {
  template <typename T>
  T operator()(T x) const {
    return std::tanh(x);
  }
};

struct ThresholdedRelu : AlphaBeta {
  explicit ThresholdedRelu(const Node& node) : AlphaBeta(node, "alpha", 1.0f) {}
  template <typename T>
  T operator()(T x) const {
    return x > static_cast<T>(alpha) ? x : T{0};
  }
};

}  // namespace lowbit::functions
