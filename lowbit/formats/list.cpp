#include <array>

#include "lowbit/formats/format.h"
#include "lowbit/formats/onnx/onnx.h"

namespace lowbit {
namespace {

const FileFormat kOnnx = {"onnx",
                          "ONNX models, opsets 1 to 28; quantized ones as QDQ",
                          ".onnx",
                          onnx_format::sniff,
                          onnx_format::read,
                          onnx_format::write};

}  // namespace

std::span<const FileFormat* const> format_table() {
  static constexpr std::array kRows = {&kOnnx};
  return kRows;
}

}  // namespace lowbit
