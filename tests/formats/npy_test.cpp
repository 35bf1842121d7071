#include "lowbit/formats/npy.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>

namespace lowbit {
namespace {

Bytes bytes_of(const std::string& text) { return std::as_bytes(std::span(text.data(), text.size())); }

std::string file_with(const std::string& dictionary, const std::string& data, int version = 1) {
  std::string text("\x93NUMPY");
  text += static_cast<char>(version);
  text += '\0';
  const size_t size = dictionary.size();
  text += static_cast<char>(size & 0xff);
  text += static_cast<char>(size >> 8);
  if (version > 1) text.append(2, '\0');
  return text + dictionary + data;
}

std::string message_of(const std::string& file) {
  try {
    read_npy(bytes_of(file), "x.npy");
  } catch (const Error& error) {
    EXPECT_TRUE(error.code() == ErrorCode::bad_file || error.code() == ErrorCode::unsupported) << error.what();
    return error.what();
  }
  return "";
}

TEST(Npy, ReadsLittleEndianArrays) {
  const std::string file = file_with("{'descr': '<i2', 'fortran_order': False, 'shape': (2, 2), }\n",
                                     std::string("\x01\x00\xff\xff\x00\x80\x02\x01", 8));
  for (int version : {1, 2, 3}) {
    const Tensor x = read_npy(bytes_of(file_with("{'descr': '<i2', 'fortran_order': False, 'shape': (2, 2), }",
                                                 file.substr(file.size() - 8), version)),
                              "x.npy");
    EXPECT_TRUE(identical(x, Tensor::from<int16_t>({2, 2}, {1, -1, -32768, 258}))) << version;
  }
}

TEST(Npy, ReadsBigEndianAndFortranOrder) {
  const Tensor big = read_npy(bytes_of(file_with("{'descr': '>i4', 'fortran_order': False, 'shape': (2,), }",
                                                 std::string("\x00\x00\x00\x01\x00\x00\x01\x00", 8))),
                              "x.npy");
  EXPECT_TRUE(identical(big, Tensor::from<int32_t>({2}, {1, 256})));
  const Tensor fortran = read_npy(
      bytes_of(file_with("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }", std::string("\1\4\2\5\3\6", 6))),
      "x.npy");
  EXPECT_TRUE(identical(fortran, Tensor::from<uint8_t>({2, 3}, {1, 2, 3, 4, 5, 6})));
}

TEST(Npy, ReadsScalarsAndEmptyArrays) {
  EXPECT_TRUE(identical(
      read_npy(bytes_of(file_with("{'descr':'|b1','fortran_order':False,'shape':()}", std::string(1, '\1'))), "x"),
      Tensor::scalar(true)));
  const std::string huge = "{'descr':'<f4','fortran_order':True,'shape':(0, 4611686018427387904, 1)}";
  EXPECT_EQ(read_npy(bytes_of(file_with(huge, "")), "x").count(), 0);
}

TEST(Npy, RefusesMalformedFiles) {
  const std::string data(8, '\0');
  const auto with_shape = [&](const std::string& shape) {
    return message_of(file_with("{'descr': '<f4', 'fortran_order': False, 'shape': " + shape + ", }", data));
  };
  EXPECT_EQ(with_shape("(2,)"), "");
  for (const char* shape : {"(-2,)", "(3,)", "(1,)", "(2**1,)", "(4611686018427387906,)", "(99999999999999999999,)",
                            "(4294967296, 4294967296, 2)", "[2]", "(2", "__import__('os').system('x')", "(2,,)", "2"})
    EXPECT_NE(with_shape(shape), "") << shape;
  EXPECT_NE(message_of(file_with("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", data)).find("object"),
            std::string::npos);
  for (const char* dictionary :
       {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,)}", "{'descr': '<f4', 'shape': (2,)}", "{}", "",
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", "{'descr': '<f4",
        "{'descr': '<c8', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} x",
        "{'descr': '<f4', 'fortran_order': 0, 'shape': (2,)}", "{'more': 1}"})
    EXPECT_NE(message_of(file_with(dictionary, data)), "") << dictionary;
  EXPECT_NE(message_of("\x93NUMPY"), "");
  EXPECT_NE(message_of("PK"), "");
  EXPECT_NE(message_of(file_with("{'descr':'|b1','fortran_order':False,'shape':(1,)}", "\x02")), "");
}

TEST(Npy, RefusesEveryTruncation) {
  StringSink sink;
  write_npy(Tensor::from<float>({3}, {1, 2, 3}), sink);
  for (size_t length = 0; length < sink.text.size(); ++length)
    EXPECT_NE(message_of(sink.text.substr(0, length)), "") << length;
  EXPECT_NE(message_of(sink.text + "x"), "");
}

TEST(Npy, WritesHeadersThatNumpyReads) {
  StringSink sink;
  write_npy(Tensor::from<float>({3}, {1, 2, 3}), sink);
  EXPECT_EQ(sink.text.substr(10, 57), "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }");
  EXPECT_EQ((sink.text.size() - 12) % 64, 0u);
}

RC_GTEST_PROP(Npy, ReadsBackWhatItWrites, ()) {
  const auto dims = *rc::gen::container<std::vector<int64_t>>(rc::gen::inRange<int64_t>(0, 5));
  RC_PRE(dims.size() < 6);
  Tensor x(*rc::gen::element(DType::float32, DType::int8, DType::uint64, DType::float16), dims);
  for (size_t i = 0; i < x.byte_size(); ++i) x.mutable_raw()[i] = static_cast<std::byte>(i * 37);
  StringSink sink;
  write_npy(x, sink);
  RC_ASSERT(identical(read_npy(bytes_of(sink.text), "x.npy"), x));
}

}  // namespace
}  // namespace lowbit
