#include "lowbit/ops/infer_helpers.h"
#include "lowbit/ops/matmul.h"
#include "lowbit/ops/op_helpers.h"

namespace lowbit {

int64_t MatMulGeometry::matrix(const Dims& dims, int64_t index) const {
  int64_t result = 0, step = 1;
  for (size_t i = batch.size(); i-- > 0;) {
    const int64_t at = index % batch[i];
    index /= batch[i];
    if (dims[i] > 1) result += at * step;
    step *= dims[i];
  }
  return result;
}

MatMulGeometry matmul_geometry(const Dims& a, const Dims& b) {
  require(!a.empty() && !b.empty(), "a matrix product needs vectors or matrices, not {} and {}", dims_text(a),
          dims_text(b));
  MatMulGeometry g;
  const size_t a_rank = a.size(), b_rank = b.size();
  g.m = a_rank > 1 ? a[a_rank - 2] : 1;
  g.k = a[a_rank - 1];
  g.n = b_rank > 1 ? b[b_rank - 1] : 1;
  require(b[b_rank > 1 ? b_rank - 2 : 0] == g.k, "the matrices {} and {} do not fit", dims_text(a), dims_text(b));
  if (a_rank > 2) g.a_batch.assign(a.begin(), a.end() - 2);
  if (b_rank > 2) g.b_batch.assign(b.begin(), b.end() - 2);
  g.batch = broadcast_dims(g.a_batch, g.b_batch);
  g.a_batch.insert(g.a_batch.begin(), g.batch.size() - g.a_batch.size(), 1);
  g.b_batch.insert(g.b_batch.begin(), g.batch.size() - g.b_batch.size(), 1);
  g.batches = element_count(g.batch);
  g.out = g.batch;
  if (a_rank > 1) g.out.push_back(g.m);
  if (b_rank > 1) g.out.push_back(g.n);
  return g;
}

std::optional<Shape> matmul_shape(const InferContext& context, size_t a_at, size_t b_at) {
  const Shape *a = context.input_shape(a_at), *b = context.input_shape(b_at);
  if (!a || !b) return std::nullopt;
  require(!a->empty() && !b->empty(), "a matrix product needs vectors or matrices, not {} and {}", shape_text(*a),
          shape_text(*b));
  const Dim &ka = a->back(), &kb = (*b)[b->size() > 1 ? b->size() - 2 : 0];
  require(!ka.known() || !kb.known() || ka.size == kb.size, "the matrices {} and {} do not fit", shape_text(*a),
          shape_text(*b));
  const Shape a_batch(a->begin(), a->end() - static_cast<std::ptrdiff_t>(std::min<size_t>(2, a->size())));
  const Shape b_batch(b->begin(), b->end() - static_cast<std::ptrdiff_t>(std::min<size_t>(2, b->size())));
  Shape out = broadcast_shapes(context.node(), a_batch, b_batch);
  if (a->size() > 1) out.push_back((*a)[a->size() - 2]);
  if (b->size() > 1) out.push_back(b->back());
  return out;
}

GemmGeometry gemm_geometry(const Node& node, const Dims& a, const Dims& b) {
  require(a.size() == 2 && b.size() == 2, "Gemm needs two matrices, not {} and {}", dims_text(a), dims_text(b));
  GemmGeometry g{};
  g.transpose_a = node.attr_int("transA", 0) != 0;
  g.transpose_b = node.attr_int("transB", 0) != 0;
  g.m = a[g.transpose_a ? 1 : 0];
  g.k = a[g.transpose_a ? 0 : 1];
  g.n = b[g.transpose_b ? 0 : 1];
  require(b[g.transpose_b ? 1 : 0] == g.k, "the matrices {} and {} do not fit", dims_text(a), dims_text(b));
  return g;
}

GemmBias gemm_bias(const Dims& c, int64_t m, int64_t n) {
  const int64_t rows = c.size() > 1 ? c[0] : 1, columns = c.empty() ? 1 : c.back();
  require(c.size() <= 2 && (rows == 1 || rows == m) && (columns == 1 || columns == n),
          "C with shape {} does not broadcast to {}x{}", dims_text(c), m, n);
  return {rows == 1 ? 0 : columns, columns == 1 ? 0 : 1};
}

}  // namespace lowbit
