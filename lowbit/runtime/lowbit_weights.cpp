#include "lowbit/runtime/lowbit_weights.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

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

/// Dims of the matrix, and the group of each element in its order; false with `why` if there is no fitting run.
bool lay_out(const Value& value, const WeightOrder& order, const std::vector<int64_t>& offsets, LevelMatrix& matrix,
             std::vector<int32_t>& groups, std::string& why) {
  const Tensor& weight = *value.constant;
  matrix.rows = 1;
  for (int64_t i = 0; i < order.channel_axes; ++i) matrix.rows *= weight.dim(order.perm[static_cast<size_t>(i)]);
  matrix.k = weight.count() / matrix.rows;
  const std::vector<int32_t> in_tensor = group_of_elements(value.quantization->granularity, weight.dims());
  groups.resize(in_tensor.size());
  for (size_t i = 0; i < groups.size(); ++i) groups[i] = in_tensor[static_cast<size_t>(offsets[i])];
  matrix.group = scale_run(groups, matrix.rows, matrix.k);
  if (matrix.group == 0) return why = "scales change inside a row at no multiple of 32", false;
  return true;
}

bool is_matrix(const Value& value, std::string& why) {
  if (!is_annotated_constant(value) || value.quantization->dynamic) return why = "weights are no codes", false;
  if (value.constant->rank() < 2 || value.constant->count() == 0) return why = "weights are no matrix", false;
  return true;
}

/// visit(element, group) for the first element of each (row, group of the matrix), in order.
template <typename Visit>
void each_scale(const LevelMatrix& matrix, const std::vector<int32_t>& groups, Visit visit) {
  for (int64_t row = 0; row < matrix.rows; ++row)
    for (int64_t i = 0; i < matrix.k; i += matrix.group) visit(groups[static_cast<size_t>(row * matrix.k + i)]);
}

/// Codes counted from the lowest, with zero points where they are not all the same: levels would need another bit.
bool keeps_zero_points(const Quantization& q) {
  if (!q.linear() || q.codes().count() > 16) return false;
  for (int64_t g = 1; g < static_cast<int64_t>(q.params.size() / 2); ++g)
    if (q.linear_at(g).zero_point != q.linear_at(0).zero_point) return true;
  return false;
}

/// What scale and level of a group make of each code, or nothing if no scale multiplies the levels of `unit`.
std::optional<float> scale_of(const Quantization& q, const float* params, const std::vector<float>& unit,
                              size_t groups) {
  const CodeRange codes = q.codes();
  const auto gives = [&](float scale) {
    for (size_t i = 0; i < unit.size(); ++i) {
      const double level = q.format.system->level(q.format, params, codes.min + static_cast<int32_t>(i));
      if (!(std::abs(static_cast<double>(scale * unit[i]) - level) <= 0x1p-23 * std::abs(level))) return false;
    }
    return true;
  };
  if (groups > 1) return gives(params[0]) ? std::optional(params[0]) : std::nullopt;
  return gives(1.0f) ? std::optional(1.0f) : gives(params[0]) ? std::optional(params[0]) : std::nullopt;
}

/// The levels of a system for a scale of 1; of one group alone, the levels as they are.
std::optional<std::vector<float>> unit_levels(const Quantization& q, size_t each, size_t groups) {
  const CodeRange codes = q.codes();
  std::vector<float> params(q.params.begin(), q.params.begin() + static_cast<int64_t>(each));
  if (groups > 1) params[0] = 1;
  std::vector<float> levels;
  for (int32_t code = codes.min; code <= codes.max; ++code)
    levels.push_back(static_cast<float>(q.format.system->level(q.format, params.data(), code)));
  return levels;
}

}  // namespace

