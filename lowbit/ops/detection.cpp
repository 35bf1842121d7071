#include <algorithm>
#include <limits>
#include <numeric>

#include "lowbit/ops/families.h"
#include "lowbit/ops/infer_helpers.h"
#include "lowbit/ops/losses.h"
#include "lowbit/ops/op_helpers.h"
#include "lowbit/ops/quantize.h"
#include "lowbit/ops/signal.h"

namespace lowbit {
namespace {

struct Box {
  float top, left, bottom, right;
  float area() const { return (bottom - top) * (right - left); }
};

/// From two opposite corners (y, x, y, x) in any order, or from centre and size (x, y, width, height).
Box read_box(const float* p, bool centre) {
  if (centre) return {p[1] - p[3] / 2, p[0] - p[2] / 2, p[1] + p[3] / 2, p[0] + p[2] / 2};
  return {std::min(p[0], p[2]), std::min(p[1], p[3]), std::max(p[0], p[2]), std::max(p[1], p[3])};
}

float intersection_over_union(const Box& a, const Box& b) {
  const float height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top);
  const float width = std::min(a.right, b.right) - std::max(a.left, b.left);
  if (height <= 0 || width <= 0) return 0;
  const float common = height * width, all = a.area() + b.area() - common;
  return all > 0 ? common / all : 0;
}

struct SuppressionRule {
  int64_t most;
  float overlap, score;
  bool has_score;
};

/// Indices of the boxes that stay, best first. Equal scores keep their order.
std::vector<int64_t> suppress(const std::vector<Box>& boxes, const float* scores, const SuppressionRule& rule) {
  std::vector<int64_t> order;
  for (size_t i = 0; i < boxes.size(); ++i)
    if (!rule.has_score || scores[i] > rule.score) order.push_back(static_cast<int64_t>(i));
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return scores[a] > scores[b]; });
  std::vector<int64_t> kept;
  for (int64_t candidate : order) {
    if (static_cast<int64_t>(kept.size()) >= rule.most) break;
    const bool free = std::none_of(kept.begin(), kept.end(), [&](int64_t k) {
      return intersection_over_union(boxes[static_cast<size_t>(candidate)], boxes[static_cast<size_t>(k)]) >
             rule.overlap;
    });
    if (free) kept.push_back(candidate);
  }
  return kept;
}

void run_non_max_suppression(EvalContext& c) {
  const Tensor &boxes = c.input(0), &scores = c.input(1);
  require(boxes.rank() == 3 && boxes.dim(2) == 4 && scores.rank() == 3 && scores.dim(0) == boxes.dim(0) &&
              scores.dim(2) == boxes.dim(1),
          "boxes {} and scores {} do not fit", dims_text(boxes.dims()), dims_text(scores.dims()));
  const auto threshold = [&](size_t i) { return c.has_input(i) ? scalar_float(c.input(i), "a threshold") : 0.0f; };
  const SuppressionRule rule{c.has_input(2) ? int_scalar(c, 2) : 0, threshold(3), threshold(4), c.has_input(4)};
  const bool centre = c.node().attr_int("center_point_box", 0) != 0;
  const float *pb = typed_input<float>(c, 0), *ps = typed_input<float>(c, 1);
  const int64_t count = boxes.dim(1);
  std::vector<int64_t> chosen;
  for (int64_t n = 0; n < boxes.dim(0); ++n) {
    std::vector<Box> image;
    for (int64_t i = 0; i < count; ++i) image.push_back(read_box(pb + (n * count + i) * 4, centre));
    for (int64_t k = 0; k < scores.dim(1); ++k)
      for (int64_t i : suppress(image, ps + (n * scores.dim(1) + k) * count, rule))
        chosen.insert(chosen.end(), {n, k, i});
  }
  const auto rows = static_cast<int64_t>(chosen.size()) / 3;
  c.set_output(0, Tensor::from<int64_t>({rows, 3}, chosen));
}

void infer_non_max_suppression(InferContext& context) { context.set_output(0, DType::int64, Shape{Dim(), Dim(3)}); }

void infer_stft(InferContext& context) {
  context.set_output(0, context.input_dtype(0), Shape{dim_or_unknown(context.input_shape(0), 0), Dim(), Dim(), Dim(2)});
}

}  // namespace

std::span<const OpDef> detection_ops() {
  constexpr OpKind kKind = OpKind::other;
  static const OpDef rows[] = {
      {"", "BlackmanWindow", kKind, 1, 1, 1, 1, "output_datatype periodic", infer_window, run_blackman_window},
      {"", "DFT", kKind, 1, 3, 1, 1, "inverse onesided", infer_dft, run_dft},
      {"", "HammingWindow", kKind, 1, 1, 1, 1, "output_datatype periodic", infer_window, run_hamming_window},
      {"", "HannWindow", kKind, 1, 1, 1, 1, "output_datatype periodic", infer_window, run_hann_window},
      {"", "NegativeLogLikelihoodLoss", kKind, 2, 3, 1, 1, "ignore_index reduction", infer_loss,
       run_negative_log_likelihood},
      {"", "NonMaxSuppression", kKind, 2, 5, 1, 1, "center_point_box", infer_non_max_suppression,
       run_non_max_suppression},
      {"", "STFT", kKind, 2, 4, 1, 1, "onesided", infer_stft, run_stft},
      {"", "SoftmaxCrossEntropyLoss", kKind, 2, 3, 1, 2, "ignore_index reduction", infer_loss,
       run_softmax_cross_entropy},
  };
  return rows;
}

}  // namespace lowbit
