#include <gtest/gtest.h>

#include "lowbit/data/preprocess.h"
#include "tests/data/picture_tools.h"

namespace lowbit {
namespace {

using testing::as_bytes;
using testing::crc32;
using testing::encode_jpeg;
using testing::encode_png;
using testing::error_of;
using testing::file_bytes;
using testing::pattern;

const std::string kData = std::string(LOWBIT_ASSETS) + "/data/";

Image decode(const std::string& bytes) { return decode_image(as_bytes(bytes), "x.img"); }

enum PngColor { kGrey = 0, kRgb = 2, kPalette = 3, kGreyAlpha = 4, kRgba = 6 };

struct Asset {
  const char* file;
  int64_t width, height, channels;
  uint32_t checksum;
};
// Oracle: Pillow 13.0 (libjpeg-turbo 3.2), zlib.crc32 of numpy.asarray(Image.open(file)).
const Asset kAssets[] = {
    {"faces/1.jpg", 720, 478, 3, 1111507471u},
    {"faces/13.jpg", 450, 344, 3, 1730828696u},
    {"faces/19.jpg", 1024, 754, 3, 3894768252u},
    {"mnist_samples/3.png", 28, 28, 1, 1798741514u},
};

TEST(DecodeImage, EqualsPillowOnTheAssets) {
  if (!file_exists(kData)) GTEST_SKIP() << "no " << kData;
  for (const Asset& asset : kAssets) {
    SCOPED_TRACE(asset.file);
    const Image image = decode(file_bytes(kData + asset.file));
    EXPECT_EQ(image.width, asset.width);
    EXPECT_EQ(image.height, asset.height);
    EXPECT_EQ(image.channels, asset.channels);
    EXPECT_EQ(crc32(image.pixels), asset.checksum);
  }
}

TEST(DecodeImage, ReadsEveryKindOfPng) {
  const auto rgb = pattern(5, 3);
  const std::string rows(rgb.values.begin(), rgb.values.end());
  EXPECT_EQ(decode(encode_png(5, 3, kRgb, 8, rows)).pixels, rgb.values);
  EXPECT_EQ(decode(encode_png(5, 3, kRgb, 8, rows, /*interlaced=*/true)).pixels, rgb.values);
  // One bit: 1011 0000 -> 255 0 255 255.
  EXPECT_EQ(decode(encode_png(4, 1, kGrey, 1, "\xb0")).pixels, (std::vector<uint8_t>{255, 0, 255, 255}));
  // 16 bits: the high byte counts.
  EXPECT_EQ(decode(encode_png(2, 1, kGrey, 16, std::string("\x12\xff\x80\x00", 4))).pixels,
            (std::vector<uint8_t>{0x12, 0x80}));
  // Alpha is dropped, not blended.
  EXPECT_EQ(decode(encode_png(1, 1, kRgba, 8, std::string("\x0a\x14\x1e\x00", 4))).pixels,
            (std::vector<uint8_t>{10, 20, 30}));
  EXPECT_EQ(decode(encode_png(1, 1, kGreyAlpha, 8, std::string("\x0a\x00", 2))).pixels, (std::vector<uint8_t>{10}));
  // Two bits of palette: indices 2 0 1 3, of which 0 and 1 are transparent.
  EXPECT_EQ(decode(encode_png(4, 1, kPalette, 2, "\x87")).pixels,
            (std::vector<uint8_t>{255, 0, 128, 1, 2, 3, 40, 50, 60, 9, 8, 7}));
}

TEST(DecodeImage, ReadsGreyProgressiveAndInkJpegs) {
  const Picture<uint8_t> grey{16, 16, 1, std::vector<uint8_t>(256, 77)};
  EXPECT_EQ(decode(encode_jpeg(grey)).pixels, grey.values);
  EXPECT_EQ(decode(encode_jpeg(grey, /*progressive=*/true)).pixels, grey.values);
  Picture<uint8_t> inks{8, 8, 4, {}};
  for (int i = 0; i < 64; ++i) inks.values.insert(inks.values.end(), {255, 0, 255, 128});
  const Image image = decode(encode_jpeg(inks));
  ASSERT_EQ(image.channels, 3);
  // The encoder marks the file as Adobe's, whose inks are stored inverted: R = C K / 255.
  EXPECT_NEAR(image.pixels[0], 128, 1);
  EXPECT_NEAR(image.pixels[1], 0, 1);
  EXPECT_NEAR(image.pixels[2], 128, 1);
}

TEST(DecodeImage, RefusesEveryTruncation) {
  for (const std::string& whole : {encode_jpeg(pattern(24, 16)), encode_jpeg(pattern(24, 16), /*progressive=*/true),
                                   testing::plain_png(9, 7, 200)}) {
    for (size_t length = 0; length < whole.size(); ++length) {
      // An exact copy, so that reading past the end is seen by a sanitizer.
      const std::vector<std::byte> part(as_bytes(whole).begin(),
                                        as_bytes(whole).begin() + static_cast<int64_t>(length));
      EXPECT_THROW(decode_image(part, "x.img"), Error) << length << " of " << whole.size() << " bytes";
    }
  }
}

TEST(DecodeImage, PrintsNothing) {
  const std::string whole = encode_jpeg(pattern(24, 16));
  ::testing::internal::CaptureStderr();
  EXPECT_THROW(decode(whole.substr(0, whole.size() - 40)), Error);
  EXPECT_THROW(decode(testing::plain_png(9, 7, 200).substr(0, 60)), Error);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(DecodeImage, RefusesDamagedPixels) {
  std::string png = testing::plain_png(9, 7, 200);
  png[png.find("IDAT") + 8] ^= 1;
  EXPECT_NE(error_of([&] { decode(png); }).find("x.img: the PNG picture cannot be decoded"), std::string::npos);
}

TEST(DecodeImage, RefusesSizesBeforeAllocating) {
  // A header that claims 60000 x 60000 pixels.
  std::string png = testing::plain_png(4, 4, 0);
  png.replace(16, 8, std::string("\x00\x00\xea\x60\x00\x00\xea\x60", 8));
  EXPECT_NE(error_of([&] { decode(png); }), "(no error)");
  std::string jpeg = encode_jpeg(pattern(16, 16));
  const size_t frame = jpeg.find("\xff\xc0");
  jpeg.replace(frame + 5, 4, "\x27\x10\x27\x10");  // 10000 x 10000: within the limit, but not within the file
  EXPECT_NE(error_of([&] { decode(jpeg); }).find("bytes are too few for 10000 x 10000 pixels"), std::string::npos);
  jpeg.replace(frame + 5, 4, "\x7f\xff\x7f\xff");
  EXPECT_NE(error_of([&] { decode(jpeg); }).find("more than the limit of 100000000"), std::string::npos);
  EXPECT_NE(error_of([&] { decode_image(as_bytes(testing::plain_png(4, 4, 0)), "x.img", 15); }).find("limit of 15"),
            std::string::npos);
}

TEST(DecodeImage, RefusesOtherContents) {
  EXPECT_NE(error_of([] { decode(""); }).find("x.img: the picture is empty"), std::string::npos);
  EXPECT_NE(error_of([] { decode("GIF89a"); }).find("neither a JPEG nor a PNG"), std::string::npos);
}

}  // namespace
}  // namespace lowbit
