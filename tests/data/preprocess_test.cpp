#include "lowbit/data/preprocess.h"

#include <gtest/gtest.h>

#include "tests/data/picture_tools.h"

namespace lowbit {
namespace {

using testing::error_of;
using testing::pattern;

const std::string kData = std::string(LOWBIT_ASSETS) + "/data/";

Image to_image(const Picture<uint8_t>& picture) {
  return {picture.width, picture.height, picture.channels, picture.values};
}

std::vector<float> apply(const std::string& spec, const Picture<uint8_t>& picture) {
  const Tensor tensor = apply_preprocess(parse_preprocess(spec), to_image(picture));
  return {tensor.values<float>().begin(), tensor.values<float>().end()};
}

std::string parse_error(const std::string& spec) {
  return error_of([&] { parse_preprocess(spec); });
}

TEST(ParsePreprocess, KeepsOrderAndRoundTrips) {
  const std::string spec = "color=bgr,short=256,crop=224x200,range=-1..1,mean=0.485:0.456:0.406,std=0.25,layout=nchw";
  const Preprocess preprocess = parse_preprocess(" " + spec + " ,");
  ASSERT_EQ(preprocess.steps.size(), 7u);
  EXPECT_EQ(preprocess.steps[0].text, "bgr");
  EXPECT_EQ(preprocess.steps[2].numbers, (std::vector<double>{224, 200}));
  EXPECT_EQ(preprocess.steps[3].numbers, (std::vector<double>{-1, 1}));
  EXPECT_EQ(preprocess.steps[4].numbers, (std::vector<double>{0.485, 0.456, 0.406}));
  EXPECT_EQ(to_string(preprocess), spec);
}

TEST(ParsePreprocess, ReadsAFileWithComments) {
  const testing::TemporaryFolder folder;
  const std::string path = folder.write("a.preprocess", "# as published\ncolor=rgb, resize=8x4\r\nrange=0..1 # last\n");
  EXPECT_EQ(to_string(parse_preprocess(path)), "color=rgb,resize=8x4,range=0..1");
}

TEST(ParsePreprocess, NamesTheNearestKey) {
  EXPECT_NE(parse_error("colour=rgb").find("no key 'colour' (did you mean color"), std::string::npos);
  EXPECT_NE(parse_error("resise=2x2").find("resize"), std::string::npos);
}

TEST(ParsePreprocess, RefusesBadValues) {
  for (const char* spec : {"color=red",     "short=0",    "short=-5",     "short=1e3",    "short=",     "resize=224",
                           "resize=0x4",    "crop=4x4x4", "crop=70000x1", "range=0",      "range=1..1", "range=0..nan",
                           "range=0..1e99", "mean=a",     "mean=1:2",     "mean=1:2:3:4", "mean=inf",   "std=0",
                           "std=-1",        "std=1e-60",  "layout=hwc",   "color",        "=rgb"})
    EXPECT_NE(parse_error(spec), "(no error)") << spec;
  EXPECT_NE(parse_error("crop=224").find("crop='224' is not valid (expected: WIDTHxHEIGHT"), std::string::npos);
  EXPECT_NE(parse_error("short=4,short=5").find("short twice"), std::string::npos);
  EXPECT_NE(parse_error("no-such-file").find("neither a file nor a spec"), std::string::npos);
}

TEST(ApplyPreprocess, GivesRgbBytesInNhwcByDefault) {
  const Picture<uint8_t> picture = pattern(3, 2);
  const Tensor tensor = apply_preprocess({}, to_image(picture));
  EXPECT_EQ(tensor.dims(), (Dims{2, 3, 3}));
  for (int64_t i = 0; i < tensor.count(); ++i)
    EXPECT_EQ(tensor.data<float>()[i], static_cast<float>(picture.values[static_cast<size_t>(i)]));
  EXPECT_EQ(apply_preprocess({}, to_image(pattern(3, 2, 1))).dims(), (Dims{2, 3, 3}));
}

TEST(ApplyPreprocess, ComputesWithTheChannelsInTheirOrder) {
  const Picture<uint8_t> pixel{1, 1, 3, {0, 51, 255}};
  EXPECT_EQ(apply("range=0..1", pixel), (std::vector<float>{0.0f, 0.2f, 1.0f}));
  EXPECT_EQ(apply("mean=1:2:3,std=2:4:5", pixel), (std::vector<float>{-0.5f, 12.25f, 50.4f}));
  // Mean before std and std before mean differ.
  EXPECT_EQ(apply("std=2,mean=1", pixel), (std::vector<float>{-1.0f, 24.5f, 126.5f}));
  EXPECT_EQ(apply("color=bgr,mean=255:0:0", pixel), (std::vector<float>{0, 51, 0}));
  EXPECT_EQ(apply("color=grey", pixel), (std::vector<float>{59}));  // 0.587 * 51 + 0.114 * 255 = 59.007
}

TEST(ApplyPreprocess, PutsChannelsFirstForNchw) {
  const Picture<uint8_t> picture{2, 1, 3, {1, 2, 3, 4, 5, 6}};
  EXPECT_EQ(apply_preprocess(parse_preprocess("layout=nchw"), to_image(picture)).dims(), (Dims{3, 1, 2}));
  EXPECT_EQ(apply("layout=nchw", picture), (std::vector<float>{1, 4, 2, 5, 3, 6}));
}

TEST(ApplyPreprocess, RoundsAsThePublishedPipelines) {
  // Borders of a centre crop: (size - crop) / 2 rounded down.
  const Picture<uint8_t> row{7, 1, 1, {0, 1, 2, 3, 4, 5, 6}};
  EXPECT_EQ(apply("color=grey,crop=6x1", row)[0], 0);
  EXPECT_EQ(apply("color=grey,crop=4x1", row)[0], 1);
  EXPECT_EQ(apply("color=grey,crop=2x1", row)[0], 2);
  // 5 x 3 with the shorter side 2: int(2 * 5 / 3) = 3.
  EXPECT_EQ(apply_preprocess(parse_preprocess("short=2"), to_image(pattern(5, 3))).dims(), (Dims{2, 3, 3}));
  EXPECT_EQ(apply_preprocess(parse_preprocess("short=2"), to_image(pattern(3, 5))).dims(), (Dims{3, 2, 3}));
}

TEST(ApplyPreprocess, ResizesFloatsAfterArithmetic) {
  // Half of 0, 1, 2, 10 (see ResizeBilinear), which 8 bits would round.
  const Picture<uint8_t> row{4, 1, 1, {0, 1, 2, 10}};
  EXPECT_EQ(apply("color=grey,range=0..255,resize=2x1", row), (std::vector<float>{5 / 7.0f, 37 / 7.0f}));
}

struct Prepared {
  const char* file;
  uint32_t short_crop, squeezed, grey;
};
// Oracle: Pillow 13.0: resize((256 at the shorter side)) then the centre 224 x 224; resize((96, 96)); convert("L");
// zlib.crc32 of each.
const Prepared kPrepared[] = {
    {"faces/1.jpg", 766030562u, 2074006754u, 872014661u},
    {"faces/13.jpg", 3632335579u, 3412773841u, 3133679139u},
    {"faces/19.jpg", 2937328291u, 3910904792u, 1101837273u},
};

TEST(ApplyPreprocess, EqualsPillowOnPhotographs) {
  if (!file_exists(kData)) GTEST_SKIP() << "no " << kData;
  for (const Prepared& expected : kPrepared) {
    SCOPED_TRACE(expected.file);
    const std::string bytes = testing::file_bytes(kData + expected.file);
    const Image image = decode_image(testing::as_bytes(bytes), expected.file);
    const auto checksum = [&](const char* spec) {
      const Tensor tensor = apply_preprocess(parse_preprocess(spec), image);
      return testing::crc32(std::vector<uint8_t>(tensor.values<float>().begin(), tensor.values<float>().end()));
    };
    EXPECT_EQ(checksum("color=rgb,short=256,crop=224x224"), expected.short_crop);
    EXPECT_EQ(checksum("resize=96x96"), expected.squeezed);
    EXPECT_EQ(checksum("color=grey"), expected.grey);
  }
}

TEST(ApplyPreprocess, RefusesWhatDoesNotFit) {
  const auto refused = [](const char* spec, int64_t width, int64_t height) {
    return error_of([&] { apply(spec, pattern(width, height)); });
  };
  EXPECT_NE(refused("crop=8x4", 6, 6).find("crop=8x4 is larger than the picture of 6x6"), std::string::npos);
  EXPECT_NE(refused("color=grey,mean=1:2:3", 2, 2).find("mean has 3 numbers, but the picture has 1 channel"),
            std::string::npos);
  EXPECT_NE(refused("short=60000", 1, 2000).find("more than 100 million pixels"), std::string::npos);
}

}  // namespace
}  // namespace lowbit
