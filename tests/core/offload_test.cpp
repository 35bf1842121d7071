#include "lowbit/core/offload.h"

#include <gtest/gtest.h>

namespace lowbit {
namespace {

constexpr int64_t kMebi = int64_t{1} << 20;

Tensor counting(int64_t count) {
  Tensor tensor = Tensor::uninitialized(DType::float32, {count});
  float* x = tensor.mutable_data<float>();
  for (int64_t i = 0; i < count; ++i) x[i] = static_cast<float>(i % 8191);
  return tensor;
}

TEST(Offload, KeepsTheValuesOfLargeConstantsAndLeavesSmallOnesInMemory) {
  Graph graph;
  const ValueId large = graph.add_constant("large", counting(16 * kMebi)),
                small = graph.add_constant("small", counting(1000));
  offload_constants(graph);
  EXPECT_TRUE(graph.constant(large)->is_view());
  EXPECT_FALSE(graph.constant(small)->is_view());
  EXPECT_TRUE(identical(*graph.constant(large), counting(16 * kMebi)));
  EXPECT_TRUE(identical(*graph.constant(small), counting(1000)));
}

TEST(Offload, LeavesNetworksAloneThatFitMemoryEasily) {
  Graph graph;
  const ValueId id = graph.add_constant("weights", counting(2 * kMebi));
  offload_constants(graph);
  EXPECT_FALSE(graph.constant(id)->is_view());
}

TEST(Offload, ConstantsOutliveTheGraphThatMovedThem) {
  Tensor kept;
  {
    Graph graph;
    const ValueId id = graph.add_constant("large", counting(16 * kMebi));
    offload_constants(graph);
    kept = *graph.constant(id);
  }
  EXPECT_TRUE(identical(kept, counting(16 * kMebi)));
}

TEST(Offload, RestingPagesComeBackWithTheirValues) {
  Graph graph;
  const ValueId id = graph.add_constant("large", counting(16 * kMebi));
  offload_constants(graph);
  rest_pages(*graph.constant(id));
  EXPECT_TRUE(identical(*graph.constant(id), counting(16 * kMebi)));
  const Tensor in_memory = counting(kMebi);
  rest_pages(in_memory);  // anonymous memory would come back as zeros
  EXPECT_TRUE(identical(in_memory, counting(kMebi)));
}

TEST(Offload, WritingToAMovedConstantMakesItsOwnCopy) {
  Graph graph;
  const ValueId id = graph.add_constant("large", counting(16 * kMebi));
  offload_constants(graph);
  Tensor changed = *graph.constant(id);
  changed.mutable_data<float>()[5] = -1;
  EXPECT_EQ(graph.constant(id)->data<float>()[5], 5);
  EXPECT_EQ(changed.data<float>()[5], -1);
}

}  // namespace
}  // namespace lowbit
