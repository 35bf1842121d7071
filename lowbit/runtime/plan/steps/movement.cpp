// Operators whose results are elements of their input, as views where possible: Reshape and its relatives, Transpose,
// Slice, Split, Pad.
#include <algorithm>
#include <limits>
#include <numeric>

#include "lowbit/runtime/plan/convert.h"
#include "lowbit/runtime/plan/steps/steps.h"

namespace lowbit::plan {
namespace {

/// The elements of an integer input that is known while planning.
std::optional<std::vector<int64_t>> known_ints(const Builder& builder, const Node& node, size_t input) {
  const Tensor* tensor = builder.known(node.input(input));
  if (!tensor || !is_integer(tensor->dtype())) return std::nullopt;
  return to_int64(*tensor);
}

/// Whether all outputs are kept as the first input is and the input is no constant (those are folded elsewhere).
bool moves(const Builder& builder, const Node& node, std::string& why) {
  if (builder.known(node.input(0))) return why = "its input is constant", false;
  for (const ValueId id : node.outputs)
    if (id != kNone && !kept_alike(builder, node.input(0), id))
      return why = "its result has other parameters than its input", false;
  return true;
}

std::optional<Dims> reshape_dims(const Node& node, const Dims& x, std::vector<int64_t> wanted) {
  const bool allow_zero = node.attr_int("allowzero", 0) != 0;
  int64_t wildcard = -1, rest = 1;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == 0 && !allow_zero) {
      if (i >= x.size()) return std::nullopt;
      wanted[i] = x[i];
    }
    if (wanted[i] == -1 && wildcard < 0)
      wildcard = static_cast<int64_t>(i);
    else if (wanted[i] <= 0 || __builtin_mul_overflow(rest, wanted[i], &rest))
      return std::nullopt;
  }
  const int64_t count = element_count(x);
  if (wildcard >= 0)
    wanted[static_cast<size_t>(wildcard)] = count / rest, rest *= wanted[static_cast<size_t>(wildcard)];
  return rest == count ? std::optional(wanted) : std::nullopt;
}

std::optional<std::vector<int64_t>> axes_of(const std::vector<int64_t>& given, int64_t rank) {
  std::vector<int64_t> axes;
  for (const int64_t axis : given) {
    if (axis < -rank || axis >= rank) return std::nullopt;
    axes.push_back(axis < 0 ? axis + rank : axis);
  }
  std::sort(axes.begin(), axes.end());
  return std::adjacent_find(axes.begin(), axes.end()) == axes.end() ? std::optional(axes) : std::nullopt;
}

std::optional<Dims> squeezed_dims(const Builder& builder, const Node& node, const Dims& x) {
  Dims dims;
  const auto given = known_ints(builder, node, 1);
  if (node.input(1) != kNone && !given) return std::nullopt;
  const auto axes = given ? axes_of(*given, static_cast<int64_t>(x.size())) : std::optional<std::vector<int64_t>>();
  if (given && !axes) return std::nullopt;
  for (size_t i = 0; i < x.size(); ++i) {
    const bool named = axes && std::find(axes->begin(), axes->end(), static_cast<int64_t>(i)) != axes->end();
    if (named && x[i] != 1) return std::nullopt;
    if (!named && (axes || x[i] != 1)) dims.push_back(x[i]);
  }
  return dims;
}

std::optional<Dims> unsqueezed_dims(const Builder& builder, const Node& node, const Dims& x) {
  const auto given = known_ints(builder, node, 1);
  const auto axes = given ? axes_of(*given, static_cast<int64_t>(x.size() + given->size())) : std::nullopt;
  if (!axes) return std::nullopt;
  Dims dims = x;
  for (const int64_t axis : *axes) dims.insert(dims.begin() + axis, 1);
  return dims;
}

std::optional<Dims> target_dims(const Builder& builder, const Node& node) {
  const Dims& x = builder.dims(node.inputs[0]);
  if (node.is("Identity")) return x;
  if (node.is("Squeeze")) return squeezed_dims(builder, node, x);
  if (node.is("Unsqueeze")) return unsqueezed_dims(builder, node, x);
  if (node.is("Reshape")) {
    auto wanted = known_ints(builder, node, 1);
    return wanted ? reshape_dims(node, x, std::move(*wanted)) : std::nullopt;
  }
  const auto rank = static_cast<int64_t>(x.size());
  int64_t axis = node.attr_int("axis", 1);  // Flatten
  if (axis < -rank || axis > rank) return std::nullopt;
  if (axis < 0) axis += rank;
  return Dims{element_count(Dims(x.begin(), x.begin() + axis)), element_count(Dims(x.begin() + axis, x.end()))};
}

/// NumPy's rules for one axis and a positive step.
struct Cut {
  int64_t start, length;
};
Cut cut_axis(int64_t size, int64_t start, int64_t end, int64_t step) {
  const auto bound = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + size : at, 0, size); };
  const int64_t begin = bound(start), distance = bound(end) - begin;
  return {begin, distance > 0 ? (distance - 1) / step + 1 : 0};
}

}  // namespace

bool kept_alike(const Builder& builder, ValueId a, ValueId b) {
  const auto &qa = builder.graph().value(a).quantization, &qb = builder.graph().value(b).quantization;
  const bool coded_a = qa && !qa->dynamic, coded_b = qb && !qb->dynamic;
  if (!coded_a && !coded_b) return true;
  const Quantization *pa = builder.context().per_tensor(a), *pb = builder.context().per_tensor(b);
  return pa && pb && pa->format == pb->format && pa->params == pb->params;
}

