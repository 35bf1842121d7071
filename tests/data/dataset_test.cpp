#include "lowbit/data/dataset.h"

#include <cmath>

#include <gtest/gtest.h>

#include "lowbit/data/picture_files.h"
#include "lowbit/formats/npy.h"
#include "tests/data/picture_tools.h"

namespace lowbit {
namespace {

using testing::error_of;
using testing::make_archive;
using testing::Members;
using testing::plain_png;
using testing::TemporaryFolder;

const std::string kData = std::string(LOWBIT_ASSETS) + "/data/";

std::vector<int64_t> all_labels(const DataSet& data) { return data.read(0, data.size()).labels; }

std::string open_error(const std::string& path, const DataOptions& options = {}) {
  return error_of([&] { open_data(path, options); });
}

std::vector<float> column(const Batch& batch) {
  const auto values = batch.inputs[0].second.values<float>();
  return {values.begin(), values.end()};
}

/// Levels (first value) of the pictures of a data set.
std::vector<int> levels(const DataSet& data) {
  std::vector<int> result;
  for (int64_t i = 0; i < data.size(); ++i)
    result.push_back(static_cast<int>(data.read(i, 1).inputs[0].second.values<float>()[0]));
  return result;
}

const Members kZoo = {
    {"zoo/dog/b.png", plain_png(2, 2, 20)}, {"zoo/cat/a.png", plain_png(2, 2, 10)},
    {"zoo/dog/a.png", plain_png(2, 2, 30)}, {"zoo/cat/._a.png", "resource fork"},
    {"zoo/.hidden/x.png", "not read"},      {"zoo/README", "words"},
};

TEST(Pictures, AreTheSameFromFolderTarZipAndCompressedTar) {
  const TemporaryFolder folder;
  for (const auto& [name, bytes] : kZoo) folder.write("plain/" + name, bytes);
  std::vector<std::string> paths = {folder / "plain/", folder / "plain/zoo"};
  for (const char* format : {"tar", "zip", "tar.gz"})
    paths.push_back(folder.write(std::string("zoo.") + format, make_archive(format, kZoo)));
  for (const std::string& path : paths) {
    SCOPED_TRACE(path);
    const auto data = open_data(path, {});
    ASSERT_EQ(data->size(), 3);
    EXPECT_EQ(levels(*data), (std::vector<int>{10, 30, 20}));
    EXPECT_EQ(all_labels(*data), (std::vector<int64_t>{0, 1, 1}));
    EXPECT_EQ(data->class_names(), (std::vector<std::string>{"cat", "dog"}));
    EXPECT_TRUE(data->sample_name(2).ends_with("dog/b.png"));
    EXPECT_EQ(data->read(0, 3).inputs[0].second.dims(), (Dims{3, 2, 2, 3}));
  }
}

TEST(Pictures, AreKnownByContentWithoutAnExtension) {
  const TemporaryFolder folder;
  folder.write("d/a/one", plain_png(2, 2, 1));
  folder.write("d/b/two.JPEG", plain_png(2, 2, 2));  // a PNG all the same
  folder.write("d/b/three.bin", "bytes");
  EXPECT_EQ(levels(*open_data(folder / "d", {})), (std::vector<int>{1, 2}));
}

TEST(Pictures, InAFlatFolderHaveNoLabels) {
  const TemporaryFolder folder;
  folder.write("d/1.png", plain_png(2, 2, 1));
  folder.write("d/2.png", plain_png(2, 2, 2));
  EXPECT_FALSE(open_data(folder / "d", {})->has_labels());
  EXPECT_TRUE(all_labels(*open_data(folder / "d", {})).empty());
  // A single folder that is no known class is where the pictures lie, not what they show.
  const std::string tar = folder.write("t.tar", make_archive("tar", {{"shots/1.png", plain_png(2, 2, 1)}}));
  EXPECT_FALSE(open_data(tar, {})->has_labels());
  folder.write("d/dog/3.png", plain_png(2, 2, 3));
  EXPECT_NE(open_error(folder / "d").find("'1.png' lies beside the class folders"), std::string::npos);
}

TEST(Pictures, TakeExplicitLabels) {
  const TemporaryFolder folder;
  folder.write("d/1.png", plain_png(2, 2, 1));
  folder.write("d/2.png", plain_png(2, 2, 2));
  save_npy(Tensor::from<int64_t>({2}, {7, 3}), folder / "l.npy");
  DataOptions options;
  options.labels = folder / "l.npy";
  EXPECT_EQ(all_labels(*open_data(folder / "d", options)), (std::vector<int64_t>{7, 3}));
}

TEST(Pictures, NameTheFileThatIsBroken) {
  const TemporaryFolder folder;
  const Members members = {
      {"a/1.png", plain_png(2, 2, 1)}, {"a/2.png", plain_png(2, 2, 2).substr(0, 50)}, {"b/3.jpg", "no picture"}};
  const std::string tar = folder.write("t.tar", make_archive("tar", members));
  const auto data = open_data(tar, {});
  EXPECT_NE(error_of([&] { data->read(0, 2); }).find("t.tar: a/2.png: the PNG picture cannot be decoded"),
            std::string::npos);
  EXPECT_NE(error_of([&] { data->read(2, 1); }).find("t.tar: b/3.jpg: is neither a JPEG nor a PNG"), std::string::npos);
}

TEST(Pictures, OfDifferentSizesAskForAResize) {
  const TemporaryFolder folder;
  folder.write("d/1.png", plain_png(4, 2, 1));
  folder.write("d/2.png", plain_png(3, 2, 2));
  const std::string message = error_of([&] { open_data(folder / "d", {})->read(0, 2); });
  EXPECT_NE(
      message.find("2.png: is 2x3x3 after preprocessing, but '1.png' is 2x4x3 (make all pictures equal by resize"),
      std::string::npos)
      << message;
  DataOptions options;
  options.preprocess = parse_preprocess("resize=2x2,layout=nchw");
  EXPECT_EQ(open_data(folder / "d", options)->read(0, 2).inputs[0].second.dims(), (Dims{2, 3, 2, 2}));
  options.preprocess = parse_preprocess("crop=4x4");
  EXPECT_NE(error_of([&] { open_data(folder / "d", options)->read(0, 1); }).find("/1.png: crop=4x4 is larger"),
            std::string::npos);
}

TEST(Pictures, DecodeToTheSameBytesOnManyThreads) {
  const TemporaryFolder folder;
  for (int i = 0; i < 37; ++i)
    folder.write("d/" + std::to_string(i) + ".png", plain_png(5, 4, static_cast<uint8_t>(i)));
  const auto data = open_data(folder / "d", {});
  ThreadPool threads(2);
  EXPECT_TRUE(identical(data->read(0, 37).inputs[0].second, data->read(0, 37, &threads).inputs[0].second));
}

TEST(Archives, KeepTheLastOfEqualMembers) {
  const TemporaryFolder folder;
  const Members members = {{"./1.png", plain_png(2, 2, 1)}, {"1.png", plain_png(2, 2, 2)}};
  EXPECT_EQ(levels(*open_data(folder.write("t.tar", make_archive("tar", members)), {})), std::vector<int>{2});
}

TEST(Archives, AreRefusedWhenTruncatedOrUnknown) {
  const TemporaryFolder folder;
  for (const char* format : {"tar", "zip", "tar.gz"}) {
    const std::string whole = make_archive(format, kZoo);
    // What follows the last member only marks the end: two empty blocks, packed to less than 40 bytes in a .tar.gz.
    const size_t end = format == std::string("tar") ? 1024 : format == std::string("zip") ? 0 : 40;
    const size_t most = whole.size() - end;
    for (size_t length = 0; length < most; length += 61) {
      const std::string path = folder.write("cut", whole.substr(0, length));
      EXPECT_THROW(open_data(path, {})->read(0, 3), Error) << format << " " << length;
    }
  }
  const std::string noise = folder.write("noise.tar", std::string(2000, '\x01'));
  EXPECT_NE(open_error(noise).find("no data set that is known by its content"), std::string::npos);
}

TEST(Archives, NeverUseNamesAsPaths) {
  const TemporaryFolder folder;
  const Members members = {{"../../escape/1.png", plain_png(2, 2, 1)}, {"/etc/2.png", plain_png(2, 2, 2)}};
  const auto data = open_data(folder.write("t.tar", make_archive("tar", members)), {});
  EXPECT_EQ(data->size(), 2);
  EXPECT_FALSE(file_exists(folder / "../../escape"));
}

TEST(Archives, StopAtTheLimits) {
  const TemporaryFolder folder;
  const Members big = {{"a/1.png", std::string(400'000, '\0')}};
  const auto read = [&](const char* format, const PictureLimits& limits) {
    const std::string path = folder.write("t", make_archive(format, big));
    return error_of([&] { PictureFiles::of_archive(MappedFile::open(path), limits); });
  };
  PictureLimits members, memory, expansion, entries;
  members.member_bytes = 399'999;
  memory.memory_bytes = 300'000;
  expansion.expansion_slack = 0;
  entries.entries = 0;
  for (const char* format : {"tar", "zip", "tar.gz"}) {
    EXPECT_NE(read(format, members).find("larger than 390.62 KiB"), std::string::npos) << format;
    EXPECT_NE(read(format, entries).find("more than 0 files"), std::string::npos) << format;
    EXPECT_EQ(read(format, {}), "(no error)") << format;
  }
  for (const char* format : {"zip", "tar.gz"}) {  // a plain tar stays in the mapped file
    EXPECT_NE(read(format, memory).find("more than 292.97 KiB of memory"), std::string::npos) << format;
    EXPECT_NE(read(format, expansion).find("unpacks to more than 100 times"), std::string::npos) << format;
  }
  EXPECT_EQ(read("tar", memory), "(no error)");
}

TEST(Arrays, GiveRowsAndLabels) {
  const TemporaryFolder folder;
  save_npy(Tensor::from<float>({3, 2}, {1, 2, 3, 4, 5, 6}), folder / "x.npy");
  save_npy(Tensor::from<uint8_t>({3, 1}, {2, 0, 1}), folder / "y.npy");
  DataOptions options;
  options.labels = folder / "y.npy";
  const auto data = open_data(folder / "x.npy", options);
  const Batch batch = data->read(1, 2);
  EXPECT_EQ(batch.inputs[0].first, "");
  EXPECT_EQ(batch.inputs[0].second.dims(), (Dims{2, 2}));
  EXPECT_TRUE(batch.inputs[0].second.is_view());
  EXPECT_EQ(column(batch), (std::vector<float>{3, 4, 5, 6}));
  EXPECT_EQ(batch.labels, (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(data->sample_name(2), "row 2");
  EXPECT_THROW(data->read(2, 2), Error);
  EXPECT_THROW(data->read(-1, 1), Error);
}

TEST(Arrays, TakeFloatLabelsAsTargets) {
  const TemporaryFolder folder;
  save_npy(Tensor::from<float>({2, 1}, {1, 2}), folder / "x.npy");
  save_npy(Tensor::from<double>({2}, {0.5, -1}), folder / "y.npy");
  DataOptions options;
  options.labels = folder / "y.npy";
  const Batch batch = open_data(folder / "x.npy", options)->read(1, 1);
  EXPECT_TRUE(batch.labels.empty());
  ASSERT_TRUE(batch.targets);
  EXPECT_EQ(batch.targets->values<float>()[0], -1);
}

TEST(Arrays, RefuseLabelsThatDoNotFit) {
  const TemporaryFolder folder;
  save_npy(Tensor::from<float>({2, 1}, {1, 2}), folder / "x.npy");
  DataOptions options;
  options.labels = folder / "y.npy";
  save_npy(Tensor::from<int64_t>({3}, {0, 0, 0}), options.labels);
  EXPECT_NE(open_error(folder / "x.npy", options).find("y.npy: labels of shape 3 do not fit 2 samples"),
            std::string::npos);
  save_npy(Tensor::from<int64_t>({2}, {0, -4}), options.labels);
  EXPECT_NE(open_error(folder / "x.npy", options).find("label of row 1 is -4"), std::string::npos);
  save_npy(Tensor::from<int64_t>({2, 2}, {0, 1, 1, 0}), options.labels);
  EXPECT_NE(open_error(folder / "x.npy", options).find("more than one class number"), std::string::npos);
}

TEST(Arrays, RefuseNanNamingTheRow) {
  const TemporaryFolder folder;
  save_npy(Tensor::from<float>({3, 2}, {1, 2, 3, 4, 5, NAN}), folder / "x.npy");
  DataOptions options;
  options.slice = parse_slice("::2");
  EXPECT_NE(error_of([&] {
              open_data(folder / "x.npy", options)->read(0, 2);
            }).find("x.npy: row 2 has NaN or infinity at element 1"),
            std::string::npos);
  options.allow_nonfinite = true;
  EXPECT_EQ(open_data(folder / "x.npy", options)->read(0, 2).inputs[0].second.count(), 4);
}

TEST(Arrays, RefuseEmptyData) {
  const TemporaryFolder folder;
  save_npy(Tensor(DType::float32, {0, 3}), folder / "x.npy");
  EXPECT_NE(open_error(folder / "x.npy").find("x.npy: has no samples"), std::string::npos);
  save_npy(Tensor::scalar<float>(1), folder / "s.npy");
  EXPECT_NE(open_error(folder / "s.npy").find("no array with rows"), std::string::npos);
  folder.write("empty.npy", "");
  EXPECT_NE(open_error(folder / "empty.npy").find("is empty"), std::string::npos);
  std::filesystem::create_directory(folder / "nothing");
  EXPECT_NE(open_error(folder / "nothing").find("no JPEG or PNG pictures"), std::string::npos);
  EXPECT_NE(open_error(folder / "absent").find("absent: cannot be read"), std::string::npos);
  folder.write("t.txt", "To be, or not to be\n");
  EXPECT_NE(open_error(folder / "t.txt").find("is a text"), std::string::npos);
  folder.write("p.png", plain_png(2, 2, 1));
  EXPECT_NE(open_error(folder / "p.png").find("single picture"), std::string::npos);
}

std::string npy_bytes(const Tensor& tensor) {
  StringSink sink;
  write_npy(tensor, sink);
  return sink.text;
}

TEST(Arrays, OfAnNpzAreNamedAndCarryTheirLabels) {
  const TemporaryFolder folder;
  const Members members = {{"a.npy", npy_bytes(Tensor::from<float>({2, 1}, {1, 2}))},
                           {"b.npy", npy_bytes(Tensor::from<int64_t>({2, 2}, {1, 2, 3, 4}))},
                           {"rate.npy", npy_bytes(Tensor::scalar<int64_t>(16000))},
                           {"labels.npy", npy_bytes(Tensor::from<int32_t>({2}, {1, 0}))}};
  const auto data = open_data(folder.write("x.bin", make_archive("zip", members)), {});
  const Batch batch = data->read(1, 1);
  ASSERT_EQ(batch.inputs.size(), 3u);
  EXPECT_EQ(batch.inputs[0].first, "a");
  EXPECT_EQ(batch.inputs[1].second.values<int64_t>()[1], 4);
  EXPECT_EQ(batch.inputs[2].second.dims(), Dims{});
  EXPECT_EQ(batch.labels, std::vector<int64_t>{0});
  const Members uneven = {{"a.npy", npy_bytes(Tensor::from<float>({2, 1}, {1, 2}))},
                          {"b.npy", npy_bytes(Tensor::from<float>({3}, {1, 2, 3}))}};
  EXPECT_NE(open_error(folder.write("u.npz", make_archive("zip", uneven))).find("differ in their number of rows"),
            std::string::npos);
}

class Assets : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!file_exists(kData)) GTEST_SKIP() << "no " << kData;
  }
};

TEST_F(Assets, CifarFoldersAreTheLinesOfLabelsTxt) {
  const auto data = open_data(kData + "cifar10/test.tar", {});
  ASSERT_EQ(data->size(), 5000);
  const std::vector<std::string> names = {"airplane", "automobile", "bird",  "cat",  "deer",
                                          "dog",      "frog",       "horse", "ship", "truck"};
  EXPECT_EQ(data->class_names(), names);
  const Batch batch = data->read(0, 5000);
  EXPECT_EQ(batch.inputs[0].second.dims(), (Dims{5000, 32, 32, 3}));
  for (int64_t i = 0; i < 5000; ++i) {
    ASSERT_EQ(batch.labels[static_cast<size_t>(i)], i / 500);
    ASSERT_TRUE(data->sample_name(i).starts_with("test/" + names[static_cast<size_t>(i / 500)] + "/"));
  }
}

TEST_F(Assets, ImagenetFoldersBeginWithTheirClass) {
  const auto data = open_data(kData + "imagenet-sample/val.tar", {});
  ASSERT_EQ(data->size(), 300);
  ASSERT_EQ(data->class_names().size(), 1000u);
  EXPECT_EQ(data->class_names()[3], "tiger_shark");
  const std::string names = testing::file_bytes(kData + "imagenet-sample/labels.txt");
  DataOptions options;
  options.preprocess = parse_preprocess("color=rgb,crop=224x224");
  const auto cropped = open_data(kData + "imagenet-sample/val.tar", options);
  for (int64_t i = 0; i < 300; ++i) {
    const Batch batch = cropped->read(i, 1);
    const std::string folder = data->sample_name(i).substr(4, 14);  // val/IIII_nNNNNNNNN/...
    EXPECT_EQ(batch.labels[0], std::stoi(folder.substr(0, 4)));
    const std::string line = "\n" + std::to_string(batch.labels[0]) + " " + folder.substr(5) + " ";
    EXPECT_NE(("\n" + names).find(line), std::string::npos) << folder;
  }
}

TEST_F(Assets, ActivityAndKeywordArraysHaveLabels) {
  DataOptions options;
  options.labels = kData + "har/y.npy";
  const auto activity = open_data(kData + "har/x.npy", options);
  EXPECT_EQ(activity->size(), 2925);
  EXPECT_EQ(activity->class_names(), (std::vector<std::string>{"stationary", "walking", "running"}));
  EXPECT_EQ(activity->read(0, 4).inputs[0].second.dims(), (Dims{4, 26, 3}));
  options.labels = kData + "kws01/y.npy";
  options.slice = parse_slice("1::2");
  const auto keywords = open_data(kData + "kws01/x_float.npy", options);
  EXPECT_EQ(keywords->size(), 251);
  EXPECT_EQ(keywords->class_names().size(), 12u);
  // files.txt: row 1 is tst_000001_Left_2.bin, row 3 its third successor.
  EXPECT_EQ(keywords->read(0, 1).labels, std::vector<int64_t>{2});
}

}  // namespace
}  // namespace lowbit
