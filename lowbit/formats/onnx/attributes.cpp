#include "lowbit/formats/onnx/attributes.h"

#include <fmt/format.h>
#include <onnx/onnx_pb.h>

#include "lowbit/base/text.h"

namespace lowbit::onnx_format {

int attribute_type(const onnx::AttributeProto& proto) {
  using A = onnx::AttributeProto;
  if (proto.type() != A::UNDEFINED) return proto.type();
  if (proto.has_f()) return A::FLOAT;
  if (proto.has_i()) return A::INT;
  if (proto.has_s()) return A::STRING;
  if (proto.has_t()) return A::TENSOR;
  if (proto.has_g()) return A::GRAPH;
  if (proto.floats_size() > 0) return A::FLOATS;
  if (proto.ints_size() > 0) return A::INTS;
  if (proto.strings_size() > 0) return A::STRINGS;
  return A::UNDEFINED;
}

Attribute read_attribute(const onnx::AttributeProto& proto, const std::string& where, TensorReader& tensors) {
  using A = onnx::AttributeProto;
  const std::string name = printable(proto.name(), 80);
  switch (attribute_type(proto)) {
    case A::FLOAT:
      return proto.f();
    case A::INT:
      return static_cast<int64_t>(proto.i());
    case A::STRING:
      return proto.s();
    case A::TENSOR:
      return tensors.read(proto.t(), fmt::format("{}: the tensor '{}'", where, name));
    case A::SPARSE_TENSOR:
      return tensors.read_sparse(proto.sparse_tensor(), fmt::format("{}: the sparse tensor '{}'", where, name));
    case A::FLOATS:
      return std::vector<float>(proto.floats().begin(), proto.floats().end());
    case A::INTS:
      return std::vector<int64_t>(proto.ints().begin(), proto.ints().end());
    case A::STRINGS:
      return std::vector<std::string>(proto.strings().begin(), proto.strings().end());
    case A::UNDEFINED:
      throw Error(ErrorCode::bad_file, fmt::format("{}: the attribute '{}' has no value", where, name));
    default:
      throw Error(ErrorCode::unsupported,
                  fmt::format("{}: the attribute '{}' is a list of tensors or graphs or a type, which is not supported",
                              where, name));
  }
}

}  // namespace lowbit::onnx_format
