#include "lowbit/ops/gradient.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string_view>

#include "lowbit/ops/evaluate.h"
#include "lowbit/ops/onednn.h"
#include "lowbit/ops/op.h"
#include "lowbit/ops/pooling.h"

namespace lowbit {
namespace {

using Gradients = std::vector<Tensor>;

bool wants(const GradientContext& c, size_t i) { return i < c.wanted.size() && c.wanted[i] && c.inputs[i] != nullptr; }

const float* in(const GradientContext& c, size_t i) { return c.inputs[i]->data<float>(); }

/// dL/dx of y = f(x), slope(x, y) = f'(x), for operators of one activation.
template <typename Slope>
Gradients elementwise(const GradientContext& c, Slope slope) {
  Gradients result(c.inputs.size());
  if (!wants(c, 0)) return result;
  result[0] = Tensor::uninitialized(DType::float32, c.inputs[0]->dims());
  float* to = result[0].mutable_data<float>();
  const float *x = in(c, 0), *y = c.output.data<float>(), *g = c.gradient.data<float>();
  for (int64_t i = 0; i < c.output.count(); ++i) to[i] = g[i] * slope(x[i], y[i]);
  return result;
}

Gradients conv(const GradientContext& c) {
  Gradients result(c.inputs.size());
  ConvGradients made = conv_gradients(c.node, *c.inputs[0], *c.inputs[1], c.gradient, wants(c, 0), wants(c, 1));
  result[0] = std::move(made.x);
  result[1] = std::move(made.w);
  return result;
}

/// C = op(A) op(B), dense, row-major.
void product(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, const float* a, const float* b,
             float* c) {
  const onednn::SingleThread single;
  dnnl_sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, 1, a, transpose_a ? m : k, b,
             transpose_b ? k : n, 0, c, n);
}

/// y [m, n] = x [m, k] w, w [k, n] or, transposed, [n, k].
Gradients matrix(const GradientContext& c, bool transposed) {
  Gradients result(c.inputs.size());
  const Tensor &x = *c.inputs[0], &w = *c.inputs[1];
  if (w.rank() != 2 || x.rank() < 1)
    throw Error(ErrorCode::unsupported, "there is no gradient of a product of stacks of matrices", c.node.name);
  const int64_t k = w.dim(transposed ? 1 : 0), n = w.dim(transposed ? 0 : 1), m = k > 0 ? x.count() / k : 0;
  const float* g = c.gradient.data<float>();
  if (wants(c, 0)) {
    result[0] = Tensor::uninitialized(DType::float32, x.dims());
    product(false, !transposed, m, k, n, g, w.data<float>(), result[0].mutable_data<float>());
  }
  if (wants(c, 1)) {
    result[1] = Tensor::uninitialized(DType::float32, w.dims());
    float* to = result[1].mutable_data<float>();
    if (transposed)
      product(true, false, n, k, m, g, x.data<float>(), to);
    else
      product(true, false, k, n, m, x.data<float>(), g, to);
  }
  return result;
}

Gradients matmul(const GradientContext& c) { return matrix(c, false); }
Gradients gemm(const GradientContext& c) {
  if (c.node.attr_float("alpha", 1) != 1 || c.node.attr_float("beta", 1) != 1 || c.node.attr_int("transA", 0) != 0)
    throw Error(ErrorCode::unsupported, "there is no gradient of a Gemm that scales or transposes its input",
                c.node.name);
  return matrix(c, c.node.attr_int("transB", 0) != 0);
}

/// Calls visit(i, offset) for the elements i of a tensor of `dims`; offset: of the same element in a tensor whose
/// dimensions are those of `small`, right-aligned, with size 1 where values repeat.
template <typename Visit>
void with_repeated(const Dims& dims, const Dims& small, Visit visit) {
  Dims steps = dims, at = dims;
  int64_t stride = 1;
  for (size_t d = dims.size(), s = small.size(); d-- > 0;) {
    const int64_t size = s > 0 ? small[--s] : 1;
    steps[d] = size == 1 ? 0 : stride;
    stride *= size;
    at[d] = 0;
  }
  const int64_t count = element_count(dims);
  for (int64_t i = 0, offset = 0; i < count; ++i) {
    visit(i, offset);
    for (size_t d = dims.size(); d-- > 0;) {
      offset += steps[d];
      if (++at[d] < dims[d]) break;
      offset -= steps[d] * at[d];
      at[d] = 0;
    }
  }
}

/// The sum of a gradient over the axes along which an operand was repeated.
Tensor reduced(const Tensor& gradient, const Dims& dims) {
  Tensor result(DType::float32, dims);
  float* to = result.mutable_data<float>();
  const float* g = gradient.data<float>();
  with_repeated(gradient.dims(), dims, [&](int64_t i, int64_t offset) { to[offset] += g[i]; });
  return result;
}

Gradients sum(const GradientContext& c) {
  Gradients result(c.inputs.size());
  for (size_t i = 0; i < 2; ++i)
    if (wants(c, i))
      result[i] = c.inputs[i]->dims() == c.gradient.dims() ? c.gradient : reduced(c.gradient, c.inputs[i]->dims());
  return result;
}

Gradients relu(const GradientContext& c) {
  return elementwise(c, [](float, float y) { return y > 0 ? 1.0f : 0.0f; });
}
Gradients clip(const GradientContext& c) {
  const auto limit = [&](size_t i, float fallback) {
    return i < c.inputs.size() && c.inputs[i] && c.inputs[i]->count() == 1 ? *in(c, i) : fallback;
  };
  const float low = limit(1, -INFINITY), high = limit(2, INFINITY);
  return elementwise(c, [=](float x, float) { return x > low && x < high ? 1.0f : 0.0f; });
}
Gradients leaky_relu(const GradientContext& c) {
  const float slope = c.node.attr_float("alpha", 0.01f);
  return elementwise(c, [=](float x, float) { return x > 0 ? 1.0f : slope; });
}
Gradients sigmoid(const GradientContext& c) {
  return elementwise(c, [](float, float y) { return y * (1 - y); });
}
Gradients tanh(const GradientContext& c) {
  return elementwise(c, [](float, float y) { return 1 - y * y; });
}

/// Windows of a pooling operator: visit(input offset of the plane, output offset, taps inside the input, their
/// offsets).
template <typename Visit>
void windows(const PoolGeometry& g, Visit visit) {
  const auto& [a, b, e] = g.axes;
  std::vector<int64_t> taps;
  int64_t to = 0;
  for (int64_t plane = 0; plane < g.planes; ++plane)
    for (int64_t oa = 0; oa < a.out; ++oa)
      for (int64_t ob = 0; ob < b.out; ++ob)
        for (int64_t oe = 0; oe < e.out; ++oe, ++to) {
          taps.clear();
          const auto [a0, a1] = a.taps(oa);
          const auto [b0, b1] = b.taps(ob);
          const auto [e0, e1] = e.taps(oe);
          for (int64_t ka = a0; ka < a1; ++ka)
            for (int64_t kb = b0; kb < b1; ++kb)
              for (int64_t ke = e0; ke < e1; ++ke)
                taps.push_back(((a.start(oa) + ka * a.dilation) * b.in + b.start(ob) + kb * b.dilation) * e.in +
                               e.start(oe) + ke * e.dilation);
          visit(plane * g.in_size(), to, oa, ob, oe, taps);
        }
}

Gradients max_pool(const GradientContext& c) {
  Gradients result(c.inputs.size());
  if (!wants(c, 0)) return result;
  result[0] = Tensor(DType::float32, c.inputs[0]->dims());
  float* to = result[0].mutable_data<float>();
  const float *x = in(c, 0), *g = c.gradient.data<float>();
  windows(pool_geometry(c.node, c.inputs[0]->dims()),
          [&](int64_t plane, int64_t out, int64_t, int64_t, int64_t, const std::vector<int64_t>& taps) {
            if (taps.empty()) return;
            const int64_t best = *std::max_element(taps.begin(), taps.end(),
                                                   [&](int64_t l, int64_t r) { return x[plane + l] < x[plane + r]; });
            to[plane + best] += g[out];
          });
  return result;
}

Gradients average_pool(const GradientContext& c) {
  Gradients result(c.inputs.size());
  if (!wants(c, 0)) return result;
  result[0] = Tensor(DType::float32, c.inputs[0]->dims());
  float* to = result[0].mutable_data<float>();
  const float* g = c.gradient.data<float>();
  const PoolGeometry geometry = pool_geometry(c.node, c.inputs[0]->dims());
  const bool padding_counts = c.node.attr_int("count_include_pad", 0) != 0;
  windows(geometry,
          [&](int64_t plane, int64_t out, int64_t oa, int64_t ob, int64_t oe, const std::vector<int64_t>& taps) {
            const auto& [a, b, e] = geometry.axes;
            const int64_t count = padding_counts ? padded_taps(a, oa) * padded_taps(b, ob) * padded_taps(e, oe)
                                                 : static_cast<int64_t>(taps.size());
            for (const int64_t tap : taps) to[plane + tap] += g[out] / static_cast<float>(count);
          });
  return result;
}

/// A mean over all axes behind `axis`, or any other whose result repeats its gradient: GlobalAveragePool, ReduceMean.
Gradients mean(const GradientContext& c) {
  Gradients result(c.inputs.size());
  if (!wants(c, 0)) return result;
  const Dims& dims = c.inputs[0]->dims();
  std::vector<char> summed(dims.size(), 0);
  if (c.node.is("GlobalAveragePool")) {
    std::fill(summed.begin() + 2, summed.end(), char{1});
  } else {
    std::vector<int64_t> axes = c.node.attr_ints("axes");
    if (c.inputs.size() > 1 && c.inputs[1]) axes = to_int64(*c.inputs[1]);
    for (int64_t axis : axes) summed[static_cast<size_t>(axis < 0 ? axis + c.inputs[0]->rank() : axis)] = 1;
    if (axes.empty()) std::fill(summed.begin(), summed.end(), char{1});
  }
  Dims kept = dims;
  for (size_t d = 0; d < dims.size(); ++d)
    if (summed[d]) kept[d] = 1;
  const auto share = static_cast<float>(c.output.count()) / static_cast<float>(c.inputs[0]->count());
  const Tensor g = c.gradient.reshaped(kept);
  result[0] = Tensor::uninitialized(DType::float32, dims);
  float* to = result[0].mutable_data<float>();
  const float* from = g.data<float>();
  with_repeated(dims, kept, [&](int64_t i, int64_t offset) { to[i] = share * from[offset]; });
  return result;
}

/// Operators whose results are elements of their input: the operator is applied to the elements' numbers (from 1 on; 0
/// is padding), which says where each came from.
Gradients movement(const GradientContext& c) {
  Gradients result(c.inputs.size());
  ThreadPool threads(1);
  int64_t first = 1;
  std::vector<Tensor> numbers(c.inputs.size());
  std::vector<const Tensor*> given = c.inputs;
  const size_t sources = c.node.is("Concat") ? c.inputs.size() : 1;
  for (size_t i = 0; i < sources; ++i) {
    numbers[i] = Tensor::uninitialized(DType::int64, c.inputs[i]->dims());
    for (int64_t& number : numbers[i].mutable_values<int64_t>()) number = first++;
    given[i] = &numbers[i];
  }
  const Tensor zero = Tensor::scalar<int64_t>(0);
  if (c.node.is("Pad") && given.size() > 2 && given[2]) given[2] = &zero;
  const Tensor from = evaluate_node(c.node, given, threads)[0];
  std::vector<float> sums(static_cast<size_t>(first), 0.0f);
  for (int64_t i = 0; i < from.count(); ++i)
    sums[static_cast<size_t>(from.data<int64_t>()[i])] += c.gradient.data<float>()[i];
  int64_t at = 1;
  for (size_t i = 0; i < sources; ++i) {
    const int64_t count = c.inputs[i]->count();
    if (wants(c, i)) {
      result[i] = Tensor::uninitialized(DType::float32, c.inputs[i]->dims());
      std::copy_n(sums.begin() + at, count, result[i].mutable_data<float>());
    }
    at += count;
  }
  return result;
}

/// The bytes stay in place.
Gradients reshape(const GradientContext& c) {
  Gradients result(c.inputs.size());
  if (wants(c, 0)) result[0] = c.gradient.reshaped(c.inputs[0]->dims());
  return result;
}

struct Row {
  std::string_view op;
  Gradients (*run)(const GradientContext& context);
};

const Row* find_row(const Node& node) {
  static constexpr Row kRows[] = {
      {"Add", sum},
      {"AveragePool", average_pool},
      {"Clip", clip},
      {"Concat", movement},
      {"Conv", conv},
      {"Flatten", reshape},
      {"Gemm", gemm},
      {"GlobalAveragePool", mean},
      {"Identity", reshape},
      {"LeakyRelu", leaky_relu},
      {"MatMul", matmul},
      {"MaxPool", max_pool},
      {"Pad", movement},
      {"ReduceMean", mean},
      {"Relu", relu},
      {"Reshape", reshape},
      {"Sigmoid", sigmoid},
      {"Slice", movement},
      {"Squeeze", reshape},
      {"Tanh", tanh},
      {"Transpose", movement},
      {"Unsqueeze", reshape},
  };
  if (!node.domain.empty() || node.outputs.size() != 1) return nullptr;
  const auto* found = std::find_if(std::begin(kRows), std::end(kRows), [&](const Row& r) { return r.op == node.op; });
  return found == std::end(kRows) ? nullptr : found;
}

}  // namespace

bool has_gradient(const Node& node) { return find_row(node) != nullptr; }

std::vector<Tensor> gradients(const GradientContext& context) {
  const Row* row = find_row(context.node);
  if (!row) throw Error(ErrorCode::unsupported, "there is no gradient of " + context.node.full_op(), context.node.name);
  return row->run(context);
}

}  // namespace lowbit
