#include <algorithm>

#include "lowbit/ops/accelerated_rows.h"
#include "lowbit/ops/dispatch.h"
#include "lowbit/ops/matmul.h"
#include "lowbit/ops/onednn.h"

namespace lowbit {
namespace {

/// Y[m, n] = alpha op(A) op(B) + beta Y, all row-major.
struct Product {
  bool transpose_a = false, transpose_b = false;
  int64_t m = 0, n = 0, k = 0;
  float alpha = 1, beta = 0;
};

/// Cuts one product into blocks of rows (and of columns, where rows are few), the same for every number of threads.
struct Blocks {
  int64_t rows, columns, row_blocks, column_blocks;

  explicit Blocks(const Product& p) {
    constexpr int64_t kRows = 192, kColumns = 512;
    rows = std::min(p.m, kRows);
    columns = p.m < kRows ? std::min(p.n, kColumns) : p.n;
    row_blocks = (p.m + rows - 1) / rows;
    column_blocks = (p.n + columns - 1) / columns;
  }
  int64_t count() const { return row_blocks * column_blocks; }
};

void multiply_block(const Product& p, const Blocks& blocks, int64_t index, const float* a, const float* b, float* y) {
  const onednn::SingleThread single;
  const int64_t i = index / blocks.column_blocks * blocks.rows, j = index % blocks.column_blocks * blocks.columns;
  const int64_t rows = std::min(blocks.rows, p.m - i), columns = std::min(blocks.columns, p.n - j);
  const dnnl::status status =
      dnnl::sgemm(p.transpose_a ? 'T' : 'N', p.transpose_b ? 'T' : 'N', rows, columns, p.k, p.alpha,
                  a + (p.transpose_a ? i : i * p.k), p.transpose_a ? p.m : p.k, b + (p.transpose_b ? j * p.k : j),
                  p.transpose_b ? p.k : p.n, p.beta, y + i * p.n + j, p.n);
  LOWBIT_CHECK(status == dnnl::status::success);
}

bool are_float(const EvalContext& context, size_t count) {
  for (size_t i = 0; i < count; ++i)
    if (context.has_input(i) && context.input(i).dtype() != DType::float32) return false;
  return true;
}

bool run_matmul(FastContext& context) {
  if (!are_float(context, 2)) return false;
  const Tensor &a = context.input(0), &b = context.input(1);
  MatMulGeometry g = matmul_geometry(a.dims(), b.dims());
  if (element_count(g.out) == 0 || g.k == 0) return false;
  Tensor y = make_output(context.node(), DType::float32, g.out);
  // One matrix for the whole batch: the batch is only more rows.
  const bool shared = element_count(g.b_batch) == 1;
  const int64_t batches = shared ? 1 : g.batches;
  const Product product{.m = shared ? g.m * g.batches : g.m, .n = g.n, .k = g.k};
  const Blocks blocks(product);
  const float *pa = a.data<float>(), *pb = b.data<float>();
  float* out = y.mutable_data<float>();
  context.threads().parallel_for(batches * blocks.count(), [&](int64_t task) {
    const int64_t batch = task / blocks.count();
    const float* left = shared ? pa : pa + g.a_matrix(batch) * g.m * g.k;
    const float* right = shared ? pb : pb + g.b_matrix(batch) * g.k * g.n;
    multiply_block(product, blocks, task % blocks.count(), left, right, out + batch * g.m * g.n);
  });
  context.set_output(0, std::move(y));
  return true;
}

bool run_gemm(FastContext& context) {
  if (!are_float(context, 3)) return false;
  const Node& node = context.node();
  const Tensor &a = context.input(0), &b = context.input(1);
  const GemmGeometry g = gemm_geometry(node, a.dims(), b.dims());
  if (g.m == 0 || g.n == 0 || g.k == 0) return false;
  Tensor y = make_output(node, DType::float32, {g.m, g.n});
  float* out = y.mutable_data<float>();
  if (const Tensor* c = context.optional_input(2)) {
    const GemmBias bias = gemm_bias(c->dims(), g.m, g.n);
    const float beta = node.attr_float("beta", 1), *pc = c->data<float>();
    for (int64_t i = 0; i < g.m; ++i)
      for (int64_t j = 0; j < g.n; ++j) out[i * g.n + j] = beta * pc[i * bias.row_stride + j * bias.column_stride];
  }
  const Product product{.transpose_a = g.transpose_a,
                        .transpose_b = g.transpose_b,
                        .m = g.m,
                        .n = g.n,
                        .k = g.k,
                        .alpha = node.attr_float("alpha", 1),
                        .beta = context.has_input(2) ? 1.0f : 0.0f};
  const Blocks blocks(product);
  const float *pa = a.data<float>(), *pb = b.data<float>();
  context.threads().parallel_for(blocks.count(),
                                 [&](int64_t task) { multiply_block(product, blocks, task, pa, pb, out); });
  context.set_output(0, std::move(y));
  return true;
}

}  // namespace

std::span<const AcceleratedRow> accelerated_products() {
  static constexpr AcceleratedRow kRows[] = {{"Gemm", run_gemm}, {"MatMul", run_matmul}};
  return kRows;
}

}  // namespace lowbit
