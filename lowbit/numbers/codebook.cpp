// codebookN: 2^N levels placed freely, ascending by code: weighted k-means on a line, solved exactly. Parameters: the
// levels. Every fit rule minimises the error; `range` clips the data to the range first. Zero is a level only if the
// data make it one. Papers: Lloyd, IEEE Trans. IT 1982; Han, Mao, Dally, "Deep Compression", ICLR 2016,
// arXiv:1510.00149.
#include <algorithm>
#include <vector>

#include "lowbit/numbers/fits.h"
#include "lowbit/numbers/kmeans1d.h"
#include "lowbit/numbers/level_table.h"
#include "lowbit/numbers/names.h"

namespace lowbit {
namespace {

int level_count(const NumberFormat& format) { return 1 << format.bits; }

void fit(const NumberFormat& format, std::span<const float> x, std::span<const float> importance,
         const FitOptions& options, float* params) {
  std::vector<float> clipped;
  if (options.rule == FitRule::range) {
    const ValueRange range = range_to_cover(x, options);
    for (float value : x) clipped.push_back(std::clamp(value, range.low, range.high));
    x = clipped;
  }
  const std::vector<double> levels = kmeans_1d(WeightedPoints({x, importance}), level_count(format));
  std::transform(levels.begin(), levels.end(), params, saturate_to_float);
}

double level(const NumberFormat&, const float* params, int32_t code) { return static_cast<double>(params[code]); }

}  // namespace

extern const NumberSystem codebook_system;
constinit const NumberSystem codebook_system = {
    .name = "codebook",
    .summary = "2^N free levels, exact weighted k-means",
    .paper = "Han et al., ICLR 2016, arXiv:1510.00149",
    .min_bits = 1,
    .max_bits = 8,
    .parse = [](std::string_view tail) { return parse_bits(tail, 1, 8); },
    .format_name = name_with_bits,
    .codes = unsigned_codes,
    .param_count = level_count,
    .fit = kFits ? fit : nullptr,
    .level = level,
};

}  // namespace lowbit
