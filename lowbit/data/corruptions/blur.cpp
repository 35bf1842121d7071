#include <algorithm>
#include <cmath>

#include "lowbit/data/corruptions/kinds.h"

namespace lowbit::corruptions {
namespace {

/// ... 1 0 | 0 1 2 ... n-1 | n-1 n-2 ...
int64_t mirrored(int64_t i, int64_t n) {
  const int64_t period = 2 * n;
  i = ((i % period) + period) % period;
  return i < n ? i : period - 1 - i;
}

/// Convolves along one axis with a symmetric kernel given from its centre on.
void convolve(Picture<float>& picture, const std::vector<double>& kernel, bool horizontal) {
  const int64_t n = horizontal ? picture.width : picture.height;
  const int64_t stride = horizontal ? picture.channels : picture.width * picture.channels;
  const int64_t lines = static_cast<int64_t>(picture.values.size()) / n;
  std::vector<float> line(static_cast<size_t>(n));
  for (int64_t l = 0; l < lines; ++l) {
    const int64_t start = horizontal ? l / picture.channels * n * picture.channels + l % picture.channels : l;
    float* values = picture.values.data() + start;
    for (int64_t i = 0; i < n; ++i) line[static_cast<size_t>(i)] = values[i * stride];
    for (int64_t i = 0; i < n; ++i) {
      double sum = kernel[0] * line[static_cast<size_t>(i)];
      for (int64_t k = 1; k < static_cast<int64_t>(kernel.size()); ++k)
        sum += kernel[static_cast<size_t>(k)] *
               (line[static_cast<size_t>(mirrored(i - k, n))] + line[static_cast<size_t>(mirrored(i + k, n))]);
      values[i * stride] = static_cast<float>(sum);
    }
  }
}

float& at(Picture<float>& picture, int64_t x, int64_t y, int64_t c) {
  return picture.values[static_cast<size_t>((y * picture.width + x) * picture.channels + c)];
}

struct Tap {
  double x, y, weight;
};

/// Each pixel becomes the weighted mean of those around it.
void apply_taps(Picture<float>& picture, std::vector<Tap> taps) {
  double total = 0;
  for (const Tap& tap : taps) total += tap.weight;
  const Picture<float> before = picture;
  for (int64_t y = 0; y < picture.height; ++y)
    for (int64_t x = 0; x < picture.width; ++x)
      for (int64_t c = 0; c < picture.channels; ++c) {
        double sum = 0;
        for (const Tap& tap : taps)
          sum += tap.weight * sample(before, static_cast<double>(x) + tap.x, static_cast<double>(y) + tap.y, c);
        at(picture, x, y, c) = static_cast<float>(sum / total);
      }
}

}  // namespace

float sample(const Picture<float>& picture, double x, double y, int64_t channel) {
  const double left = std::floor(x), top = std::floor(y);
  const double right_share = x - left, bottom_share = y - top;
  const auto value = [&](int64_t dx, int64_t dy) {
    const int64_t i = mirrored(static_cast<int64_t>(left) + dx, picture.width);
    const int64_t j = mirrored(static_cast<int64_t>(top) + dy, picture.height);
    return double{picture.values[static_cast<size_t>((j * picture.width + i) * picture.channels + channel)]};
  };
  if (right_share == 0 && bottom_share == 0) return static_cast<float>(value(0, 0));
  const double upper = value(0, 0) + right_share * (value(1, 0) - value(0, 0));
  const double lower = value(0, 1) + right_share * (value(1, 1) - value(0, 1));
  return static_cast<float>(upper + bottom_share * (lower - upper));
}

void smooth(Picture<float>& picture, double sigma) {
  if (sigma < 0.05) return;
  std::vector<double> kernel;
  double total = 0;
  for (int64_t k = 0; k <= static_cast<int64_t>(std::ceil(3 * sigma)); ++k) {
    kernel.push_back(std::exp(-0.5 * std::pow(static_cast<double>(k) / sigma, 2)));
    total += k == 0 ? kernel.back() : 2 * kernel.back();
  }
  for (double& weight : kernel) weight /= total;
  convolve(picture, kernel, true);
  convolve(picture, kernel, false);
}

Picture<float> smooth_field(int64_t width, int64_t height, double sigma, Random& random) {
  Picture<float> field{width, height, 1, std::vector<float>(static_cast<size_t>(width * height))};
  for (float& v : field.values) v = static_cast<float>(random.normal());
  smooth(field, sigma);
  double sum = 0, squares = 0;
  for (const float v : field.values) sum += v, squares += double{v} * v;
  const double n = static_cast<double>(field.values.size()), mean = sum / n;
  const double deviation = std::sqrt(std::max(1e-30, squares / n - mean * mean));
  for (float& v : field.values) v = static_cast<float>((v - mean) / deviation);
  return field;
}

void gaussian_blur(Picture<float>& picture, int strength, Random&) {
  constexpr double kSigma[] = {1, 2, 3, 4, 6};
  // Below half a pixel nothing would happen: small pictures start from 0.4.
  smooth(picture, std::max(0.3 + 0.1 * strength, length_factor(picture) * kSigma[strength - 1]));
}

void defocus_blur(Picture<float>& picture, int strength, Random&) {
  constexpr double kRadius[] = {3, 4, 6, 8, 10};
  const double radius = length_factor(picture) * kRadius[strength - 1];
  std::vector<Tap> taps;
  const double reach = std::ceil(radius);
  for (double y = -reach; y <= reach; ++y)
    for (double x = -reach; x <= reach; ++x)  // the rim fades over one pixel
      if (const double weight = std::clamp(radius + 0.5 - std::hypot(x, y), 0.0, 1.0); weight > 0)
        taps.push_back({x, y, weight});
  apply_taps(picture, std::move(taps));
}

void motion_blur(Picture<float>& picture, int strength, Random& random) {
  constexpr double kLength[] = {10, 15, 15, 15, 20}, kSigma[] = {3, 5, 8, 12, 15};
  const double factor = length_factor(picture), angle = (2 * random.uniform() - 1) * 0.25 * 3.14159265358979;
  const double length = std::max(1.0, factor * kLength[strength - 1]), sigma = factor * kSigma[strength - 1];
  std::vector<Tap> taps;
  for (double d = 0; d <= length; ++d)
    taps.push_back({d * std::cos(angle), d * std::sin(angle), std::exp(-0.5 * d * d / (sigma * sigma))});
  apply_taps(picture, std::move(taps));
}

void zoom_blur(Picture<float>& picture, int strength, Random&) {
  constexpr double kMost[] = {1.11, 1.16, 1.21, 1.26, 1.31}, kStep = 0.02;
  const Picture<float> before = picture;
  const double cx = 0.5 * static_cast<double>(picture.width - 1), cy = 0.5 * static_cast<double>(picture.height - 1);
  int levels = 1;
  for (double zoom = 1 + kStep; zoom < kMost[strength - 1]; zoom += kStep, ++levels)
    for (int64_t y = 0; y < picture.height; ++y)
      for (int64_t x = 0; x < picture.width; ++x)
        for (int64_t c = 0; c < picture.channels; ++c)
          at(picture, x, y, c) +=
              sample(before, cx + (static_cast<double>(x) - cx) / zoom, cy + (static_cast<double>(y) - cy) / zoom, c);
  for (float& v : picture.values) v /= static_cast<float>(levels);
}

}  // namespace lowbit::corruptions
