#include <algorithm>
#include <cmath>

#include "lowbit/data/corruptions/kinds.h"
#include "lowbit/data/encode_image.h"
#include "lowbit/data/preprocess.h"

namespace lowbit::corruptions {

void jpeg(Picture<float>& picture, int strength, Random&) {
  constexpr double kQuality[] = {25, 18, 15, 10, 7};
  const int quality = static_cast<int>(std::lrint(100 - (100 - kQuality[strength - 1]) * noise_factor(picture)));
  Picture<uint8_t> pixels{picture.width, picture.height, picture.channels, {}};
  for (const float v : picture.values)
    pixels.values.push_back(static_cast<uint8_t>(std::lrint(std::clamp(v, 0.0f, 255.0f))));
  const std::vector<std::byte> bytes = encode_jpeg(pixels, quality);
  const Image image = decode_image(bytes, "memory");
  std::copy(image.pixels.begin(), image.pixels.end(), picture.values.begin());
}

}  // namespace lowbit::corruptions
