// attributes.h: AttributeProto -> Attribute, except for subgraphs, which need their scope.
#pragma once

#include <string>

#include "lowbit/core/graph.h"
#include "lowbit/formats/onnx/tensors.h"

namespace onnx {
class AttributeProto;
}

namespace lowbit::onnx_format {

/// The type of the attribute (AttributeProto.AttributeType), found from the filled field where the file does not say.
int attribute_type(const onnx::AttributeProto& proto);

/// `where` names the node. Throws Error{unsupported} for lists of tensors or graphs and for types.
Attribute read_attribute(const onnx::AttributeProto& proto, const std::string& where, TensorReader& tensors);

}  // namespace lowbit::onnx_format