std::optional<LevelMatrix> level_matrix(const Value& value, const WeightOrder& order, std::string& why) {
  if (!is_matrix(value, why)) return std::nullopt;
  const Quantization& q = *value.quantization;
  const std::vector<int64_t> offsets = permuted_offsets(value.constant->dims(), order.perm);
  LevelMatrix matrix;
  std::vector<int32_t> groups;
  if (!lay_out(value, order, offsets, matrix, groups, why)) return std::nullopt;
  matrix.levels.resize(offsets.size());
  if (keeps_zero_points(q)) {
    const Tensor codes = weight_codes(value).cast(DType::int32);
    const int32_t lowest = q.codes().min;
    for (size_t i = 0; i < offsets.size(); ++i) matrix.levels[i] = codes.data<int32_t>()[offsets[i]] - lowest;
    each_scale(matrix, groups, [&](int64_t group) {
      const LinearParams params = q.linear_at(group);
      matrix.scales.push_back(params.scale);
      matrix.zeros.push_back(static_cast<uint8_t>(params.zero_point - lowest));
    });
    return matrix;
  }
  const auto integers = integer_weights(value);
  if (!integers) return why = "its weights are no integers times a scale", std::nullopt;
  for (size_t i = 0; i < offsets.size(); ++i) matrix.levels[i] = integers->values[static_cast<size_t>(offsets[i])];
  each_scale(matrix, groups,
             [&](int64_t group) { matrix.scales.push_back(integers->scales[static_cast<size_t>(group)]); });
  return matrix;
}

std::optional<LevelMatrix> real_level_matrix(const Value& value, const WeightOrder& order, std::string& why) {
  if (!is_matrix(value, why)) return std::nullopt;
  const Quantization& q = *value.quantization;
  if (q.linear()) return level_matrix(value, order, why);
  const auto each = static_cast<size_t>(q.format.system->param_count(q.format));
  if (q.codes().count() > 16 || q.format.standardized || q.format.vector_size > 1 || each == 0)
    return why = "its system has more than 16 levels, or no scale", std::nullopt;
  const std::vector<int64_t> offsets = permuted_offsets(value.constant->dims(), order.perm);
  LevelMatrix matrix;
  std::vector<int32_t> groups;
  if (!lay_out(value, order, offsets, matrix, groups, why)) return std::nullopt;
  const size_t count = q.params.size() / each;
  matrix.real_levels = *unit_levels(q, each, count);
  std::vector<float> scales;
  for (size_t g = 0; g < count; ++g) {
    const auto scale = scale_of(q, q.params.data() + g * each, matrix.real_levels, count);
    if (!scale) return why = "the levels of its groups are not multiples of each other", std::nullopt;
    scales.push_back(*scale);
  }
  const Tensor codes = weight_codes(value).cast(DType::int32);
  matrix.levels.resize(offsets.size());
  for (size_t i = 0; i < offsets.size(); ++i) matrix.levels[i] = codes.data<int32_t>()[offsets[i]] - q.codes().min;
  each_scale(matrix, groups, [&](int64_t group) { matrix.scales.push_back(scales[static_cast<size_t>(group)]); });
  return matrix;
}

uint8_t LevelCoding::code_of(int32_t level) const {
  if (coding == kernels::LowbitCoding::table)
    return static_cast<uint8_t>(std::find(table.begin(), table.end(), level) - table.begin());
  return static_cast<uint8_t>((level + zero) / step);
}

std::optional<LevelCoding> narrowest_coding(const LevelMatrix& matrix, std::string& why) {
  using kernels::LowbitCoding;
  if (!matrix.zeros.empty() || !matrix.real_levels.empty()) return LevelCoding{};
  std::set<int32_t> levels(matrix.levels.begin(), matrix.levels.end());
  const bool signs = levels == std::set<int32_t>{-1, 1};
  if (signs) return LevelCoding{LowbitCoding::u1, 1, 2, {}};
  levels.insert(0);  // rows of zeros need a code too
  struct Row {
    LowbitCoding coding;
    int32_t least, most;  // codes
  };
  constexpr Row kRows[] = {{LowbitCoding::u1, 0, 1},  {LowbitCoding::u2, 0, 3},   {LowbitCoding::u3, 0, 7},
                           {LowbitCoding::u4, 0, 15}, {LowbitCoding::u7, 0, 127}, {LowbitCoding::u8, 1, 255}};
  const int32_t low = *levels.begin(), high = *levels.rbegin();
  const bool small = low >= -127 && high <= 127;
  for (const Row& row : kRows) {
    if (row.coding == LowbitCoding::u7 && small && levels.size() <= 16) {
      LevelCoding coding{LowbitCoding::table, 0, 1, {}};
      std::copy(levels.begin(), levels.end(), coding.table.begin());
      return coding;
    }
    if (static_cast<int64_t>(high) - low <= row.most - row.least)
      return LevelCoding{row.coding, row.least - low, 1, {}};
  }
  return why = fmt::format("weights of {} to {} do not fit 8 bits", low, high), std::nullopt;
}

