#include "lowbit/passes/node_writer.h"

#include <fmt/format.h>

#include "lowbit/base/error.h"

namespace lowbit {
namespace {

/// TensorProto's number of a type, as Cast wants it.
int64_t onnx_number(DType type) {
  switch (type) {
    case DType::float32:
      return 1;
    case DType::uint8:
      return 2;
    case DType::int8:
      return 3;
    case DType::int16:
      return 5;
    case DType::int32:
      return 6;
    case DType::int64:
      return 7;
    case DType::float64:
      return 11;
    default:
      throw Error(ErrorCode::internal, fmt::format("no cast to {} is written", dtype_name(type)));
  }
}

}  // namespace

std::string NodeWriter::fresh_name() { return fmt::format("lb_{}", counter_++); }

ValueId NodeWriter::node(const char* op, std::vector<ValueId> inputs, Attributes attributes, ValueId output,
                         DType type) {
  Node made;
  made.op = op;
  made.inputs = std::move(inputs);
  made.attributes = std::move(attributes);
  made.outputs = {output == kNone ? graph_.add_value(fresh_name(), type) : output};
  made.name = graph_.value(made.outputs[0]).name + (output == kNone ? "" : "_decode");
  added_.push_back(std::move(made));
  return added_.back().outputs[0];
}

ValueId NodeWriter::shared(Tensor tensor) {
  std::string key = fmt::format("{} {} ", dtype_name(tensor.dtype()), dims_text(tensor.dims()));
  const Bytes bytes = tensor.raw();
  key.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto [found, fresh] = shared_.try_emplace(std::move(key), kNone);
  if (fresh) found->second = graph_.add_constant(fresh_name(), std::move(tensor));
  return found->second;
}

void NodeWriter::end_at(ValueId made, ValueId target) {
  for (Node& node : added_)
    if (node.output() == made) {
      node.outputs[0] = target;
      node.name = graph_.value(target).name + "_decode";
      return;
    }
  throw Error(ErrorCode::internal, "a chain of decoding nodes has no last node");
}

ValueId NodeWriter::cast(ValueId x, DType to) { return node("Cast", {x}, {{"to", onnx_number(to)}}, kNone, to); }

ValueId NodeWriter::reshape(ValueId x, const Dims& dims) { return node("Reshape", {x, shared(dims)}); }

ValueId NodeWriter::slice(ValueId x, const std::vector<int64_t>& begin, const std::vector<int64_t>& end) {
  const ValueId from = shared(begin);
  return node("Slice", {x, from, shared(end)});
}

}  // namespace lowbit
