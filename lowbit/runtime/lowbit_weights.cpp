#include "lowbit/runtime/lowbit_weights.h"

#include <algorithm>

#include <fmt/format.h>

#include "lowbit/core/graph.h"
#include "lowbit/core/weights.h"
#include "lowbit/numbers/element_groups.h"

namespace lowbit {
namespace {

/// Whether elements of a row whose k lie in the same run of `size` always belong to the same group.
bool runs_are_whole(const std::vector<int32_t>& groups, int64_t rows, int64_t k, int64_t size) {
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t i = 1; i < k; ++i)
      if (i % size != 0 && groups[static_cast<size_t>(row * k + i)] != groups[static_cast<size_t>(row * k + i - 1)])
        return false;
  return true;
}

/// k if a row has one scale, else the longest run of a multiple of 32 that has one; 0 if there is none.
int64_t scale_run(const std::vector<int32_t>& groups, int64_t rows, int64_t k) {
  if (runs_are_whole(groups, rows, k, k)) return k;
  for (int64_t size = (k - 1) / 32 * 32; size >= 32; size -= 32)
    if (runs_are_whole(groups, rows, k, size)) return size;
  return 0;
}

struct Coding {
  kernels::LowbitCoding coding;
  int32_t least, most;  ///< codes
};

/// The narrowest coding of `count` successive levels.
std::optional<Coding> narrowest(int32_t low, int32_t high) {
  using kernels::LowbitCoding;
  constexpr Coding kCodings[] = {{LowbitCoding::u1, 0, 1},  {LowbitCoding::u2, 0, 3},   {LowbitCoding::u3, 0, 7},
                                 {LowbitCoding::u4, 0, 15}, {LowbitCoding::u7, 0, 127}, {LowbitCoding::u8, 1, 255}};
  for (const Coding& row : kCodings)
    if (static_cast<int64_t>(high) - low <= row.most - row.least) return row;
  return std::nullopt;
}

}  // namespace

std::optional<LevelMatrix> level_matrix(const Value& value, std::string& why) {
  if (!is_annotated_constant(value) || !value.quantization->linear())
    return why = "weights are not linear codes", std::nullopt;
  const Quantization& quantization = *value.quantization;
  const Tensor& weight = *value.constant;
  if (weight.rank() < 2 || weight.count() == 0) return why = "weights are no matrix", std::nullopt;
  LevelMatrix matrix;
  matrix.k = weight.dims().back();
  matrix.rows = weight.count() / matrix.k;
  const std::vector<int32_t> groups = group_of_elements(quantization.granularity, weight.dims());
  matrix.group = scale_run(groups, matrix.rows, matrix.k);
  if (matrix.group == 0) return why = "scales change inside a row at no multiple of 32", std::nullopt;
  const Tensor codes = weight_codes(value).cast(DType::int32);
  for (size_t i = 0; i < groups.size(); ++i) {
    const LinearParams params = quantization.linear_at(groups[i]);
    matrix.levels.push_back(codes.data<int32_t>()[i] - params.zero_point);
    if (static_cast<int64_t>(i) % matrix.k % matrix.group == 0) matrix.scales.push_back(params.scale);
  }
  return matrix;
}

std::shared_ptr<const PackedWeights> pack_levels(const LevelMatrix& matrix, const std::vector<int64_t>& row_of,
                                                 std::string& why) {
  const auto [low, high] = std::minmax_element(matrix.levels.begin(), matrix.levels.end());
  const int32_t least = std::min(*low, 0), most = std::max(*high, 0);  // rows of zeros need a code too
  const auto coding = narrowest(least, most);
  if (!coding) return why = fmt::format("weights of {} to {} do not fit 8 bits", *low, *high), nullptr;
  const int32_t zero = coding->least - least;
  auto packed = std::make_shared<PackedWeights>();
  kernels::LowbitMatrix& view = packed->view;
  view.coding = coding->coding;
  view.n = static_cast<int64_t>(row_of.size());
  view.k = matrix.k;
  view.group = matrix.group;
  view.zero = zero;
  const int64_t groups = view.groups();
  std::vector<uint8_t> codes(row_of.size() * static_cast<size_t>(matrix.k), static_cast<uint8_t>(zero));
  std::vector<float> scales(row_of.size() * static_cast<size_t>(groups), 0.0f);
  for (size_t i = 0; i < row_of.size(); ++i) {
    if (row_of[i] < 0) continue;
    const int32_t* levels = matrix.levels.data() + row_of[i] * matrix.k;
    std::transform(levels, levels + matrix.k, codes.begin() + static_cast<int64_t>(i) * matrix.k,
                   [zero](int32_t level) { return static_cast<uint8_t>(level + zero); });
    std::copy_n(matrix.scales.begin() + row_of[i] * groups, groups, scales.begin() + static_cast<int64_t>(i) * groups);
  }
  constexpr size_t kLine = 64;
  packed->codes.resize(kernels::lowbit_code_bytes(view.coding, view.n, view.k) + kLine);
  auto* begin =
      reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(packed->codes.data()) + kLine - 1) / kLine * kLine);
  kernels::lowbit_pack_codes(view.coding, view.n, view.k, codes.data(), view.k, begin);
  view.codes = begin;
  packed->scales.resize(static_cast<size_t>(view.blocks() * groups * kernels::kLowbitRows));
  kernels::lowbit_pack_rows(view.n, groups, scales.data(), packed->scales.data());
  view.scales = packed->scales.data();
  packed->offsets.resize(static_cast<size_t>(view.blocks() * kernels::kLowbitRows));
  kernels::lowbit_row_offsets(view, packed->offsets.data());
  view.offsets = packed->offsets.data();
  return packed;
}

}  // namespace lowbit
