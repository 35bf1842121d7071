#include "lowbit/passes/qdq_params.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace lowbit {
namespace {

std::optional<NumberFormat> format_of(DType codes, bool zero_points) {
  if (!is_integer(codes) || dtype_bits(codes) > 16) return std::nullopt;
  const char* stem = is_signed_integer(codes) ? "int" : "uint";
  NumberFormat format = parse_number_format(fmt::format("{}{}", stem, dtype_bits(codes)));
  if (!is_signed_integer(codes)) return format;
  format.asymmetric = zero_points;
  format.narrow = false;
  return format;
}

/// Reorders [rows, blocks] parameters of a matrix cut along its first axis, which groups see channel by channel.
std::vector<float> transposed(const std::vector<float>& values, int64_t rows, int64_t columns) {
  std::vector<float> result(values.size());
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c)
      result[static_cast<size_t>(c * rows + r)] = values[static_cast<size_t>(r * columns + c)];
  return result;
}

std::vector<float> numbers(const Tensor& tensor) {
  const Tensor floats = to_float32(tensor);
  return {floats.values<float>().begin(), floats.values<float>().end()};
}

std::optional<int64_t> channel_axis(const Node& node, const Shape* data) {
  const int64_t axis = node.attr_int("axis", 1);
  if (!data) return axis >= 0 ? std::optional(axis) : std::nullopt;
  const auto rank = static_cast<int64_t>(data->size());
  if (axis < -rank || axis >= rank) return std::nullopt;
  return axis < 0 ? axis + rank : axis;
}

}  // namespace

std::optional<Quantization> annotation_of(const Graph& graph, const Node& node, DType codes, const Shape* data) {
  const Tensor* scale = graph.constant(node.input(1));
  const Tensor* zero = graph.constant(node.input(2));
  if (!scale || scale->dtype() != DType::float32 || (node.input(2) != kNone && !zero)) return std::nullopt;
  if (zero && zero->count() != scale->count()) return std::nullopt;
  std::vector<float> scales = numbers(*scale);
  std::vector<float> zeros = zero ? numbers(*zero) : std::vector<float>(scales.size(), 0.0f);
  if (scales.empty() || !std::all_of(scales.begin(), scales.end(), [](float s) { return std::isfinite(s) && s > 0; }))
    return std::nullopt;
  const bool any_zero = std::any_of(zeros.begin(), zeros.end(), [](float z) { return z != 0; });
  const auto format = format_of(codes, any_zero);
  if (!format) return std::nullopt;
  Quantization result;
  result.format = *format;
  result.origin = "imported";
  const int64_t block = node.attr_int("block_size", 0);
  if (block > 0) {
    const auto axis = channel_axis(node, data);
    const auto dims = data ? concrete(*data) : std::nullopt;
    if (!axis || !dims || dims->size() != 2 || scale->rank() != 2) return std::nullopt;
    result.granularity = {Granularity::Kind::group, 1 - *axis, 1, block};
    if (*axis == 0) {
      scales = transposed(scales, scale->dim(0), scale->dim(1));
      zeros = transposed(zeros, scale->dim(0), scale->dim(1));
    }
    if (group_count(result.granularity, *dims) != scale->count()) return std::nullopt;
  } else if (scale->rank() == 1 && scale->count() > 1) {
    const auto axis = channel_axis(node, data);
    if (!axis) return std::nullopt;
    if (data && (*data)[static_cast<size_t>(*axis)].known() &&
        *(*data)[static_cast<size_t>(*axis)].size != scale->count())
      return std::nullopt;
    result.granularity = {Granularity::Kind::channel, *axis, 1, 0};
  } else if (scale->count() != 1) {
    return std::nullopt;
  }
  for (size_t g = 0; g < scales.size(); ++g) {
    result.params.push_back(scales[g]);
    result.params.push_back(zeros[g]);
  }
  return result;
}

void narrow_if_unused(Quantization& quantization, const Tensor& codes) {
  if (quantization.codes().min >= 0 || quantization.format.asymmetric || quantization.format.bits < 2) return;
  const Tensor wide = codes.cast(DType::int32);
  const auto values = wide.values<int32_t>();
  const int32_t lowest = quantization.codes().min;
  quantization.format.narrow = std::none_of(values.begin(), values.end(), [&](int32_t c) { return c == lowest; });
}

ValueId append_node(Graph& graph, const std::string& op, const std::string& name, std::vector<ValueId> inputs,
                    Attributes attributes, DType type) {
  Node node;
  node.op = op;
  node.name = graph.fresh_node_name(name);
  node.inputs = std::move(inputs);
  node.attributes = std::move(attributes);
  const ValueId out = graph.add_value(node.name + "_output", type);
  node.outputs = {out};
  graph.nodes.push_back(std::move(node));
  return out;
}

}  // namespace lowbit