bool make_reshape(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  if (!moves(builder, node, why)) return false;
  const auto dims = target_dims(builder, node);
  if (!dims) return why = "its shape is not known while planning", false;
  auto view = reshaped(builder.operand(node.inputs[0]), *dims);
  if (!view) view = reshaped(builder.operand(node.inputs[0], Order::row_major), *dims);
  LOWBIT_CHECK(view.has_value());
  builder.alias(node.outputs[0], *view);
  return true;
}

bool make_transpose(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  if (!moves(builder, node, why)) return false;
  const auto rank = static_cast<int64_t>(builder.dims(node.inputs[0]).size());
  std::vector<int64_t> perm = node.attr_ints("perm");
  if (perm.empty()) {
    perm.resize(static_cast<size_t>(rank));
    std::iota(perm.rbegin(), perm.rend(), int64_t{0});
  }
  const auto sorted = axes_of(perm, rank);
  if (!sorted || static_cast<int64_t>(perm.size()) != rank) return why = "its perm does not fit", false;
  const View from = builder.operand(node.inputs[0]);
  View to = from;
  for (size_t i = 0; i < perm.size(); ++i) {
    const auto axis = static_cast<size_t>(perm[i] < 0 ? perm[i] + rank : perm[i]);
    to.dims[i] = from.dims[axis];
    to.strides[i] = from.strides[axis];
  }
  builder.alias(node.outputs[0], to);
  return true;
}

bool make_slice(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  if (!moves(builder, node, why)) return false;
  const auto starts = known_ints(builder, node, 1), ends = known_ints(builder, node, 2);
  auto axes = known_ints(builder, node, 3), steps = known_ints(builder, node, 4);
  if (!starts || !ends || (node.input(3) != kNone && !axes) || (node.input(4) != kNone && !steps))
    return why = "its bounds are not known while planning", false;
  if (!axes) axes.emplace(starts->size()), std::iota(axes->begin(), axes->end(), int64_t{0});
  if (!steps) steps.emplace(starts->size(), 1);
  const auto rank = static_cast<int64_t>(builder.dims(node.inputs[0]).size());
  if (ends->size() != starts->size() || axes->size() != starts->size() || steps->size() != starts->size() ||
      !axes_of(*axes, rank))
    return why = "its bounds do not fit", false;
  if (std::any_of(steps->begin(), steps->end(), [](int64_t step) { return step <= 0 || step > INT32_MAX; }))
    return why = "it runs backwards", false;
  std::vector<Cut> cuts;
  for (size_t i = 0; i < starts->size(); ++i) {
    const auto axis = static_cast<size_t>((*axes)[i] < 0 ? (*axes)[i] + rank : (*axes)[i]);
    cuts.push_back(cut_axis(builder.dims(node.inputs[0])[axis], (*starts)[i], (*ends)[i], (*steps)[i]));
    if (cuts.back().length == 0) return why = "its result is empty", false;
  }
  View view = builder.operand(node.inputs[0]);
  for (size_t i = 0; i < cuts.size(); ++i) {
    const auto axis = static_cast<size_t>((*axes)[i] < 0 ? (*axes)[i] + rank : (*axes)[i]);
    view.offset += cuts[i].start * view.strides[axis];
    view.dims[axis] = cuts[i].length;
    if (cuts[i].length > 1) view.strides[axis] *= (*steps)[i];
  }
  builder.alias(node.outputs[0], view);
  return true;
}

bool make_split(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  if (!moves(builder, node, why)) return false;
  const Dims& dims = builder.dims(node.inputs[0]);
  const auto rank = static_cast<int64_t>(dims.size()), parts = static_cast<int64_t>(node.outputs.size());
  int64_t axis = node.attr_int("axis", 0);
  if (axis < -rank || axis >= rank) return why = "its axis does not fit", false;
  if (axis < 0) axis += rank;
  const int64_t size = dims[static_cast<size_t>(axis)];
  auto sizes = known_ints(builder, node, 1);
  if (node.input(1) != kNone && !sizes) return why = "its sizes are not known while planning", false;
  if (!sizes) {
    const int64_t each = (size + parts - 1) / parts;
    sizes.emplace(static_cast<size_t>(parts), each);
    sizes->back() = size - each * (parts - 1);
  }
  if (static_cast<int64_t>(sizes->size()) != parts ||
      std::any_of(sizes->begin(), sizes->end(), [](int64_t s) { return s <= 0; }) ||
      std::accumulate(sizes->begin(), sizes->end(), int64_t{0}) != size)
    return why = "its sizes do not fit", false;
  View part = builder.operand(node.inputs[0]);
  for (size_t i = 0; i < sizes->size(); ++i) {
    part.dims[static_cast<size_t>(axis)] = (*sizes)[i];
    if (node.outputs[i] != kNone) builder.alias(node.outputs[i], part);
    part.offset += (*sizes)[i] * part.strides[static_cast<size_t>(axis)];
  }
  return true;
}

bool make_shape(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  if (!builder.ready(node.input(0))) return why = "its input is not known", false;
  const Dims& dims = builder.dims(node.inputs[0]);
  const auto rank = static_cast<int64_t>(dims.size());
  const auto bound = [&](int64_t at) { return std::clamp<int64_t>(at < 0 ? at + rank : at, 0, rank); };
  const int64_t begin = bound(node.attr_int("start", 0)), end = std::max(begin, bound(node.attr_int("end", rank)));
  builder.set_known(node.outputs[0],
                    Tensor::from<int64_t>({end - begin}, Dims(dims.begin() + begin, dims.begin() + end)));
  return true;
}

}  // namespace lowbit::plan
