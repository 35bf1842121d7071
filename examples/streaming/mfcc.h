// mfcc.h: the front end of a keyword spotter: frames of 30 ms every 20 ms at 16 kHz become 10 cepstral coefficients of 40 mel
// bands between 20 and 4000 Hz. Computed for one frame at a time, as a stream delivers it.
#pragma once

#include <array>
#include <complex>
#include <vector>

namespace streaming {

class Mfcc {
 public:
  static constexpr int kRate = 16000, kFrame = 480, kHop = 320, kFft = 512, kBands = 40, kCoefficients = 10;

  Mfcc();
  /// kFrame samples in [-1, 1] -> kCoefficients numbers.
  void frame(const float* samples, float* coefficients);

 private:
  void transform();
  std::vector<float> window_, bands_, cosines_;  ///< [kFrame], [kBands][kFft / 2 + 1], [kCoefficients][kBands]
  std::vector<std::complex<float>> spectrum_, twiddles_;
  std::array<float, kBands> energies_;
};

}  // namespace streaming
