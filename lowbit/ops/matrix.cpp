#include <algorithm>
#include <type_traits>

#include "lowbit/ops/einsum.h"
#include "lowbit/ops/families.h"
#include "lowbit/ops/infer_helpers.h"
#include "lowbit/ops/matmul.h"
#include "lowbit/ops/op_helpers.h"
#include "lowbit/ops/quantize.h"

namespace lowbit {
namespace {

/// Sums of floats are kept in double; integers wrap.
template <typename T>
using Sum = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;

using MatrixTypes = TypeList<float, double, int32_t, int64_t, uint32_t, uint64_t>;

/// For each row of each batch: emit(output offset of the row, row sums of n). a_at(matrix, i, k) etc. are pointers and
/// strides, so that transposed operands need no copy.
template <typename A, typename B>
struct Operands {
  const A* a;
  const B* b;
  int64_t a_row, a_step;  ///< strides of A over m and k
  int64_t b_row, b_step;  ///< strides of B over k and n
};

template <typename S, typename A, typename B, typename Emit>
void multiply_rows(const MatMulGeometry& g, ThreadPool& threads, const Operands<A, B>& in, Emit emit) {
  threads.parallel_for(g.batches * g.m, [&](int64_t row) {
    const int64_t batch = row / g.m, i = row % g.m;
    const A* a = in.a + g.a_matrix(batch) * g.m * g.k + i * in.a_row;
    const B* b = in.b + g.b_matrix(batch) * g.k * g.n;
    std::vector<S> sums(static_cast<size_t>(g.n), S{});
    for (int64_t k = 0; k < g.k; ++k) {
      const S left = static_cast<S>(a[k * in.a_step]);
      const B* line = b + k * in.b_row;
      for (int64_t j = 0; j < g.n; ++j) sums[static_cast<size_t>(j)] += left * static_cast<S>(line[j * in.b_step]);
    }
    emit(row, sums);
  });
}

template <typename A, typename B>
Operands<A, B> plain_operands(const MatMulGeometry& g, const A* a, const B* b) {
  return {a, b, g.k, 1, g.n, 1};
}

void run_matmul(EvalContext& context) {
  const DType type = context.input(0).dtype();
  const Tensor a = widened(context.input(0)), b = widened(context.input(1));
  require_same_type(context.node(), type, context.input(1).dtype());
  const MatMulGeometry g = matmul_geometry(a.dims(), b.dims());
  Tensor y = make_output(context.node(), a.dtype(), g.out);
  dispatch(MatrixTypes{}, context.node(), a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* out = y.mutable_data<T>();
    multiply_rows<Sum<T>>(g, context.threads(), plain_operands(g, a.data<T>(), b.data<T>()),
                          [&](int64_t row, const auto& sums) {
                            for (size_t j = 0; j < sums.size(); ++j)
                              out[row * g.n + static_cast<int64_t>(j)] = static_cast<T>(sums[j]);
                          });
  });
  context.set_output(0, narrowed(std::move(y), type));
}

/// alpha and beta are floats; for integers they are applied in double and cut off, as a C cast does.
template <typename T>
T gemm_value(Sum<T> sum, T c, double alpha, double beta) {
  if constexpr (std::is_floating_point_v<T>)
    return static_cast<T>(alpha * sum + beta * static_cast<double>(c));
  else if (alpha == 1.0 && beta == 1.0)
    return static_cast<T>(sum + static_cast<uint64_t>(c));
  else
    return static_cast<T>(
        static_cast<int64_t>(alpha * static_cast<double>(static_cast<T>(sum)) + beta * static_cast<double>(c)));
}

void run_gemm(EvalContext& context) {
  const Node& node = context.node();
  const DType type = context.input(0).dtype();
  const Tensor a = widened(context.input(0)), b = widened(context.input(1));
  const Tensor c = context.has_input(2) ? widened(context.input(2)) : zero_output(node, a.dtype(), {});
  require_same_type(node, a.dtype(), b.dtype());
  require_same_type(node, a.dtype(), c.dtype());
  const GemmGeometry sizes = gemm_geometry(node, a.dims(), b.dims());
  const GemmBias bias = gemm_bias(c.dims(), sizes.m, sizes.n);
  MatMulGeometry g;
  g.m = sizes.m, g.k = sizes.k, g.n = sizes.n;
  const double alpha = node.attr_float("alpha", 1), beta = context.has_input(2) ? node.attr_float("beta", 1) : 1;
  Tensor y = make_output(node, a.dtype(), {g.m, g.n});
  dispatch(MatrixTypes{}, node, a.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    Operands<T, T> in = plain_operands(g, a.data<T>(), b.data<T>());
    if (sizes.transpose_a) in.a_row = 1, in.a_step = g.m;
    if (sizes.transpose_b) in.b_row = 1, in.b_step = g.k;
    T* out = y.mutable_data<T>();
    const T* pc = c.data<T>();
    multiply_rows<Sum<T>>(g, context.threads(), in, [&](int64_t row, const auto& sums) {
      for (int64_t j = 0; j < g.n; ++j)
        out[row * g.n + j] = gemm_value<T>(sums[static_cast<size_t>(j)],
                                           pc[row * bias.row_stride + j * bias.column_stride], alpha, beta);
    });
  });
  context.set_output(0, narrowed(std::move(y), type));
}