void write_packed(const LevelMatrix& matrix, const LevelCoding& coding, const std::vector<int64_t>& row_of,
                  const PackedPlaces& to) {
  const auto rows = static_cast<int64_t>(row_of.size()), groups = matrix.groups();
  const uint8_t nothing =
      matrix.zeros.empty() && matrix.real_levels.empty() && coding.step == 1 ? coding.code_of(0) : uint8_t{0};
  std::vector<uint8_t> codes(static_cast<size_t>(rows * matrix.k), nothing);
  std::vector<float> scales(static_cast<size_t>(rows * groups), 0.0f);
  std::vector<uint8_t> zeros(matrix.zeros.empty() ? 0 : scales.size(), uint8_t{0});
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t from = row_of[static_cast<size_t>(i)];
    if (from < 0) continue;
    const int32_t* levels = matrix.levels.data() + from * matrix.k;
    std::transform(levels, levels + matrix.k, codes.begin() + i * matrix.k, [&](int32_t level) {
      return matrix.real_levels.empty() ? coding.code_of(level) : static_cast<uint8_t>(level);
    });
    std::copy_n(matrix.scales.begin() + from * groups, groups, scales.begin() + i * groups);
    if (!zeros.empty()) std::copy_n(matrix.zeros.begin() + from * groups, groups, zeros.begin() + i * groups);
  }
  kernels::lowbit_pack_codes(coding.coding, rows, matrix.k, codes.data(), matrix.k, to.codes);
  if (to.scales) kernels::lowbit_pack_rows(rows, groups, scales.data(), to.scales);
  if (!zeros.empty()) kernels::lowbit_pack_rows(rows, groups, zeros.data(), to.zeros);
}

std::shared_ptr<const PackedWeights> pack_levels(const LevelMatrix& matrix, const std::vector<int64_t>& row_of,
                                                 std::string& why) {
  const auto coding = narrowest_coding(matrix, why);
  if (!coding) return nullptr;
  auto packed = std::make_shared<PackedWeights>();
  packed->coding = *coding;
  kernels::LowbitMatrix& view = packed->view;
  view.coding = coding->coding;
  view.n = static_cast<int64_t>(row_of.size());
  view.k = matrix.k;
  view.group = matrix.group;
  view.zero = coding->zero;
  view.step = coding->step;
  if (coding->coding == kernels::LowbitCoding::table) view.table = packed->coding.table.data();
  constexpr size_t kLine = 64;
  packed->codes.resize(kernels::lowbit_code_bytes(view.coding, view.n, view.k) + kLine);
  auto* begin =
      reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(packed->codes.data()) + kLine - 1) / kLine * kLine);
  const auto parameters = static_cast<size_t>(view.blocks() * view.groups() * kernels::kLowbitRows);
  packed->scales.resize(parameters);
  if (!matrix.zeros.empty()) packed->zeros.resize(parameters);
  write_packed(matrix, *coding, row_of, {begin, packed->scales.data(), packed->zeros.data()});
  view.codes = begin;
  view.scales = packed->scales.data();
  if (!matrix.zeros.empty()) view.zeros = packed->zeros.data();
  packed->offsets.resize(static_cast<size_t>(view.blocks() * kernels::kLowbitRows));
  kernels::lowbit_row_offsets(view, packed->offsets.data());
  view.offsets = packed->offsets.data();
  return packed;
}

}  // namespace lowbit
