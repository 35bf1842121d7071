// Any bytes are a valid ONNX model, which is then written and read back, or one of our errors.
#include "lowbit/formats/onnx/graph_reader.h"
#include "lowbit/formats/onnx/onnx.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lowbit;
  const Bytes bytes = std::as_bytes(std::span(data, size));
  onnx_format::sniff(bytes);
  Model model;
  StringSink written;
  try {
    model = onnx_format::read(bytes, {"fuzz", "", nullptr, true});
    onnx_format::validate(model.graph);
    onnx_format::write(model, written, {});
  } catch (const Error& error) {
    LOWBIT_CHECK(error.code() != ErrorCode::internal);
    return 0;
  }
  // What was written is sound: an error here is a bug and ends the run.
  const Model again = onnx_format::read(std::as_bytes(std::span(written.text)), {"again", "", nullptr, true});
  onnx_format::validate(again.graph);
  return 0;
}