/// Sums of (a - a_zero[row]) * (b - b_zero[column]) of 8-bit codes; emit(row, sums).
template <typename Emit>
void multiply_codes(EvalContext& context, const MatMulGeometry& g, const Tensor& a, const Tensor& b,
                    const Tensor* a_zero, const Tensor* b_zero, Emit emit) {
  const std::vector<int64_t> az = channel_zeros(a_zero, g.m), bz = channel_zeros(b_zero, g.n);
  with_codes8(context.node(), a, [&](auto* pa) {
    with_codes8(context.node(), b, [&](auto* pb) {
      context.threads().parallel_for(g.batches * g.m, [&](int64_t row) {
        const int64_t batch = row / g.m, i = row % g.m, zero = az[static_cast<size_t>(i)];
        const auto* line = pa + (g.a_matrix(batch) * g.m + i) * g.k;
        const auto* matrix = pb + g.b_matrix(batch) * g.k * g.n;
        std::vector<int64_t> sums(static_cast<size_t>(g.n), 0);
        for (int64_t k = 0; k < g.k; ++k)
          for (int64_t j = 0; j < g.n; ++j)
            sums[static_cast<size_t>(j)] += (line[k] - zero) * (matrix[k * g.n + j] - bz[static_cast<size_t>(j)]);
        emit(row, sums);
      });
    });
  });
}

void run_matmul_integer(EvalContext& context) {
  const Tensor &a = context.input(0), &b = context.input(1);
  const MatMulGeometry g = matmul_geometry(a.dims(), b.dims());
  Tensor y = make_output(context.node(), DType::int32, g.out);
  int32_t* out = y.mutable_data<int32_t>();
  multiply_codes(context, g, a, b, context.optional_input(2), context.optional_input(3),
                 [&](int64_t row, const std::vector<int64_t>& sums) {
                   for (int64_t j = 0; j < g.n; ++j)
                     out[row * g.n + j] = static_cast<int32_t>(sums[static_cast<size_t>(j)]);
                 });
  context.set_output(0, std::move(y));
}

void run_qlinear_matmul(EvalContext& context) {
  const Tensor &a = context.input(0), &b = context.input(3);
  const MatMulGeometry g = matmul_geometry(a.dims(), b.dims());
  require(context.input(1).count() == 1, "scales of A per row are not handled ({})",
          dims_text(context.input(1).dims()));
  const Requantizer requantize(context, {.x_scale = 1, .w_scale = 4, .y_scale = 6, .y_zero = 7}, g.n);
  Tensor y = make_output(context.node(), context.input(7).dtype(), g.out);
  with_mutable_codes8(context.node(), y, [&](auto* out) {
    multiply_codes(context, g, a, b, &context.input(2), &context.input(5),
                   [&](int64_t row, const std::vector<int64_t>& sums) {
                     for (int64_t j = 0; j < g.n; ++j) requantize(sums[static_cast<size_t>(j)], j, out[row * g.n + j]);
                   });
  });
  context.set_output(0, std::move(y));
}

void infer_matmul(InferContext& context) { context.set_output(0, context.input_dtype(0), matmul_shape(context, 0, 1)); }
void infer_matmul_integer(InferContext& context) { context.set_output(0, DType::int32, matmul_shape(context, 0, 1)); }
void infer_qlinear_matmul(InferContext& context) {
  context.set_output(0, context.input_dtype(7), matmul_shape(context, 0, 3));
}

void infer_gemm(InferContext& context) {
  const Shape *a = context.input_shape(0), *b = context.input_shape(1);
  if (!a || !b) return context.set_output(0, context.input_dtype(0), Shape(2));
  require(a->size() == 2 && b->size() == 2, "Gemm needs two matrices, not {} and {}", shape_text(*a), shape_text(*b));
  const size_t ta = context.node().attr_int("transA", 0) != 0, tb = context.node().attr_int("transB", 0) != 0;
  const Dim &ka = (*a)[1 - ta], &kb = (*b)[tb];
  require(!ka.known() || !kb.known() || ka.size == kb.size, "the matrices {} and {} do not fit", shape_text(*a),
          shape_text(*b));
  context.set_output(0, context.input_dtype(0), Shape{(*a)[ta], (*b)[1 - tb]});
}

}  // namespace

std::span<const OpDef> matrix_ops() {
  static const OpDef rows[] = {
      {"", "Einsum", OpKind::compute, 1, -1, 1, 1, "equation", infer_einsum, run_einsum},
      {"", "Gemm", OpKind::compute, 2, 3, 1, 1, "alpha beta transA transB", infer_gemm, run_gemm},
      {"", "MatMul", OpKind::compute, 2, 2, 1, 1, "", infer_matmul, run_matmul},
      {"", "MatMulInteger", OpKind::compute, 2, 4, 1, 1, "", infer_matmul_integer, run_matmul_integer},
      {"", "QLinearMatMul", OpKind::compute, 8, 8, 1, 1, "", infer_qlinear_matmul, run_qlinear_matmul},
  };
  return rows;
}

}  // namespace lowbit
