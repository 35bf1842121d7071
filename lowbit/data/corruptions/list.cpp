#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/data/corruptions/kinds.h"

namespace lowbit {
namespace {

namespace kinds = corruptions;

constexpr Corruption kKinds[] = {
    {"gaussian-noise", "noise of a sensor in little light", kinds::gaussian_noise, nullptr},
    {"shot-noise", "noise of single photons (Poisson)", kinds::shot_noise, nullptr},
    {"impulse-noise", "black and white pixels", kinds::impulse_noise, nullptr},
    {"defocus-blur", "out of focus: each point a disc", kinds::defocus_blur, nullptr},
    {"motion-blur", "the camera moved along a line", kinds::motion_blur, nullptr},
    {"zoom-blur", "the camera moved towards the scene", kinds::zoom_blur, nullptr},
    {"gaussian-blur", "a soft lens", kinds::gaussian_blur, nullptr},
    {"fog", "a fractal fog", kinds::fog, nullptr},
    {"spatter", "drops on the lens", kinds::spatter, nullptr},
    {"brightness", "more light", kinds::brightness, nullptr},
    {"contrast", "less contrast", kinds::contrast, nullptr},
    {"saturate", "paler (1, 2) or gaudier (3 to 5) colours; nothing in grey pictures", kinds::saturate, nullptr},
    {"elastic", "stretched locally", kinds::elastic, nullptr},
    {"pixelate", "fewer pixels", kinds::pixelate, nullptr},
    {"jpeg", "strong JPEG compression", kinds::jpeg, nullptr},
    {"noise", "white noise, in standard deviations of the sample", nullptr, kinds::sensor_noise},
    {"gain", "louder or quieter", nullptr, kinds::gain},
    {"offset", "a constant added", nullptr, kinds::offset},
    {"drop-out", "a stretch of time reads 0", nullptr, kinds::drop_out},
    {"time-shift", "earlier or later; what leaves comes in at the other end", nullptr, kinds::time_shift},
    {"spikes", "single values far off", nullptr, kinds::spikes},
    {"clipping", "a sensor that saturates", nullptr, kinds::clipping},
    {"drift", "an offset that grows with time", nullptr, kinds::drift},
};

/// A stream of its own for each kind, strength and sample.
Random stream(const CorruptionChoice& choice, uint64_t sample) {
  const auto kind = static_cast<uint64_t>(choice.kind - std::begin(kKinds));
  return Random(choice.seed + 0x9e3779b97f4a7c15u * (kind * kStrengths + static_cast<uint64_t>(choice.strength)),
                sample);
}

[[noreturn]] void refuse(const Corruption& kind, const char* what) {
  throw Error(ErrorCode::bad_argument,
              fmt::format("the corruption {} is for {} (leave it out, or give all)", kind.name, what), "--corruptions");
}

}  // namespace

std::span<const Corruption> corruption_table() { return kKinds; }

const Corruption& find_corruption(std::string_view name) {
  std::vector<std::string> names;
  for (const Corruption& kind : kKinds) {
    if (kind.name == name) return kind;
    names.emplace_back(kind.name);
  }
  const std::string near = did_you_mean(name, names);
  throw Error(ErrorCode::bad_argument,
              fmt::format("there is no corruption '{}' ({})", printable(name, 60),
                          near.empty() ? "known are " + join(names, ", ") : near),
              "--corruptions");
}

double length_factor(const Picture<float>& picture) {
  return std::min(1.0, std::pow(static_cast<double>(std::min(picture.width, picture.height)) / 224, 0.75));
}

double noise_factor(const Picture<float>& picture) {
  return std::min(1.0, std::sqrt(static_cast<double>(std::min(picture.width, picture.height)) / 224));
}

void corrupt(const CorruptionChoice& choice, uint64_t sample, Picture<uint8_t>& picture) {
  if (!choice.kind->picture) refuse(*choice.kind, "arrays, these are pictures");
  Random random = stream(choice, sample);
  Picture<float> values{
      picture.width, picture.height, picture.channels, {picture.values.begin(), picture.values.end()}};
  choice.kind->picture(values, choice.strength, random);
  LOWBIT_CHECK(values.values.size() == picture.values.size());
  for (size_t i = 0; i < values.values.size(); ++i)
    picture.values[i] = static_cast<uint8_t>(std::lrint(std::clamp(values.values[i], 0.0f, 255.0f)));
}

void corrupt(const CorruptionChoice& choice, uint64_t sample, Tensor& batch, int64_t row) {
  if (!choice.kind->signal) refuse(*choice.kind, "pictures, these are arrays");
  if (batch.rank() < 1 || batch.dtype() != DType::float32 || batch.dim(0) < 1) return;
  Random random = stream(choice, sample);
  const int64_t size = batch.count() / batch.dim(0), steps = batch.rank() > 1 ? std::max<int64_t>(1, batch.dim(1)) : 1;
  if (size == 0) return;
  choice.kind->signal(
      {batch.mutable_values<float>().subspan(static_cast<size_t>(row * size), static_cast<size_t>(size)), steps,
       size / steps},
      choice.strength, random);
}

}  // namespace lowbit
