#include <gtest/gtest.h>

#include <functional>

#include "lowbit/formats/lbq/cursor.h"
#include "lowbit/formats/lbq/graph_codec.h"
#include "tests/formats/lbq_reseal.h"
#include "tests/formats/lbq_samples.h"

namespace lowbit {
namespace {

using testing::reseal;
using testing::small_bytes;

/// "" or the message that the file is refused with. Bytes are copied to an exact buffer, for sanitizers.
std::string container_refusal(const std::string& bytes) {
  const std::vector<char> exact(bytes.begin(), bytes.end());
  try {
    const lbq::Container container = lbq::Container::open(std::as_bytes(std::span(exact)), nullptr);
    container.read_model();
    container.named_sections();
    return "";
  } catch (const Error& error) {
    EXPECT_TRUE(error.code() == ErrorCode::bad_file || error.code() == ErrorCode::unsupported) << error.what();
    EXPECT_EQ(error.message().find('\n'), std::string::npos);
    return error.message();
  }
}

TEST(LbqDamage, AnyFlippedBitIsFound) {
  std::string bytes = small_bytes();
  ASSERT_EQ(container_refusal(bytes), "");
  for (size_t at = 0; at < bytes.size(); ++at)
    for (int bit = 0; bit < 8; ++bit) {
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
      ASSERT_NE(container_refusal(bytes), "") << "bit " << bit << " of byte " << at;
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
    }
}

TEST(LbqDamage, AnyCutIsFound) {
  const std::string bytes = small_bytes();
  for (size_t size = 0; size < bytes.size(); ++size) ASSERT_NE(container_refusal(bytes.substr(0, size)), "") << size;
  EXPECT_NE(container_refusal(bytes + std::string(1, '\0')), "");
  EXPECT_NE(container_refusal(bytes + bytes), "");
}

/// Zeroed pages, and runs of zeros anywhere that change something.
TEST(LbqDamage, AnyZeroedPageIsFound) {
  const std::string bytes = small_bytes();
  for (size_t size : {size_t{8}, size_t{64}, size_t{512}})
    for (size_t begin = 0; begin < bytes.size(); begin += size / 2) {
      std::string damaged = bytes;
      for (size_t i = begin; i < std::min(begin + size, bytes.size()); ++i) damaged[i] = '\0';
      if (damaged == bytes) continue;
      ASSERT_NE(container_refusal(damaged), "") << begin;
    }
}

/// A file of the given sections, checksums right.
std::string file_of(std::vector<lbq::SectionToWrite> sections) {
  StringSink sink;
  lbq::write_sections(sections, sink);
  return std::move(sink.text);
}

/// A container of nothing but a MODL section, whose graph `fill` writes, and an index of one tensor.
std::string file_with_graph(const std::function<void(lbq::Writer&)>& fill) {
  lbq::Writer model;
  for (int i = 0; i < 4; ++i) model.varint(0);  // producer, description, metadata, operator sets
  fill(model);
  lbq::Writer index;
  index.varint(0);
  return file_of(
      {{lbq::kModel, 1, "", {lbq::bytes_of(model.bytes)}}, {lbq::kTensors, 1, "", {lbq::bytes_of(index.bytes)}}});
}

void write_plain_value(lbq::Writer& w, const char* name) {
  w.text(name);
  w.byte(1);
  for (int i = 0; i < 3; ++i) w.varint(0);  // shape, constant, annotation
}

void write_plain_node(lbq::Writer& w, const char* name, uint64_t input, uint64_t output) {
  w.text(name);
  w.text("");
  w.text("Relu");
  w.varint(1), w.varint(input);
  w.varint(1), w.varint(output);
  w.varint(0);
}

/// x -> a -> b, with what each case changes.
struct GraphCase {
  const char* names[3] = {"x", "a", "b"};
  uint64_t values = 3, nodes = 2, output = 3;
  uint64_t first[2] = {1, 2}, second[2] = {2, 3};
  const char* second_name = "m";
};

std::string file_of_case(const GraphCase& c) {
  return file_with_graph([&](lbq::Writer& w) {
    w.text("g");
    w.varint(c.values);
    for (const char* name : c.names) write_plain_value(w, name);
    w.varint(1), w.varint(1);
    w.varint(1), w.varint(c.output);
    w.varint(0);
    w.varint(c.nodes);
    write_plain_node(w, "n", c.first[0], c.first[1]);
    write_plain_node(w, c.second_name, c.second[0], c.second[1]);
  });
}

TEST(LbqHostile, GraphsThatAreNoneAreRefused) {
  ASSERT_EQ(container_refusal(file_of_case({})), "");
  const auto refused = [](GraphCase c, const char* says) {
    EXPECT_NE(container_refusal(file_of_case(c)).find(says), std::string::npos) << container_refusal(file_of_case(c));
  };
  refused({.first = {3, 2}}, "no earlier node");  // a cycle
  refused({.first = {2, 2}}, "no earlier node");  // a node that reads itself
  refused({.second = {2, 2}}, "made twice");
  refused({.second = {2, 1}}, "made twice");  // an input
  refused({.output = 4}, "does not exist");
  refused({.output = 0}, "nothing makes");
  refused({.first = {9, 2}}, "does not exist");
  refused({.names = {"x", "x", "b"}}, "one name");
  refused({.second_name = "n"}, "name of its own");
  refused({.second_name = ""}, "name of its own");
  refused({.values = uint64_t{1} << 60}, "more items");
  refused({.nodes = uint64_t{1} << 60}, "more items");
  refused({.nodes = 1, .output = 2}, "behind its end");
}

TEST(LbqHostile, GraphsNestedDeeplyAreRefused) {
  const auto nested = [](int depth) {
    return file_with_graph([&](lbq::Writer& w) {
      std::string tail;
      for (int i = 0; i <= depth; ++i) {
        w.text("");                               // name
        for (int k = 0; k < 4; ++k) w.varint(0);  // values, inputs, outputs, captures
        w.varint(i < depth ? 1 : 0);              // nodes
        if (i == depth) break;
        w.text("n"), w.text(""), w.text("If");
        w.varint(0), w.varint(0);
        w.varint(1), w.text("body"), w.byte(8), w.varint(0);
      }
    });
  };
  EXPECT_EQ(container_refusal(nested(lbq::kMostDepth)), "");
  EXPECT_NE(container_refusal(nested(lbq::kMostDepth + 1)).find("too deeply"), std::string::npos);
  EXPECT_NE(container_refusal(nested(20000)).find("too deeply"), std::string::npos);
}

/// A section table with one entry changed, everything else consistent.
std::string with_entry(size_t index, size_t offset, uint64_t value, size_t bytes = 8) {
  std::string file = small_bytes();
  std::memcpy(file.data() + lbq::kHeaderBytes + index * lbq::kEntryBytes + offset, &value, bytes);
  reseal(file);
  return file;
}

TEST(LbqHostile, SectionsThatDoNotFitAreRefused) {
  EXPECT_NE(container_refusal(with_entry(1, 8, 64)), "");  // on top of the table
  EXPECT_NE(container_refusal(with_entry(2, 8, 0)), "");
  EXPECT_NE(container_refusal(with_entry(1, 8, UINT64_MAX - 63)), "");
  EXPECT_NE(container_refusal(with_entry(1, 16, UINT64_MAX)), "");     // bytes
  EXPECT_NE(container_refusal(with_entry(0, 16, 10)), "");             // a gap
  EXPECT_NE(container_refusal(with_entry(1, 0, lbq::kModel, 4)), "");  // twice
  EXPECT_NE(container_refusal(with_entry(0, 32, 'x')), "");            // a name where none belongs
  std::string many = small_bytes();
  const uint32_t count = UINT32_MAX;
  std::memcpy(many.data() + 12, &count, 4);
  reseal(many);
  EXPECT_NE(container_refusal(many).find("more sections"), std::string::npos);
}

TEST(LbqVersions, NewerMajorVersionsAndRequiredSectionsAreRefusedInWords) {
  std::string newer = small_bytes();
  newer[8] = 2;
  EXPECT_NE(container_refusal(newer).find("checksum"), std::string::npos);  // first of all it is damaged
  reseal(newer);
  EXPECT_NE(container_refusal(newer).find("version 2.0"), std::string::npos);
  std::string minor = small_bytes();
  minor[10] = 7;
  reseal(minor);
  EXPECT_EQ(container_refusal(minor), "");

  lbq::Writer empty;
  for (int i = 0; i < 10; ++i) empty.varint(0);
  lbq::Writer index;
  index.varint(0);
  const auto with_unknown = [&](uint32_t flags) {
    return file_of({{lbq::kModel, 1, "", {lbq::bytes_of(empty.bytes)}},
                    {lbq::kTensors, 1, "", {lbq::bytes_of(index.bytes)}},
                    {lbq::kind_of("ABCD"), flags, "", {lbq::bytes_of("later")}}});
  };
  EXPECT_EQ(container_refusal(with_unknown(0)), "");
  EXPECT_NE(container_refusal(with_unknown(1)).find("needs its section ABCD"), std::string::npos);
  EXPECT_NE(container_refusal(file_of({{lbq::kModel, 1, "", {lbq::bytes_of(empty.bytes)}}})).find("no model"),
            std::string::npos);
}

std::string index_error(const std::function<void(lbq::Writer&)>& fill, const std::string& data = "") {
  lbq::Writer writer;
  writer.varint(1);
  fill(writer);
  try {
    for (const lbq::TensorEntry& entry : lbq::read_tensor_index(lbq::bytes_of(writer.bytes), lbq::bytes_of(data)))
      lbq::read_tensor(entry, nullptr);
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::bad_file);
    return error.message();
  }
}

/// An inline tensor: type, dims, coding with its numbers, stored bytes.
std::string tensor_error(uint8_t type, std::vector<uint64_t> dims, std::vector<uint8_t> coding,
                         const std::string& stored) {
  return index_error([&](lbq::Writer& w) {
    w.byte(type);
    w.varint(dims.size());
    for (uint64_t dim : dims) w.varint(dim);
    for (uint8_t b : coding) w.byte(b);
    w.varint(0);
    w.text(stored);
  });
}

TEST(LbqHostile, TensorsThatClaimTooMuchAreRefused) {
  EXPECT_EQ(tensor_error(5, {2}, {0}, "ab"), "");
  EXPECT_NE(tensor_error(5, {3}, {0}, "ab"), "");
  EXPECT_NE(tensor_error(5, {uint64_t{1} << 40}, {0}, "ab"), "");
  EXPECT_NE(tensor_error(1, {uint64_t{1} << 62}, {0}, ""), "");                     // bytes overflow
  EXPECT_NE(tensor_error(5, {uint64_t{1} << 40, uint64_t{1} << 40}, {0}, ""), "");  // elements overflow
  EXPECT_NE(tensor_error(5, std::vector<uint64_t>(65, 1), {0}, "a"), "");           // rank
  EXPECT_NE(tensor_error(5, {uint64_t{1} << 63}, {0}, ""), "");
  EXPECT_NE(tensor_error(5, {UINT64_MAX / 3}, {1, 3}, "a"), "");  // packed
  EXPECT_NE(tensor_error(5, {uint64_t{1} << 20}, {3, 0}, std::string("\1\0\0", 3)),
            "");                                                   // entropy: one symbol for ever
  EXPECT_NE(tensor_error(14, {uint64_t{1} << 40}, {4}, "a"), "");  // texts
}

TEST(LbqHostile, TensorsWhoseCodingDoesNotFitAreRefused) {
  EXPECT_NE(tensor_error(0, {1}, {0}, ""), "");       // undefined
  EXPECT_NE(tensor_error(23, {1}, {0}, "a"), "");     // unknown type
  EXPECT_NE(tensor_error(5, {1}, {5}, "a"), "");      // unknown coding
  EXPECT_NE(tensor_error(1, {2}, {1, 4}, "a"), "");   // packed floats
  EXPECT_NE(tensor_error(5, {2}, {1, 0}, ""), "");    // no bits
  EXPECT_NE(tensor_error(5, {1}, {1, 9}, "ab"), "");  // more bits than the type has
  EXPECT_NE(tensor_error(6, {1}, {1, 17}, "abc"), "");
  EXPECT_NE(tensor_error(5, {1}, {1, 4}, "\xff"), "");  // bits behind the last code
  EXPECT_NE(tensor_error(5, {5}, {2}, "\xf3"), "");     // 243 is no ternary byte
  EXPECT_NE(tensor_error(9, {5}, {2}, "\x01"), "");     // unsigned ternary
  EXPECT_NE(tensor_error(13, {1}, {0}, "\x02"), "");    // a truth value of 2
  EXPECT_NE(tensor_error(14, {1}, {0}, "a"), "");       // raw texts
  EXPECT_NE(tensor_error(5, {1}, {4}, "a"), "");        // integers as texts
  EXPECT_NE(tensor_error(14, {1}, {4},
                         "\x05"
                         "a"),
            "");                                                          // a text that is cut off
  EXPECT_NE(tensor_error(6, {2}, {3, 0}, std::string("\1\0\0", 3)), "");  // entropy-coded 16-bit codes
}

TEST(LbqHostile, TensorsThatOverlapAreRefused) {
  const std::string data(128, 'a');
  const auto placed = [&](uint64_t first, uint64_t second) {
    return index_error(
        [&](lbq::Writer& w) {
          w.bytes[0] = 2;
          for (uint64_t place : {first, second}) {
            w.byte(5), w.varint(1), w.varint(64), w.byte(0);
            w.varint(place), w.varint(64);
            w.number(xxhash64(lbq::bytes_of(std::string(64, 'a'))));
          }
        },
        data);
  };
  EXPECT_EQ(placed(1, 2), "");
  EXPECT_NE(placed(1, 1), "");
  EXPECT_NE(placed(2, 1), "");
  EXPECT_NE(placed(1, 3), "");
  EXPECT_NE(placed(1, UINT64_MAX), "");
}

/// An annotation of a value with a constant of the given codes.
std::string annotation_error(const std::string& format, uint8_t kind, uint64_t axis, uint64_t groups,
                             const std::vector<std::pair<float, float>>& params, const Tensor& codes) {
  lbq::Writer w;
  w.varint(1);
  w.text(format);
  w.byte(0);
  w.byte(kind);
  w.varint(axis), w.varint(1), w.varint(4);
  w.text("");
  w.varint(groups);
  w.varint(2);
  w.byte(1);
  for (const auto& [scale, zero] : params) w.number(scale);
  w.byte(1);
  for (const auto& [scale, zero] : params) w.number(zero);
  Value value;
  value.name = "w";
  value.constant = codes;
  try {
    const auto entries = lbq::read_annotations(lbq::bytes_of(w.bytes));
    lbq::expand_annotation(entries.at(0), value);
    return "";
  } catch (const Error& error) {
    EXPECT_NE(error.code(), ErrorCode::internal);
    return error.message();
  }
}

TEST(LbqHostile, AnnotationsThatDoNotFitAreRefused) {
  const Tensor codes = Tensor::from<int8_t>({2, 2}, {-7, 0, 3, 7});
  EXPECT_EQ(annotation_error("int4", 0, 0, 1, {{1, 0}}, codes), "");
  EXPECT_EQ(annotation_error("int4", 1, 1, 2, {{1, 0}, {2, 0}}, codes), "");
  EXPECT_NE(annotation_error("int99", 0, 0, 1, {{1, 0}}, codes), "");
  EXPECT_NE(annotation_error("int4", 4, 0, 1, {{1, 0}}, codes), "");
  EXPECT_NE(annotation_error("int4", 1, 2, 2, {{1, 0}, {2, 0}}, codes), "");  // no such axis
  EXPECT_NE(annotation_error("int4", 1, 1, 1, {{1, 0}}, codes), "");          // too few groups
  EXPECT_NE(annotation_error("int4", 0, 0, 2, {{1, 0}, {2, 0}}, codes), "");
  EXPECT_NE(annotation_error("int4", 0, 0, uint64_t{1} << 39, {{1, 0}}, codes), "");
  EXPECT_NE(annotation_error("int4", 0, 0, 1, {{0, 0}}, codes), "");
  EXPECT_NE(annotation_error("int4", 0, 0, 1, {{INFINITY, 0}}, codes), "");
  EXPECT_NE(annotation_error("int4", 0, 0, 1, {{1, 0.5f}}, codes), "");
  EXPECT_NE(annotation_error("int4", 0, 0, 1, {{1, 1e30f}}, codes), "");
  EXPECT_NE(annotation_error("int3", 0, 0, 1, {{1, 0}}, codes), "");   // 7 is no code of int3
  EXPECT_NE(annotation_error("uint8", 0, 0, 1, {{1, 0}}, codes), "");  // held in another type
}

}  // namespace
}  // namespace lowbit
