#include "lowbit/formats/onnx/slim.h"

#include <cstring>
#include <span>
#include <vector>

#include <fmt/format.h>

#include "lowbit/base/error.h"

namespace lowbit::onnx_format {
namespace {

/// Messages on the way to a tensor. Everything else is copied as it is.
enum class Message : uint8_t { model, graph, node, attribute, function, tensor, sparse, training };

struct Child {
  uint32_t field;
  Message message;
};

/// Fields of `message` that lead to a tensor (numbers of onnx.proto).
std::span<const Child> children(Message message) {
  static constexpr Child kModel[] = {{7, Message::graph}, {20, Message::training}, {25, Message::function}};
  static constexpr Child kGraph[] = {{1, Message::node}, {5, Message::tensor}, {15, Message::sparse}};
  static constexpr Child kNode[] = {{5, Message::attribute}};
  static constexpr Child kAttribute[] = {{5, Message::tensor}, {6, Message::graph},   {10, Message::tensor},
                                         {11, Message::graph}, {22, Message::sparse}, {23, Message::sparse}};
  static constexpr Child kFunction[] = {{7, Message::node}, {11, Message::attribute}};
  static constexpr Child kSparse[] = {{1, Message::tensor}, {2, Message::tensor}};
  static constexpr Child kTraining[] = {{1, Message::graph}, {2, Message::graph}};
  switch (message) {
    case Message::model:
      return kModel;
    case Message::graph:
      return kGraph;
    case Message::node:
      return kNode;
    case Message::attribute:
      return kAttribute;
    case Message::function:
      return kFunction;
    case Message::sparse:
      return kSparse;
    case Message::training:
      return kTraining;
    case Message::tensor:
      break;
  }
  return {};
}

constexpr uint32_t kRawData = 9;  // TensorProto.raw_data

enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kLengthDelimited = 2, kFixed32 = 5 };

void append_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

class Slimmer {
 public:
  explicit Slimmer(Bytes file) : file_(file) {}

  std::string run() {
    std::string out;
    copy(Message::model, 0, file_.size(), 0, out);
    return out;
  }

 private:
  [[noreturn]] void fail(size_t at, const std::string& what) const {
    throw Error(ErrorCode::bad_file, fmt::format("is no readable ONNX file: {} at offset {}", what, at));
  }

  uint64_t varint(size_t& at, size_t end) const {
    uint64_t value = 0;
    const size_t begin = at;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at == end) fail(begin, "a number is cut off");
      const auto byte = std::to_integer<uint64_t>(file_[at++]);
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    fail(begin, "a number has more than ten bytes");
  }

  void append_bytes(std::string& out, size_t begin, size_t end) const {
    out.append(reinterpret_cast<const char*>(file_.data()) + begin, end - begin);
  }

  void copy(Message message, size_t begin, size_t end, int depth, std::string& out) const {
    if (depth > kMaxNesting) fail(begin, fmt::format("messages are nested deeper than {}", kMaxNesting));
    size_t at = begin;
    size_t copied = begin;  // everything before it is in `out`
    while (at < end) {
      const size_t field_begin = at;
      const uint64_t tag = varint(at, end);
      const auto field = static_cast<uint32_t>(tag >> 3);
      const auto need = [&](size_t bytes) {
        if (bytes > end - at) fail(field_begin, fmt::format("field {} is cut off", field));
      };
      if (field == 0 || (tag >> 3) > 0x1fffffff) fail(field_begin, "a field has an impossible number");
      switch (tag & 7) {
        case kVarint:
          varint(at, end);
          continue;
        case kFixed64:
          need(8);
          at += 8;
          continue;
        case kFixed32:
          need(4);
          at += 4;
          continue;
        case kLengthDelimited:
          break;
        default:
          fail(field_begin, fmt::format("field {} has the unknown wire type {}", field, tag & 7));
      }
      const uint64_t length = varint(at, end);
      if (length > end - at)
        fail(field_begin, fmt::format("field {} says {} bytes, but {} are left (the file is cut off or damaged)", field,
                                      length, end - at));
      const size_t content = at;
      at += static_cast<size_t>(length);
      std::string inner;
      if (message == Message::tensor && field == kRawData) {
        inner = reference_bytes({content, length});
      } else if (const Child* child = find_child(message, field)) {
        copy(child->message, content, at, depth + 1, inner);
      } else {
        continue;
      }
      append_bytes(out, copied, field_begin);
      append_varint(out, tag);
      append_varint(out, inner.size());
      out += inner;
      copied = at;
    }
    append_bytes(out, copied, end);
  }

  static const Child* find_child(Message message, uint32_t field) {
    for (const Child& child : children(message))
      if (child.field == field) return &child;
    return nullptr;
  }

  Bytes file_;
};

}  // namespace

std::string slim_model(Bytes file) { return Slimmer(file).run(); }

RawReference raw_reference(std::string_view raw_data) {
  RawReference reference;
  LOWBIT_CHECK(raw_data.size() == sizeof(reference));
  std::memcpy(&reference, raw_data.data(), sizeof(reference));
  return reference;
}

std::string reference_bytes(RawReference reference) {
  std::string bytes(sizeof(reference), '\0');
  std::memcpy(bytes.data(), &reference, sizeof(reference));
  return bytes;
}

}  // namespace lowbit::onnx_format
