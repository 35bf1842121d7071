// Running a plan allocates nothing: every malloc of the program is counted.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>

#include "lowbit/runtime/reference_steps.h"
#include "lowbit/runtime/session.h"
#include "tests/support/graph_builder.h"

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
namespace {
std::atomic<int64_t> allocations{0};
}
extern "C" {
void* __libc_malloc(size_t size);
void* __libc_calloc(size_t count, size_t size);
void* __libc_realloc(void* old, size_t size);
void* __libc_memalign(size_t alignment, size_t size);
void* malloc(size_t size) { return ++allocations, __libc_malloc(size); }
void* calloc(size_t count, size_t size) { return ++allocations, __libc_calloc(count, size); }
void* realloc(void* old, size_t size) { return ++allocations, __libc_realloc(old, size); }
void* aligned_alloc(size_t alignment, size_t size) { return ++allocations, __libc_memalign(alignment, size); }
}

namespace lowbit {
namespace {

using testing::GraphBuilder;
using testing::random_tensor;

/// Convolution, depthwise, residual sum, concatenation, pool, fully connected layer, softmax.
std::shared_ptr<const Graph> network() {
  GraphBuilder g;
  const ValueId x = g.input("x", to_shape({1, 3, 32, 32}));
  g.annotate(x, "uint8", 1.0f / 255, 0);
  const auto conv = [&](ValueId in, Dims w, int64_t group, const std::string& name) {
    const ValueId weight = g.constant(name + "_w", random_tensor(w, 7)),
                  bias = g.constant(name + "_b", random_tensor({w[0]}, 8));
    g.annotate_weight(weight, "int8", 0);
    const int64_t pad = w[2] / 2;
    const ValueId sum =
        g.node("Conv", name, {in, weight, bias}, {{"group", group}, {"pads", std::vector<int64_t>(4, pad)}});
    const ValueId y = g.node("Relu", name + "_relu", {sum});
    g.annotate(y, "uint8", 0.02f, 0);
    return y;
  };
  const ValueId a = conv(x, {16, 3, 3, 3}, 1, "a"), b = conv(a, {16, 1, 3, 3}, 16, "b"),
                c = conv(b, {16, 16, 1, 1}, 1, "c");
  const ValueId sum = g.node("Add", "sum", {a, c});
  g.annotate(sum, "uint8", 0.04f, 0);
  const ValueId joined = g.node("Concat", "join", {sum, b}, {{"axis", int64_t{1}}});
  g.annotate(joined, "uint8", 0.04f, 0);
  const ValueId pooled = g.node("GlobalAveragePool", "pool", {joined});
  g.annotate(pooled, "uint8", 0.02f, 0);
  const ValueId flat = g.node("Flatten", "flat", {pooled});
  g.annotate(flat, "uint8", 0.02f, 0);
  const ValueId w = g.constant("w", random_tensor({10, 32}, 9));
  g.annotate_weight(w, "int8", 0);
  const ValueId y = g.node("Gemm", "fc", {flat, w}, {{"transB", int64_t{1}}});
  g.output(g.node("Softmax", "softmax", {y}));
  return std::make_shared<const Graph>(g.graph);
}

TEST(Plan, AllocatesNothingWhileItRuns) {
  const auto graph = network();
  const auto model = std::make_shared<CompiledModel>(graph);  // without the toolkit's reference steps
  for (const int threads : {1, 2}) {
    SessionOptions options;
    options.threads = threads;
    Session session(model, options);
    const Tensor x = random_tensor({1, 3, 32, 32}, 1);
    std::vector<float> y(10);
    const void* in[] = {x.raw().data()};
    void* out[] = {y.data()};
    session.run(in, out);
    const int64_t before = allocations;
    for (int i = 0; i < 10; ++i) session.run(in, out);
    EXPECT_EQ(allocations, before) << threads << " threads";
  }
}

TEST(Plan, SharesPackedWeightsBetweenSessions) {
  const auto model = std::make_shared<CompiledModel>(network());
  Session first(model);
  const size_t bytes = model->weights()->bytes();
  Session second(model);
  EXPECT_GT(bytes, 0u);
  EXPECT_EQ(model->weights()->bytes(), bytes);
  EXPECT_EQ(&first.plan(), &second.plan());
}

TEST(Plan, TakesLessThanItsBuffersTogether) {
  Session session(std::make_shared<CompiledModel>(network()));
  EXPECT_LT(session.plan().arena_bytes, session.plan().unshared_bytes);
  EXPECT_GE(session.memory_bytes(), static_cast<size_t>(session.plan().arena_bytes));
}

}  // namespace
}  // namespace lowbit
#endif
