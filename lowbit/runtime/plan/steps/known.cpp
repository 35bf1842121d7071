// Shape arithmetic whose inputs are known while planning: lists of integers. Where the toolkit plans it computes these
// with its operators; the small runtime has only this.
#include <algorithm>

#include "lowbit/runtime/plan/steps/steps.h"

namespace lowbit::plan {
namespace {

constexpr int64_t kMostElements = 4096;

/// A list or a single integer.
struct Ints {
  std::vector<int64_t> values;
  bool scalar;
};

std::optional<Ints> ints_at(const Builder& builder, ValueId id) {
  const Tensor* tensor = builder.known(id);
  if (!tensor || !is_integer(tensor->dtype()) || tensor->rank() > 1 || tensor->count() > kMostElements)
    return std::nullopt;
  return Ints{to_int64(*tensor), tensor->rank() == 0};
}

int64_t clamped(int64_t at, int64_t size) { return std::clamp<int64_t>(at < 0 ? at + size : at, 0, size); }

std::optional<Ints> gather(const Ints& x, const Ints& index) {
  Ints made{{}, index.scalar};
  const auto size = static_cast<int64_t>(x.values.size());
  for (const int64_t at : index.values) {
    if (at < -size || at >= size) return std::nullopt;
    made.values.push_back(x.values[static_cast<size_t>(at < 0 ? at + size : at)]);
  }
  return made;
}

std::optional<Ints> slice(const std::vector<Ints>& in) {
  const auto size = static_cast<int64_t>(in[0].values.size());
  if (in.size() < 3 || in[1].values.size() != 1 || in[2].values.size() != 1) return std::nullopt;
  const int64_t step = in.size() > 4 ? in[4].values.at(0) : 1;
  if (step < 1) return std::nullopt;
  Ints made{{}, false};
  for (int64_t at = clamped(in[1].values[0], size); at < clamped(in[2].values[0], size); at += step)
    made.values.push_back(in[0].values[static_cast<size_t>(at)]);
  return made;
}

std::optional<Ints> arithmetic(const Node& node, const Ints& a, const Ints& b) {
  const size_t count = std::max(a.values.size(), b.values.size());
  if ((a.values.size() != count && a.values.size() != 1) || (b.values.size() != count && b.values.size() != 1))
    return std::nullopt;
  Ints made{{}, a.scalar && b.scalar};
  for (size_t i = 0; i < count; ++i) {
    const int64_t x = a.values[a.values.size() == 1 ? 0 : i], y = b.values[b.values.size() == 1 ? 0 : i];
    int64_t result = 0;
    const bool overflows = node.is("Add")   ? __builtin_add_overflow(x, y, &result)
                           : node.is("Sub") ? __builtin_sub_overflow(x, y, &result)
                           : node.is("Mul") ? __builtin_mul_overflow(x, y, &result)
                                            : y == 0 || (x == INT64_MIN && y == -1);
    if (overflows) return std::nullopt;
    made.values.push_back(node.is("Div") ? x / y : result);
  }
  return made;
}

std::optional<Ints> computed(const Node& node, const std::vector<Ints>& in) {
  if (node.is("Gather")) return in.size() == 2 && !in[0].scalar ? gather(in[0], in[1]) : std::nullopt;
  if (node.is("Slice")) return slice(in);
  if (node.is("Concat")) {
    Ints made{{}, false};
    for (const Ints& part : in) made.values.insert(made.values.end(), part.values.begin(), part.values.end());
    return made;
  }
  if (node.is("Unsqueeze") || node.is("Squeeze")) {
    // Between a list of one and a single integer; anything else is no list any more.
    if (in[0].values.size() != 1 || in[0].scalar != node.is("Unsqueeze")) return std::nullopt;
    return Ints{in[0].values, !in[0].scalar};
  }
  if (node.is("Cast") || node.is("Identity")) return in[0];
  return in.size() == 2 ? arithmetic(node, in[0], in[1]) : std::nullopt;
}

}  // namespace

bool make_known(Builder& builder, int32_t n, std::string& why) {
  const Node& node = builder.node(n);
  if (node.is("Constant")) {
    const Tensor* value = node.attr_tensor("value");
    if (!value) return why = "its value is no tensor", false;
    builder.set_known(node.outputs[0], *value);
    return true;
  }
  constexpr int64_t kInt64 = 7;  // of ONNX
  if (node.is("Cast") && node.attr_int("to", 0) != kInt64) return why = "it makes no 64-bit integers", false;
  std::vector<Ints> in;
  for (const ValueId id : node.inputs) {
    auto list = id == kNone ? std::nullopt : ints_at(builder, id);
    if (!list) return why = "its inputs are no lists of integers known while planning", false;
    in.push_back(std::move(*list));
  }
  const auto made = in.empty() ? std::nullopt : computed(node, in);
  if (!made) return why = "its lists do not fit", false;
  const Dims dims = made->scalar ? Dims{} : Dims{static_cast<int64_t>(made->values.size())};
  builder.set_known(node.outputs[0], Tensor::from<int64_t>(dims, made->values));
  return true;
}

}  // namespace lowbit::plan
