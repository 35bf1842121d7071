// matmul.h: shapes of batched matrix products with NumPy's rules, shared by the references and the fast versions.
#pragma once

#include "lowbit/ops/op.h"

namespace lowbit {

/// C[b, m, n] = sum over k of A[b, m, k] B[b, k, n]; vectors count as one row (A) or one column (B), whose dimension
/// then disappears. Batch dimensions broadcast.
struct MatMulGeometry {
  int64_t m = 1, k = 1, n = 1, batches = 1;
  Dims batch;             ///< broadcast
  Dims a_batch, b_batch;  ///< of the operands, right-aligned to `batch`, missing ones 1
  Dims out;               ///< of the result

  /// Index of the operand's matrix for a batch.
  int64_t a_matrix(int64_t index) const { return matrix(a_batch, index); }
  int64_t b_matrix(int64_t index) const { return matrix(b_batch, index); }

 private:
  int64_t matrix(const Dims& dims, int64_t index) const;
};

/// Throws Error{bad_file} if the shapes do not fit.
MatMulGeometry matmul_geometry(const Dims& a, const Dims& b);

/// The same for shape inference.
std::optional<Shape> matmul_shape(const InferContext& context, size_t a_at, size_t b_at);

/// Sizes of Gemm: Y[m, n] = alpha op(A) op(B) + beta C.
struct GemmGeometry {
  int64_t m, k, n;
  bool transpose_a, transpose_b;
};
GemmGeometry gemm_geometry(const Node& node, const Dims& a, const Dims& b);

/// Strides (0 where it repeats) of Gemm's C over [m, n]. Throws Error{bad_file} if C does not broadcast to it.
struct GemmBias {
  int64_t row_stride, column_stride;
};
GemmBias gemm_bias(const Dims& c, int64_t m, int64_t n);

}  // namespace lowbit
