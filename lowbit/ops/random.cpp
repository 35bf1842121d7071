// random.cpp: operators that draw numbers. The numbers depend on the attribute `seed` and the node's name alone, so a
// run can be repeated; ONNX prescribes the distribution, not the generator.
#include <bit>
#include <cmath>

#include <fmt/format.h>

#include "lowbit/base/random.h"
#include "lowbit/ops/dispatch.h"
#include "lowbit/ops/families.h"
#include "lowbit/ops/infer_helpers.h"

namespace lowbit {
namespace {

/// FNV-1a: nodes without a seed still draw different numbers.
uint64_t name_hash(std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

Random generator(const Node& node) {
  if (node.has_attr("seed")) return Random(std::bit_cast<uint32_t>(node.attr_float("seed", 0)));
  return Random(0, name_hash(node.name));
}

struct Normal {
  explicit Normal(const Node& node) : mean(node.attr_float("mean", 0)), scale(node.attr_float("scale", 1)) {}
  double operator()(Random& random) const { return mean + scale * random.normal(); }
  double mean, scale;
};

struct Uniform {
  explicit Uniform(const Node& node) : low(node.attr_float("low", 0)), high(node.attr_float("high", 1)) {}
  double operator()(Random& random) const { return low + (high - low) * random.uniform(); }
  double low, high;
};

template <typename Distribution>
void draw(EvalContext& context, const Dims& dims, DType type) {
  const Node& node = context.node();
  if (!is_float(type)) type_error(node, type);
  Random random = generator(node);
  const Distribution distribution(node);
  Tensor y = make_output(node, DType::float64, dims);
  for (double& value : y.mutable_values<double>()) value = distribution(random);
  context.set_output(0, y.cast(type));
}

DType drawn_type(const Node& node, DType fallback) {
  return node.has_attr("dtype") ? dtype_from_onnx(node, node.attr_int("dtype", 0)) : fallback;
}

template <typename Distribution>
void draw_reference(EvalContext& context) {
  draw<Distribution>(context, context.node().attr_ints("shape"), drawn_type(context.node(), DType::float32));
}

template <typename Distribution>
void draw_like_reference(EvalContext& context) {
  const Tensor& like = context.input(0);
  draw<Distribution>(context, like.dims(), drawn_type(context.node(), like.dtype()));
}

void infer_draw(InferContext& context) {
  const Node& node = context.node();
  context.set_output(0, drawn_type(node, DType::float32), to_shape(node.attr_ints("shape")));
}

void infer_draw_like(InferContext& context) {
  infer_same_shape(context, drawn_type(context.node(), context.input_dtype(0)));
}

void bernoulli_reference(EvalContext& context) {
  const Node& node = context.node();
  const Tensor& given = context.input(0);
  if (!is_float(given.dtype())) type_error(node, given.dtype());
  const Tensor chance = given.cast(DType::float64);
  Random random = generator(node);
  Tensor y = make_output(node, DType::uint8, given.dims());
  uint8_t* to = y.mutable_data<uint8_t>();
  for (int64_t i = 0; i < y.count(); ++i) to[i] = random.uniform() < chance.data<double>()[i] ? 1 : 0;
  context.set_output(0, y.cast(drawn_type(node, given.dtype())));
}

/// Draws `count` classes with probability proportional to exp(logits).
void draw_classes(const double* logits, int64_t classes, Random& random, int64_t* to, int64_t count) {
  double top = logits[0];
  for (int64_t i = 1; i < classes; ++i) top = std::max(top, logits[i]);
  std::vector<double> cumulative;
  double total = 0;
  for (int64_t i = 0; i < classes; ++i) cumulative.push_back(total += std::exp(logits[i] - top));
  for (int64_t i = 0; i < count; ++i) {
    const auto at = std::upper_bound(cumulative.begin(), cumulative.end() - 1, random.uniform() * total);
    to[i] = at - cumulative.begin();
  }
}

int64_t sample_size(const Node& node) {
  const int64_t size = node.attr_int("sample_size", 1);
  if (size < 0) node_error(node, fmt::format("sample_size {} is negative", size));
  return size;
}

void multinomial_reference(EvalContext& context) {
  const Node& node = context.node();
  const Tensor& given = context.input(0);
  if (given.rank() != 2 || given.dim(1) == 0 || !is_float(given.dtype()))
    node_error(node, "the input must be [batch, classes] real numbers, it is " + dims_text(given.dims()));
  const Tensor logits = given.cast(DType::float64);
  const int64_t count = sample_size(node);
  Random random = generator(node);
  Tensor y = make_output(node, DType::int64, {given.dim(0), count});
  for (int64_t row = 0; row < given.dim(0); ++row)
    draw_classes(logits.data<double>() + row * given.dim(1), given.dim(1), random,
                 y.mutable_data<int64_t>() + row * count, count);
  context.set_output(0, y.cast(drawn_type(node, DType::int32)));
}

void infer_multinomial(InferContext& context) {
  const auto shape = shape_of(context, 0);
  const Dim batch = shape && !shape->empty() ? (*shape)[0] : Dim();
  context.set_output(0, drawn_type(context.node(), DType::int32), Shape{batch, Dim(sample_size(context.node()))});
}

constexpr bool kNondeterministic = true;

constexpr OpDef kRandomRows[] = {
    {"", "Bernoulli", OpKind::other, 1, 1, 1, 1, "dtype seed", infer_draw_like, bernoulli_reference, kNondeterministic},
    {"", "Multinomial", OpKind::other, 1, 1, 1, 1, "dtype sample_size seed", infer_multinomial, multinomial_reference,
     kNondeterministic},
    {"", "RandomNormal", OpKind::other, 0, 0, 1, 1, "dtype mean scale seed shape", infer_draw, draw_reference<Normal>,
     kNondeterministic},
    {"", "RandomNormalLike", OpKind::other, 1, 1, 1, 1, "dtype mean scale seed", infer_draw_like,
     draw_like_reference<Normal>, kNondeterministic},
    {"", "RandomUniform", OpKind::other, 0, 0, 1, 1, "dtype high low seed shape", infer_draw, draw_reference<Uniform>,
     kNondeterministic},
    {"", "RandomUniformLike", OpKind::other, 1, 1, 1, 1, "dtype high low seed", infer_draw_like,
     draw_like_reference<Uniform>, kNondeterministic},
};

}  // namespace

std::span<const OpDef> random_ops() { return kRandomRows; }

}  // namespace lowbit
