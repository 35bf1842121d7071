#include "lowbit/ops/losses.h"

#include <cmath>

#include "lowbit/ops/infer_helpers.h"
#include "lowbit/ops/op_helpers.h"
#include "lowbit/ops/softmax.h"

namespace lowbit {
namespace {

struct LossLayout {
  int64_t batch, classes, places;
};

LossLayout loss_layout(const Tensor& x, const Tensor& target) {
  require(x.rank() >= 2, "the scores {} have no class axis", dims_text(x.dims()));
  Dims wanted = x.dims();
  wanted.erase(wanted.begin() + 1);
  require_dims(target, wanted, "the target");
  return {x.dim(0), x.dim(1), count_between(x.dims(), 2, x.dims().size())};
}

/// loss[n, place] = -weight[target] * log_probability[n, target, place], then the reduction of the node.
template <typename T>
void likelihood(EvalContext& c, const Tensor& scores) {
  const LossLayout l = loss_layout(scores, c.input(1));
  const std::vector<int64_t> target = int_values(c, 1);
  const T* weights = optional_typed_input<T>(c, 2);
  if (weights) require_dims(c.input(2), {l.classes}, "the weights");
  const bool ignores = c.node().has_attr("ignore_index");
  const int64_t ignored = c.node().attr_int("ignore_index", 0);
  const std::string reduction = c.node().attr_string("reduction", "mean");
  require(reduction == "mean" || reduction == "sum" || reduction == "none", "reduction '{}' is none of mean, sum, none",
          reduction);
  Tensor losses = zero_output(c.node(), scores.dtype(), c.input(1).dims());
  T* out = losses.mutable_data<T>();
  const T* x = scores.data<T>();
  double sum = 0, weight_sum = 0;
  for (int64_t i = 0; i < l.batch * l.places; ++i) {
    const int64_t label = target[static_cast<size_t>(i)];
    if (ignores && label == ignored) continue;
    require(label >= 0 && label < l.classes, "a target is {} with {} classes", label, l.classes);
    const double w = weights ? static_cast<double>(weights[label]) : 1.0;
    const double loss = -w * x[(i / l.places * l.classes + label) * l.places + i % l.places];
    out[i] = static_cast<T>(loss);
    sum += loss;
    weight_sum += w;
  }
  if (reduction == "none") return c.set_output(0, std::move(losses));
  const double result = reduction == "sum" ? sum : sum / weight_sum;
  c.set_output(0, Tensor::scalar<T>(static_cast<T>(result)));
}

}  // namespace

void run_negative_log_likelihood(EvalContext& context) {
  run_widened(context, []<typename T>(EvalContext& c) {
    typed_input<T>(c, 0);
    likelihood<T>(c, c.input(0));
  });
}

void run_softmax_cross_entropy(EvalContext& context) {
  run_widened(context, []<typename T>(EvalContext& c) {
    typed_input<T>(c, 0);
    Node log_softmax;
    log_softmax.op = "LogSoftmax";
    log_softmax.outputs = {0};
    log_softmax.attributes["axis"] = int64_t{1};
    EvalContext inner(log_softmax, {&c.input(0)}, c.threads());
    run_log_softmax(inner);
    const Tensor log_probability = inner.outputs()[0];
    likelihood<T>(c, log_probability);
    c.set_output(1, log_probability);
  });
}

void infer_loss(InferContext& context) {
  const bool kept = context.node().attr_string("reduction", "mean") == "none";
  context.set_output(0, context.input_dtype(0), kept ? shape_of(context, 1) : Shape{});
  context.set_output(1, context.input_dtype(0), shape_of(context, 0));
}

}  // namespace lowbit
