#include "lowbit/formats/npy_header.h"

#include <array>
#include <optional>

#include <fmt/format.h>

#include "lowbit/base/checked.h"
#include "lowbit/base/error.h"
#include "lowbit/base/text.h"

namespace lowbit {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kMaxRank = 64;

struct TypeRow {
  std::string_view code;  ///< without the byte order
  DType type;
};
// NumPy has no 16-bit brain floats, 8-bit floats or 4-bit integers; save_npy writes their bits as unsigned integers.
constexpr std::array kTypes = {
    TypeRow{"f4", DType::float32}, TypeRow{"f8", DType::float64}, TypeRow{"f2", DType::float16},
    TypeRow{"i1", DType::int8},    TypeRow{"i2", DType::int16},   TypeRow{"i4", DType::int32},
    TypeRow{"i8", DType::int64},   TypeRow{"u1", DType::uint8},   TypeRow{"u2", DType::uint16},
    TypeRow{"u4", DType::uint32},  TypeRow{"u8", DType::uint64},  TypeRow{"b1", DType::bool_},
};

/// Reads the dictionary literal. Every function leaves the position after what it read or throws.
class Parser {
 public:
  Parser(std::string_view text, size_t offset, const std::string& path) : text_(text), offset_(offset), path_(path) {}

  void parse(NpyHeader& header) {
    expect('{');
    bool have_descr = false, have_order = false, have_shape = false;
    const auto once = [&](bool& seen, std::string_view key) {
      if (seen) fail(fmt::format("the key '{}' occurs twice", key));
      seen = true;
    };
    while (!accept('}')) {
      const std::string_view key = string();
      expect(':');
      if (key == "descr") {
        once(have_descr, key);
        descr(header);
      } else if (key == "fortran_order") {
        once(have_order, key);
        header.fortran_order = boolean();
      } else if (key == "shape") {
        once(have_shape, key);
        header.dims = tuple();
      } else {
        fail(fmt::format("unknown key '{}'", printable(key, 40)));
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_space();
    if (at_ != text_.size()) fail("characters follow the dictionary");
    if (!have_descr || !have_order || !have_shape) fail("one of the keys 'descr', 'fortran_order', 'shape' is missing");
  }

 private:
  [[noreturn]] void fail(const std::string& what, ErrorCode code = ErrorCode::bad_file) const {
    throw Error(code, fmt::format("the .npy header is malformed at offset {}: {}", offset_ + at_, what), path_);
  }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
  }
  bool accept(char c) {
    skip_space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(fmt::format("'{}' was expected", c));
  }
  std::string_view string() {
    skip_space();
    if (at_ >= text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) fail("a quoted string was expected");
    const size_t end = text_.find(text_[at_], at_ + 1);
    if (end == std::string_view::npos) fail("a string has no end");
    const std::string_view content = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return content;
  }
  bool boolean() {
    skip_space();
    for (const auto& [word, value] : {std::pair<std::string_view, bool>{"True", true}, {"False", false}})
      if (text_.substr(at_, word.size()) == word) {
        at_ += word.size();
        return value;
      }
    fail("True or False was expected");
  }
  int64_t number() {
    skip_space();
    const size_t begin = at_;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
    const auto value = parse_int(text_.substr(begin, at_ - begin));
    if (!value) {
      at_ = begin;
      fail("a dimension >= 0 below 2^63 was expected");
    }
    if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // written by Python 2
    return *value;
  }
  Dims tuple() {
    Dims dims;
    expect('(');
    while (!accept(')')) {
      if (dims.size() == kMaxRank) fail("more than 64 dimensions");
      dims.push_back(number());
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return dims;
  }
  void descr(NpyHeader& header) {
    skip_space();
    if (at_ < text_.size() && text_[at_] == '[')
      fail("structured arrays are not read (save plain arrays)", ErrorCode::unsupported);
    const std::string_view full = string();
    std::string_view code = full;
    if (!code.empty() && std::string_view("<>|=").find(code[0]) != std::string_view::npos) {
      header.big_endian = code[0] == '>';
      code.remove_prefix(1);
    }
    if (!code.empty() && code[0] == 'O') fail("object arrays hold pickled Python code and are refused (save numbers)");
    if (code == "?") code = "b1";
    for (const TypeRow& row : kTypes)
      if (row.code == code) {
        header.dtype = row.type;
        return;
      }
    fail(fmt::format("the element type '{}' is not supported (bool, integers and floats of 16 to 64 bits are)",
                     printable(full, 40)),
         ErrorCode::unsupported);
  }

  std::string_view text_;
  size_t offset_, at_ = 0;
  const std::string& path_;
};

std::string_view type_code(DType type) {
  for (const TypeRow& row : kTypes)
    if (row.type == type) return row.code;
  if (type == DType::string || type == DType::undefined)
    throw Error(ErrorCode::unsupported, fmt::format("a {} tensor cannot be written as .npy", dtype_name(type)));
  if (dtype_bytes(type) == 2) return "u2";
  return is_signed_integer(type) ? "i1" : "u1";
}

}  // namespace

NpyHeader parse_npy_header(Bytes bytes, const std::string& path) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.substr(0, kMagic.size()) != kMagic)
    throw Error(ErrorCode::bad_file, "is no .npy file: it does not begin with \\x93NUMPY", path);
  if (text.size() < 10) throw Error(ErrorCode::bad_file, "the .npy header is cut off", path);
  const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(text[i])); };
  const size_t major = byte(6);
  if (major < 1 || major > 3)
    throw Error(ErrorCode::bad_file, fmt::format(".npy version {} is unknown (1, 2 and 3 are read)", major), path);
  const size_t begin = major == 1 ? 10 : 12;
  if (text.size() < begin) throw Error(ErrorCode::bad_file, "the .npy header is cut off", path);
  const size_t length = major == 1 ? byte(8) | byte(9) << 8 : byte(8) | byte(9) << 8 | byte(10) << 16 | byte(11) << 24;
  if (length > text.size() - begin)
    throw Error(ErrorCode::bad_file,
                fmt::format("the .npy header of {} bytes is longer than the file (it is cut off)", length), path);
  NpyHeader header;
  header.data_offset = begin + length;
  Parser(text.substr(begin, length), begin, path).parse(header);
  return header;
}

std::string npy_header_text(DType type, const Dims& dims) {
  const std::string_view code = type_code(type);
  std::string shape;
  for (int64_t dim : dims) shape += fmt::format("{},{}", dim, dims.size() > 1 ? " " : "");
  if (dims.size() > 1) shape.resize(shape.size() - 2);
  const char order = code[1] == '1' ? '|' : '<';
  std::string text = fmt::format("{{'descr': '{}{}', 'fortran_order': False, 'shape': ({}), }}", order, code, shape);
  constexpr size_t kFixed = 10, kAlign = 64;
  text.append((kAlign - (kFixed + text.size() + 1) % kAlign) % kAlign, ' ');
  text += '\n';
  if (text.size() > 0xffff) throw Error(ErrorCode::unsupported, "the shape is too long for a .npy header");
  std::string head(kMagic);
  head += {'\x01', '\x00', static_cast<char>(text.size() & 0xff), static_cast<char>(text.size() >> 8)};
  return head + text;
}

}  // namespace lowbit
