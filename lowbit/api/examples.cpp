#include "lowbit/api/examples.h"

#include <algorithm>
#include <cmath>

#include "lowbit/api/inference.h"
#include "lowbit/data/encode_image.h"

namespace lowbit {
namespace {

constexpr int64_t kLeastPictureSide = 8, kMostSide = 160;  // of what is taken for a picture, of what is shown
constexpr int64_t kMostSteps = 400, kMostLines = 6;
constexpr int kQuality = 85;

struct PictureLayout {
  int64_t width = 0, height = 0, channels = 0;
  bool channels_first = false;
};

/// A batch of one that may be a picture: [1, H, W, C] or [1, C, H, W] with one or three channels.
std::optional<PictureLayout> picture_layout(const Tensor& x) {
  if (x.rank() != 4 || x.dim(0) != 1) return std::nullopt;
  const auto fits = [](int64_t channels, int64_t height, int64_t width) {
    return (channels == 1 || channels == 3) && height >= kLeastPictureSide && width >= kLeastPictureSide;
  };
  if (fits(x.dim(3), x.dim(1), x.dim(2))) return PictureLayout{x.dim(2), x.dim(1), x.dim(3), false};
  if (fits(x.dim(1), x.dim(2), x.dim(3))) return PictureLayout{x.dim(3), x.dim(2), x.dim(1), true};
  return std::nullopt;
}

/// 0..255 of the ranges that networks take: 0..255, 0..1, -1..1; any other from its least to its largest value.
std::vector<uint8_t> to_pixels(std::span<const float> values) {
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  double low = *least, high = *most;
  if (low >= 0 && high <= 1)
    low = 0, high = 1;
  else if (low >= -1.001 && high <= 1.001)
    low = -1, high = 1;
  else if (low >= 0 && high <= 255 && high > 2)
    low = 0, high = 255;
  std::vector<uint8_t> pixels;
  for (const float v : values) {
    const double scaled = high > low ? 255 * (v - low) / (high - low) : 0;
    pixels.push_back(static_cast<uint8_t>(std::lrint(std::clamp(std::isfinite(scaled) ? scaled : 0.0, 0.0, 255.0))));
  }
  return pixels;
}

void show_picture(const Tensor& x, const PictureLayout& layout, Example& example) {
  const std::vector<uint8_t> pixels = to_pixels(x.values<float>());
  Picture<uint8_t> picture{layout.width, layout.height, layout.channels, std::vector<uint8_t>(pixels.size())};
  const int64_t area = layout.width * layout.height;
  for (int64_t i = 0; i < area; ++i)
    for (int64_t c = 0; c < layout.channels; ++c)
      picture.values[static_cast<size_t>(i * layout.channels + c)] =
          pixels[static_cast<size_t>(layout.channels_first ? c * area + i : i * layout.channels + c)];
  const int64_t longest = std::max(layout.width, layout.height);
  if (longest > kMostSide)
    picture = resize_bilinear(picture, std::max<int64_t>(1, layout.width * kMostSide / longest),
                              std::max<int64_t>(1, layout.height * kMostSide / longest));
  example.width = picture.width;
  example.height = picture.height;
  example.jpeg = encode_jpeg(picture, kQuality);
}

void show_series(const Tensor& x, Example& example) {
  const int64_t steps = x.rank() >= 3 ? x.dim(1) : x.count();
  if (steps < 2 || x.count() % steps != 0) return;
  const int64_t channels = x.count() / steps;
  const auto values = x.values<float>();
  for (int64_t c = 0; c < std::min(channels, kMostLines); ++c) {
    std::vector<float> line;
    for (int64_t t = 0; t < std::min(steps, kMostSteps); ++t)
      line.push_back(values[static_cast<size_t>(t * channels + c)]);
    example.series.push_back(std::move(line));
  }
}

std::string class_text(int64_t number, const DataSet& data) {
  const auto& names = data.class_names();
  if (number >= 0 && number < static_cast<int64_t>(names.size())) return names[static_cast<size_t>(number)];
  return "class " + std::to_string(number);
}

double score_of(const Tensor& output, int64_t decision) {
  const Tensor scores = to_float32(output);
  const auto values = scores.values<float>();
  return decision >= 0 && decision < scores.count() ? values[static_cast<size_t>(decision)]
         : scores.count() == 1                      ? values[0]
                                                    : NAN;
}

/// `most` of the list, evenly spread.
std::vector<int64_t> spread(const std::vector<int64_t>& all, size_t most) {
  if (all.size() <= most) return all;
  std::vector<int64_t> some;
  for (size_t i = 0; i < most; ++i) some.push_back(all[(2 * i + 1) * all.size() / (2 * most)]);
  return some;
}

}  // namespace

Disagreements find_disagreements(const Model& float_model, const EvaluateRun& float_run, const Model& low_bit,
                                 const EvaluateRun& low_bit_run, const DataSet& data, ThreadPool& threads,
                                 size_t most) {
  Disagreements result;
  const auto& a = float_run.predictions;
  const auto& b = low_bit_run.predictions;
  // Models that take several samples at once, or outputs that are no decisions of samples, have no examples to show.
  if (a.size() != b.size() || static_cast<int64_t>(a.size()) != data.size() ||
      std::max(usable_batch(float_model.graph, 1), usable_batch(low_bit.graph, 1)) != 1)
    return result;
  result.samples = data.size();
  std::vector<int64_t> harmed, others;
  for (int64_t i = 0; i < data.size(); ++i) {
    const auto at = static_cast<size_t>(i);
    if (a[at] == b[at]) continue;
    ++result.differing;
    int64_t label = -1;
    if (data.has_labels() && float_run.evaluation.metrics.contains("accuracy")) {
      const Batch batch = data.read(i, 1);
      if (!batch.labels.empty()) label = batch.labels[0];
    }
    result.float_only_right += label >= 0 && a[at] == label;
    result.low_bit_only_right += label >= 0 && b[at] == label;
    (label >= 0 && a[at] == label ? harmed : others).push_back(i);
  }
  std::vector<int64_t> chosen = spread(harmed, most);
  const std::vector<int64_t> rest = spread(others, most - chosen.size());
  chosen.insert(chosen.end(), rest.begin(), rest.end());
  Inference float_inference(float_model.graph, threads), low_bit_inference(low_bit.graph, threads);
  for (const int64_t i : chosen) {
    const Batch batch = data.read(i, 1);
    const auto at = static_cast<size_t>(i);
    Example example;
    example.name = data.sample_name(i);
    example.float_class = class_text(a[at], data);
    example.low_bit_class = class_text(b[at], data);
    if (!batch.labels.empty() && float_run.evaluation.metrics.contains("accuracy")) {
      example.label = class_text(batch.labels[0], data);
      example.float_right = a[at] == batch.labels[0];
      example.low_bit_right = b[at] == batch.labels[0];
    }
    example.float_score = score_of(float_inference.run_ordered(bind_inputs(float_model.graph, batch))[0], a[at]);
    example.low_bit_score = score_of(low_bit_inference.run_ordered(bind_inputs(low_bit.graph, batch))[0], b[at]);
    const Tensor& input = batch.inputs[0].second;
    if (is_float(input.dtype()) || is_integer(input.dtype())) {
      const Tensor x = to_float32(input);
      if (const auto layout = picture_layout(x))
        show_picture(x, *layout, example);
      else
        show_series(x, example);
    }
    result.examples.push_back(std::move(example));
  }
  return result;
}

}  // namespace lowbit
