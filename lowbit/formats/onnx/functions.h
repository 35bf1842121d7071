// functions.h: model-local functions are inlined, so that a Graph holds plain operators only.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

namespace onnx {
class ModelProto;
class NodeProto;
}  // namespace onnx

namespace lowbit::onnx_format {

/// The version of ai.onnx by which a node is to be understood, for nodes that came out of a function with another
/// opset than the model's.
using NodeOpsets = std::unordered_map<const onnx::NodeProto*, int64_t>;

/// Replaces every call of a function of the model by the function's nodes. Values are renamed "<call>/<name>".
/// Throws Error{bad_file} where functions call each other deeper than 32 levels (so also recursion), and where the
/// result would have more than 1,000,000 nodes or take more than 256 MiB; this is known before anything is expanded.
NodeOpsets inline_functions(onnx::ModelProto& model);

}  // namespace lowbit::onnx_format
