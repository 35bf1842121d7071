// vq-DxK: K vectors of D values placed freely; a code stands for D neighbours of a row: weighted k-means in D
// dimensions. log2(K) / D bits for an element. Parameters: the vectors, [K, D]. Every fit rule minimises the error;
// `range` clips the data to the range first. At granularity block:RxD with R = all rows each block of D columns has a
// codebook of its own: product quantization. Papers: Gong et al., arXiv:1412.6115; Jegou, Douze, Schmid, "Product
// quantization for nearest neighbor search", TPAMI 2011.
#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "lowbit/numbers/fits.h"
#include "lowbit/numbers/kmeans.h"
#include "lowbit/numbers/names.h"

namespace lowbit {
namespace {

constexpr int kMostComponents = 16, kMostEntries = 65536;

std::optional<NumberFormat> parse_vq(std::string_view tail) {
  if (!tail.starts_with('-')) return std::nullopt;
  tail.remove_prefix(1);
  const std::optional<int> size = take_number(tail, 2, kMostComponents);
  if (!size || !tail.starts_with('x')) return std::nullopt;
  tail.remove_prefix(1);
  const std::optional<int> count = take_number(tail, 2, kMostEntries);
  if (!count || !tail.empty()) return std::nullopt;
  const int bits = static_cast<int>(std::bit_width(static_cast<unsigned>(*count - 1)));
  return NumberFormat{.bits = bits, .option = *count, .vector_size = *size};
}

void fit(const NumberFormat& format, std::span<const float> x, std::span<const float> importance,
         const FitOptions& options, float* params) {
  std::vector<float> clipped;
  if (options.rule == FitRule::range) {
    const ValueRange range = range_to_cover(x, options);
    for (float value : x) clipped.push_back(std::clamp(value, range.low, range.high));
    x = clipped;
  }
  const std::vector<float> entries =
      kmeans({x, importance}, options.row_length, format.option, format.vector_size, options.threads);
  std::copy(entries.begin(), entries.end(), params);
}

double vector_level(const NumberFormat& format, const float* params, int32_t code, int component) {
  return static_cast<double>(params[static_cast<int64_t>(code) * format.vector_size + component]);
}

}  // namespace

extern const NumberSystem vq_system;
constinit const NumberSystem vq_system = {
    .name = "vq",
    .summary = "vq-DxK: K free vectors of D values, weighted k-means; log2(K)/D bits each",
    .paper = "Gong et al. 2014, arXiv:1412.6115; Jegou et al., TPAMI 2011",
    .min_bits = 1,
    .max_bits = 16,
    .parse = parse_vq,
    .format_name =
        [](const NumberFormat& format) { return fmt::format("vq-{}x{}", format.vector_size, format.option); },
    .codes =
        [](const NumberFormat& format) {
          return CodeRange{0, format.option - 1};
        },
    .param_count = [](const NumberFormat& format) { return format.option * format.vector_size; },
    .fit = kFits ? fit : nullptr,
    .vector_level = vector_level,
    .default_granularity = "tensor",
};

}  // namespace lowbit
