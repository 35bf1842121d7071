// Keyword spotting on a stream: every 20 ms one frame of audio becomes ten coefficients, the last 49 of them are the
// network's input, and the answer must be there before the next frame. Prints what was heard and how long the answers
// took.
//   streaming NET.lbq [AUDIO.wav] [--real-time] [--labels FILE]
// Without a file it listens to a synthetic tone. --real-time waits for the clock as a microphone would.
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <complex>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "lowbit/runtime/lowbit_runtime.hpp"

namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kFrames = 49;

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

constexpr double kPi = 3.14159265358979323846;
constexpr double kLowest = 20, kHighest = 4000;

double mel(double hertz) { return 1127.0 * std::log1p(hertz / 700.0); }

Mfcc::Mfcc()
    : window_(kFrame),
      bands_(kBands * (kFft / 2 + 1)),
      cosines_(kCoefficients * kBands),
      spectrum_(kFft),
      twiddles_(kFft / 2) {
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
    for (int b = 0; b < kBands; ++b)
      cosines_[c * kBands + b] = static_cast<float>(std::sqrt(2.0 / kBands) * std::cos(kPi / kBands * (b + 0.5) * c));
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

uint32_t number(const std::string& bytes, size_t at, size_t width) {
  uint32_t value = 0;
  for (size_t i = 0; i < width; ++i)
    value |= static_cast<uint32_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
  return value;
}

/// Mono samples at 16 kHz of a WAV file with 16-bit samples (the first channel; 8 kHz is doubled); empty if it is none.
std::vector<float> read_wav(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  if (bytes.size() < 12 || bytes.compare(0, 4, "RIFF") != 0 || bytes.compare(8, 4, "WAVE") != 0) return {};
  size_t channels = 0, rate = 0, bits = 0;
  std::vector<float> samples;
  for (size_t at = 12; at + 8 <= bytes.size();) {
    const size_t length = std::min<size_t>(number(bytes, at + 4, 4), bytes.size() - at - 8);
    if (bytes.compare(at, 4, "fmt ") == 0 && length >= 16) {
      channels = number(bytes, at + 10, 2);
      rate = number(bytes, at + 12, 4);
      bits = number(bytes, at + 22, 2);
    } else if (bytes.compare(at, 4, "data") == 0 && channels > 0 && bits == 16) {
      for (size_t i = 0; i + 2 * channels <= length; i += 2 * channels) {
        const float value = static_cast<float>(static_cast<int16_t>(number(bytes, at + 8 + i, 2))) / 32768.0f;
        samples.insert(samples.end(), rate == 8000 ? 2 : 1, value);
      }
    }
    at += 8 + length + length % 2;
  }
  return rate == 16000 || rate == 8000 ? samples : std::vector<float>();
}

std::vector<float> tone() {
  std::vector<float> samples(4 * Mfcc::kRate);
  for (size_t i = 0; i < samples.size(); ++i) {
    const double t = static_cast<double>(i) / Mfcc::kRate;
    samples[i] = static_cast<float>(0.3 * std::sin(2 * 3.14159265358979 * (300 + 200 * t) * t));
  }
  return samples;
}

double at_share(std::vector<double> sorted, double share) {
  return sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1))];
}

void report(std::vector<double> microseconds, size_t late) {
  std::sort(microseconds.begin(), microseconds.end());
  std::printf(
      "%zu answers; front end and network took us: min %.0f, median %.0f, p90 %.0f, p99 %.0f, max %.0f; %zu later than "
      "the hop of %d us\n",
      microseconds.size(), microseconds.front(), at_share(microseconds, 0.5), at_share(microseconds, 0.9),
      at_share(microseconds, 0.99), microseconds.back(), late, Mfcc::kHop * 1000000 / Mfcc::kRate);
}

struct Arguments {
  std::string model, audio, labels;
  bool real_time = false;
};

/// Slides over the samples; the network sees the last kFrames frames.
int listen(lowbit::runtime::Session& session, const std::vector<float>& samples, const std::vector<std::string>& labels,
           bool real_time) {
  const lowbit_port in = session.input(0), out = session.output(0);
  if (in.bytes != kFrames * Mfcc::kCoefficients * sizeof(float) || out.type != LOWBIT_FLOAT32)
    return std::fprintf(stderr, "streaming: the model does not take 49 x 10 coefficients\n"), 1;
  Mfcc mfcc;
  std::vector<float> features(kFrames * Mfcc::kCoefficients), scores(out.bytes / sizeof(float));
  std::vector<double> times;
  size_t late = 0, previous = scores.size();
  const auto start = Clock::now();
  size_t frame = 0;
  for (size_t at = 0; at + Mfcc::kFrame <= samples.size(); at += Mfcc::kHop, ++frame) {
    if (real_time) std::this_thread::sleep_until(start + std::chrono::milliseconds(20) * static_cast<int>(frame));
    const auto begin = Clock::now();
    std::memmove(features.data(), features.data() + Mfcc::kCoefficients,
                 (features.size() - Mfcc::kCoefficients) * sizeof(float));
    mfcc.frame(samples.data() + at, features.data() + features.size() - Mfcc::kCoefficients);
    if (frame + 1 < kFrames) continue;
    session.run({features.data()}, {scores.data()});
    times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
    late += times.back() > Mfcc::kHop * 1e6 / Mfcc::kRate;
    const auto best = static_cast<size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
    if (best != previous && scores[best] > 0.8f)
      std::printf("%6.2f s  %-10s %.2f\n", static_cast<double>(at) / Mfcc::kRate,
                  best < labels.size() ? labels[best].c_str() : std::to_string(best).c_str(),
                  static_cast<double>(scores[best]));
    if (scores[best] > 0.8f) previous = best;
  }
  if (times.empty()) return std::fprintf(stderr, "streaming: the audio is shorter than a second\n"), 1;
  report(times, late);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string text = argv[i];
    if (text == "--real-time")
      arguments.real_time = true;
    else if (text == "--labels" && i + 1 < argc)
      arguments.labels = argv[++i];
    else
      (arguments.model.empty() ? arguments.model : arguments.audio) = text;
  }
  if (arguments.model.empty())
    return std::fprintf(stderr, "usage: streaming NET.lbq [AUDIO.wav] [--real-time] [--labels FILE]\n"), 2;
  std::vector<float> samples = arguments.audio.empty() ? std::vector<float>() : read_wav(arguments.audio);
  if (samples.empty()) {
    std::printf("no 16-bit WAV at 8 or 16 kHz%s%s; listening to a synthetic tone\n",
                arguments.audio.empty() ? "" : " in ", arguments.audio.c_str());
    samples = tone();
  }
  std::vector<std::string> labels;
  std::ifstream names(arguments.labels);
  for (std::string line; std::getline(names, line);) labels.push_back(line);
  try {
    const lowbit::runtime::Model model(arguments.model);
    lowbit::runtime::Session session(model);
    return listen(session, samples, labels, arguments.real_time);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "streaming: %s\n", error.what());
    return 1;
  }
}
