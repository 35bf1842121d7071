// onnx.h: the ONNX format (onnx.ai, ModelProto). What is read, upgraded and written: docs/onnx.md.
#pragma once

#include "lowbit/formats/format.h"

namespace lowbit::onnx_format {

/// True if the bytes begin as a ModelProto does: known fields of the right wire type, one of them ir_version or graph.
bool sniff(Bytes head);
Model read(Bytes bytes, const ReadOptions& options);
void write(const Model& model, ByteSink& sink, const WriteOptions& options);

}  // namespace lowbit::onnx_format
