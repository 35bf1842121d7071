// Every row of the table of layers against the formulas, over random shapes and extreme data.
#include "lowbit/kernels/qlayer.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/kernels/qlayer_cases.h"

namespace lowbit::kernels {
namespace {

constexpr Code kOutputs[] = {Code::u8, Code::u8, Code::s8, Code::s8, Code::s16, Code::u16, Code::s32, Code::f32};

/// The first difference of two outputs, or the size.
size_t first_difference(const std::vector<uint8_t>& a, const std::vector<uint8_t>& b) {
  return static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin()).first - a.begin());
}

void check_all_rows(const LayerCase& layer, int64_t slice) {
  const std::vector<uint8_t> expected = expected_layer(layer);
  for (const QLayerKernel& kernel : qlayer_table()) {
    if (!isa_row(kernel.isa).supported || !kernel.offers(layer.shape, layer.input)) continue;
    const std::vector<uint8_t> y = run_layer(kernel, layer, slice);
    ASSERT_EQ(first_difference(y, expected), y.size())
        << kernel.name << ", slices " << slice << ": " << describe(layer);
  }
}

LayerCase random_case(const QLayerShape& shape, Random& random) {
  LayerCase layer;
  layer.shape = shape;
  layer.input = random.below(2) ? Code::u8 : Code::s8;
  layer.output = kOutputs[random.below(std::size(kOutputs))];
  layer.has_residual = code_bytes(layer.output) == 1 && random.below(3) == 0;
  const auto fill = static_cast<Fill>(random.below(8) < 5 ? 0 : random.below(4));
  fill_case(layer, fill, random);
  return layer;
}

TEST(QLayer, EveryKernelGivesTheBitsOfTheFormulaOverRandomLayers) {
  Random random(20);
  for (int i = 0; i < 1500; ++i) {
    const LayerCase layer = random_case(random_shape(random), random);
    check_all_rows(layer, static_cast<int64_t>(random.below(4)));
    if (HasFatalFailure()) return;
  }
}

TEST(QLayer, EverySizeAroundTheTilesIsRight) {
  Random random(21);
  for (int64_t m : {1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 16, 17})
    for (int64_t n : {1, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 48, 63, 64, 65, 128, 129})
      for (int64_t k : {1, 2, 3, 4, 5, 31, 64, 67}) {
        check_all_rows(random_case(qgemm_shape(m, n, k), random), 0);
        if (HasFatalFailure()) return;
      }
}

TEST(QLayer, SumsUpToTheEdgeOfInt32AreExact) {
  Random random(22);
  LayerCase layer;
  layer.shape = qgemm_shape(5, 20, 60000);  // 60000 * 255 * 128 < 2^31
  layer.output = Code::s32;
  for (Fill fill : {Fill::minimum, Fill::maximum, Fill::alternating})
    for (Code input : {Code::u8, Code::s8}) {
      layer.input = input;
      fill_case(layer, fill, random);
      check_all_rows(layer, 0);
    }
}

TEST(QLayer, EveryShapeHasAKernelAtEveryLevel) {
  Random random(23);
  for (int i = 0; i < 200; ++i) {
    const QLayerShape shape = random_shape(random);
    for (const IsaRow& row : isa_table())
      EXPECT_TRUE(!row.compiled || select_qlayer(shape, Code::u8, row.isa).isa <= row.isa);
  }
}

TEST(QLayer, NamesAreUniqueAndFound) {
  for (const QLayerKernel& kernel : qlayer_table()) {
    EXPECT_EQ(find_qlayer(kernel.name), &kernel);
    EXPECT_NE(kernel.summary[0], '\0');
  }
  EXPECT_EQ(find_qlayer("nothing"), nullptr);
}

}  // namespace
}  // namespace lowbit::kernels
