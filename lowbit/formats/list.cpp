#include <array>

#include "lowbit/formats/format.h"
#include "lowbit/formats/lbq_format.h"
#include "lowbit/formats/onnx/onnx.h"

namespace lowbit {
namespace {

const FileFormat kOnnx = {"onnx",
                          "ONNX models, opsets 1 to 28; quantized ones as QDQ",
                          ".onnx",
                          onnx_format::sniff,
                          onnx_format::read,
                          onnx_format::write};

const FileFormat kContainer = {
    "lbq",
    "lowbit's container: any number system, packed or entropy-coded, with recipe and checksums",
    ".lbq",
    lbq_format::sniff,
    lbq_format::read,
    lbq_format::write,
    /*keeps_annotations=*/true};

}  // namespace

std::span<const FileFormat* const> format_table() {
  static constexpr std::array kRows = {&kOnnx, &kContainer};
  return kRows;
}

}  // namespace lowbit
