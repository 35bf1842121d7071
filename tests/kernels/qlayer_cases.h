// qlayer_cases.h: random layers with exact-size buffers, and running a kernel on one.
#pragma once

#include <cstdint>
#include <vector>

#include "lowbit/base/random.h"
#include "lowbit/kernels/qlayer.h"

namespace lowbit::kernels {

enum class Fill { random, minimum, maximum, alternating };

/// A layer with its data. Inputs are followed by kReadSlack bytes of noise.
struct LayerCase {
  QLayerShape shape;
  Code input = Code::u8, output = Code::u8;
  int32_t zero_in = 0;
  int64_t input_stride = 0, output_stride = 0, other_stride = 0;
  std::vector<uint8_t> x, other;
  std::vector<int8_t> weights;
  std::vector<int32_t> bias;
  std::vector<float> factors;
  std::vector<double> scales;
  QOutput out;
  QResidual residual;
  bool has_residual = false;
};

/// Data for the shape, input, output and has_residual of the case.
void fill_case(LayerCase& layer, Fill fill, Random& random);

/// A random small shape; every family of kernels comes up.
QLayerShape random_shape(Random& random);

/// The whole output as bytes (elements between channels and stride keep 0xA5), in slices of about the given size
/// (0: one slice).
std::vector<uint8_t> run_layer(const QLayerKernel& kernel, const LayerCase& layer, int64_t slice_grains);

/// The expected output by the formulas of docs/integer-semantics.md, 64-bit and long double, independent of kernels.
std::vector<uint8_t> expected_layer(const LayerCase& layer);

std::string describe(const LayerCase& layer);

}  // namespace lowbit::kernels
