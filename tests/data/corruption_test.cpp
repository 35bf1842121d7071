#include "lowbit/data/corruptions/corruption.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <gtest/gtest.h>

#include "lowbit/base/error.h"
#include "lowbit/data/encode_image.h"
#include "lowbit/data/preprocess.h"

namespace lowbit {
namespace {

/// Waves in three colours with an edge: every kind has something to damage.
Picture<uint8_t> scene(int64_t side, int64_t channels = 3) {
  Picture<uint8_t> picture{side, side, channels, {}};
  for (int64_t y = 0; y < side; ++y)
    for (int64_t x = 0; x < side; ++x)
      for (int64_t c = 0; c < channels; ++c) {
        const double wave = std::sin(0.4 * static_cast<double>(x + 2 * c)) * std::cos(0.3 * static_cast<double>(y));
        const double v = 110 + 60 * wave + (x > side / 2 ? 50 : 0) - 15 * static_cast<double>(c);
        picture.values.push_back(static_cast<uint8_t>(std::clamp(v, 0.0, 255.0)));
      }
  return picture;
}

double squared_error(const Picture<uint8_t>& a, const Picture<uint8_t>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.values.size(); ++i) sum += std::pow(a.values[i] - b.values[i], 2);
  return sum / static_cast<double>(a.values.size());
}

double mean_error(const Corruption& kind, int strength, int64_t side) {
  double sum = 0;
  for (uint64_t sample = 0; sample < 6; ++sample) {
    Picture<uint8_t> picture = scene(side);
    corrupt({&kind, strength, 1}, sample, picture);
    EXPECT_EQ(picture.width, side);
    EXPECT_EQ(picture.values.size(), scene(side).values.size());
    sum += squared_error(picture, scene(side));
  }
  return sum / 6;
}

TEST(Corruptions, FifteenKindsForPictures) {
  std::set<std::string_view> names;
  int pictures = 0;
  for (const Corruption& kind : corruption_table()) {
    EXPECT_TRUE(names.insert(kind.name).second);
    EXPECT_NE(kind.picture == nullptr, kind.signal == nullptr) << kind.name;
    pictures += kind.picture != nullptr;
  }
  EXPECT_EQ(pictures, 15);
}

TEST(Corruptions, HigherStrengthsDamageMore) {
  for (const int64_t side : {32, 96})
    for (const Corruption& kind : corruption_table()) {
      if (!kind.picture) continue;
      if (kind.name == "saturate") {  // two directions: paler at 1 and 2, gaudier from 3 on
        EXPECT_LT(mean_error(kind, 1, side), mean_error(kind, 2, side));
        EXPECT_LT(mean_error(kind, 3, side), mean_error(kind, 4, side));
        EXPECT_LT(mean_error(kind, 4, side), mean_error(kind, 5, side));
        continue;
      }
      double before = 0;
      for (int strength = 1; strength <= kStrengths; ++strength) {
        const double error = mean_error(kind, strength, side);
        EXPECT_GT(error, side > 32 ? 0.9 * before : 0) << kind.name << " " << strength;
        before = std::max(before, error);
      }
      // Of 32 pixels a wave may fall in step with the grid of pixelate and jpeg, so that only some damage is certain.
      EXPECT_GT(before, side > 32 ? 1.2 * mean_error(kind, 1, side) : 0) << kind.name;
      EXPECT_GT(mean_error(kind, 1, side), 0.1) << kind.name << " " << side;
    }
}

TEST(Corruptions, SamplesAreReproducibleAndDiffer) {
  for (const char* name : {"gaussian-noise", "motion-blur", "fog", "elastic", "spatter"}) {
    const Corruption& kind = find_corruption(name);
    Picture<uint8_t> a = scene(48), b = scene(48), c = scene(48), d = scene(48);
    corrupt({&kind, 3, 1}, 7, a);
    corrupt({&kind, 3, 1}, 7, b);
    corrupt({&kind, 3, 1}, 8, c);
    corrupt({&kind, 3, 2}, 7, d);
    EXPECT_EQ(a.values, b.values) << name;
    EXPECT_NE(a.values, c.values) << name;
    EXPECT_NE(a.values, d.values) << name;
  }
}

TEST(Corruptions, NoiseHasTheStatedDeviation) {
  Picture<uint8_t> grey{224, 224, 1, std::vector<uint8_t>(224 * 224, 128)};
  corrupt({&find_corruption("gaussian-noise"), 1, 1}, 0, grey);
  double sum = 0, squares = 0;
  for (const uint8_t v : grey.values) sum += v, squares += v * v;
  const double n = static_cast<double>(grey.values.size()), mean = sum / n;
  // 0.08 * 255 = 20.4; the standard error of a deviation over 50,176 pixels is 0.07.
  EXPECT_NEAR(std::sqrt(squares / n - mean * mean), 20.4, 0.3);
  EXPECT_NEAR(mean, 128, 0.4);

  Picture<uint8_t> salt{224, 224, 1, std::vector<uint8_t>(224 * 224, 128)};
  corrupt({&find_corruption("impulse-noise"), 5, 1}, 0, salt);
  const auto black = static_cast<double>(std::count(salt.values.begin(), salt.values.end(), 0));
  const auto white = static_cast<double>(std::count(salt.values.begin(), salt.values.end(), 255));
  EXPECT_NEAR(black / n, 0.135, 0.006);  // 4 standard errors
  EXPECT_NEAR(white / n, 0.135, 0.006);
}

TEST(Corruptions, BlursKeepAFlatPictureFlat) {
  for (const char* name :
       {"defocus-blur", "motion-blur", "zoom-blur", "gaussian-blur", "pixelate", "elastic", "contrast"}) {
    Picture<uint8_t> flat{40, 30, 3, std::vector<uint8_t>(40 * 30 * 3, 77)};
    const Picture<uint8_t> before = flat;
    corrupt({&find_corruption(name), 5, 1}, 0, flat);
    EXPECT_EQ(flat.values, before.values) << name;
  }
}

TEST(Corruptions, LightFollowsItsFormulas) {
  Picture<uint8_t> pixel{2, 1, 3, {100, 50, 200, 10, 10, 10}};
  corrupt({&find_corruption("brightness"), 2, 1}, 0, pixel);  // the value grows by 51: 200 -> 251, 10 -> 61
  EXPECT_EQ(pixel.values, (std::vector<uint8_t>{126, 63, 251, 61, 61, 61}));
  pixel.values = {100, 50, 200, 10, 10, 10};
  corrupt({&find_corruption("saturate"), 1, 1}, 0, pixel);  // 0.75 * 0.3 = 0.225 of 200 below the largest
  EXPECT_EQ(pixel.values, (std::vector<uint8_t>{170, 155, 200, 10, 10, 10}));
}

TEST(Corruptions, SmallPicturesAndGreyOnesAreDamagedToo) {
  for (const Corruption& kind : corruption_table()) {
    if (!kind.picture) continue;
    for (const int64_t channels : {1, 3})
      for (const int64_t side : {1, 2, 7}) {
        Picture<uint8_t> picture = scene(side, channels);
        corrupt({&kind, 5, 1}, 0, picture);
        EXPECT_EQ(picture.values.size(), static_cast<size_t>(side * side * channels)) << kind.name;
      }
  }
}

Tensor waves(int64_t rows) {
  Tensor batch = Tensor::uninitialized(DType::float32, {rows, 50, 3});
  auto values = batch.mutable_values<float>();
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(std::sin(0.1 * static_cast<double>(i)));
  return batch;
}

TEST(Corruptions, SignalsOfOneRowOnlyAndMoreWithStrength) {
  for (const Corruption& kind : corruption_table()) {
    if (!kind.signal) continue;
    double before = -1;
    for (const int strength : {1, 5}) {
      double error = 0;
      for (uint64_t sample = 0; sample < 20; ++sample) {
        const Tensor clean = waves(2);
        Tensor batch = waves(2);
        corrupt({&kind, strength, 1}, sample, batch, 1);
        for (int64_t i = 0; i < batch.count(); ++i) {
          const double difference = double{batch.data<float>()[i]} - double{clean.data<float>()[i]};
          ASSERT_TRUE(i >= 150 || difference == 0) << kind.name;
          error += difference * difference;
        }
      }
      EXPECT_GT(error, before) << kind.name;
      before = error;
    }
  }
}

TEST(Corruptions, AKindForOtherDataIsRefusedAndUnknownNamesGetNeighbours) {
  Picture<uint8_t> picture = scene(8);
  EXPECT_THROW(corrupt({&find_corruption("gain"), 1, 1}, 0, picture), Error);
  Tensor batch = waves(1);
  EXPECT_THROW(corrupt({&find_corruption("fog"), 1, 1}, 0, batch, 0), Error);
  try {
    find_corruption("gausian-noise");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("gaussian-noise"), std::string::npos);
  }
}

TEST(EncodeJpeg, ReadsBackNearly) {
  const Picture<uint8_t> before = scene(64);
  const std::vector<std::byte> bytes = encode_jpeg(before, 95);
  const Image image = decode_image(bytes, "memory");
  ASSERT_EQ(image.pixels.size(), before.values.size());
  EXPECT_LT(squared_error(before, {image.width, image.height, image.channels, image.pixels}), 30);
  EXPECT_THROW(encode_jpeg({2, 2, 2, std::vector<uint8_t>(8)}, 90), Error);
}

}  // namespace
}  // namespace lowbit
