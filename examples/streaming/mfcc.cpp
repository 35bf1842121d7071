#include "mfcc.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace streaming {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr double kLowest = 20, kHighest = 4000;

double mel(double hertz) { return 1127.0 * std::log1p(hertz / 700.0); }

}  // namespace

Mfcc::Mfcc() : window_(kFrame), bands_(kBands * (kFft / 2 + 1)), cosines_(kCoefficients * kBands), spectrum_(kFft), twiddles_(kFft / 2) {
  for (int i = 0; i < kFrame; ++i) window_[i] = static_cast<float>(0.5 - 0.5 * std::cos(2 * kPi * i / kFrame));  // Hann
  const double step = (mel(kHighest) - mel(kLowest)) / (kBands + 1);
  for (int b = 0; b < kBands; ++b) {
    const double left = mel(kLowest) + b * step, centre = left + step, right = centre + step;
    for (int k = 0; k <= kFft / 2; ++k) {
      const double at = mel(static_cast<double>(k) * kRate / kFft);
      const double weight = at <= centre ? (at - left) / step : (right - at) / step;
      bands_[b * (kFft / 2 + 1) + k] = static_cast<float>(std::max(0.0, weight));
    }
  }
  for (int c = 0; c < kCoefficients; ++c)
    for (int b = 0; b < kBands; ++b) cosines_[c * kBands + b] = static_cast<float>(std::sqrt(2.0 / kBands) * std::cos(kPi / kBands * (b + 0.5) * c));
  for (int i = 0; i < kFft / 2; ++i) twiddles_[i] = std::polar(1.0f, static_cast<float>(-2 * kPi * i / kFft));
}

/// Radix-2 Fourier transform in place.
void Mfcc::transform() {
  for (int i = 1, j = 0; i < kFft; ++i) {
    int bit = kFft >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) std::swap(spectrum_[i], spectrum_[j]);
  }
  for (int size = 2; size <= kFft; size *= 2)
    for (int start = 0; start < kFft; start += size)
      for (int k = 0; k < size / 2; ++k) {
        const std::complex<float> odd = spectrum_[start + k + size / 2] * twiddles_[k * (kFft / size)];
        spectrum_[start + k + size / 2] = spectrum_[start + k] - odd;
        spectrum_[start + k] += odd;
      }
}

void Mfcc::frame(const float* samples, float* coefficients) {
  for (int i = 0; i < kFrame; ++i) spectrum_[i] = samples[i] * window_[i];
  std::fill(spectrum_.begin() + kFrame, spectrum_.end(), 0.0f);
  transform();
  for (int b = 0; b < kBands; ++b) {
    float sum = 0;
    for (int k = 0; k <= kFft / 2; ++k) sum += std::abs(spectrum_[k]) * bands_[b * (kFft / 2 + 1) + k];
    energies_[b] = std::log(std::max(sum, 1e-12f));
  }
  for (int c = 0; c < kCoefficients; ++c) {
    float sum = 0;
    for (int b = 0; b < kBands; ++b) sum += energies_[b] * cosines_[c * kBands + b];
    coefficients[c] = sum;
  }
}

}  // namespace streaming
