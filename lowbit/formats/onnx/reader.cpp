#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/stubs/logging.h>
#include <onnx/onnx_pb.h>
#include <limits>
#include <mutex>

#include "lowbit/base/text.h"
#include "lowbit/formats/onnx/functions.h"
#include "lowbit/formats/onnx/graph_reader.h"
#include "lowbit/formats/onnx/onnx.h"
#include "lowbit/formats/onnx/slim.h"
#include "lowbit/formats/onnx/upgrade.h"

namespace lowbit::onnx_format {
namespace {

[[noreturn]] void refuse(const std::string& message) { throw Error(ErrorCode::bad_file, message); }

/// The library never prints; what protobuf would say is in our own error.
void silence_protobuf() {
  static std::once_flag once;
  std::call_once(once, [] { google::protobuf::SetLogHandler(nullptr); });
}

onnx::ModelProto parse(Bytes bytes) {
  silence_protobuf();
  const std::string slim = slim_model(bytes);
  if (slim.size() > static_cast<size_t>(std::numeric_limits<int>::max()))
    throw Error(ErrorCode::unsupported, "holds more than 2 GiB beside its raw weights (store them as raw_data)");
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const uint8_t*>(slim.data()),
                                                static_cast<int>(slim.size()));
  stream.SetRecursionLimit(kMaxNesting);
  onnx::ModelProto model;
  if (!model.ParseFromCodedStream(&stream) || !stream.ConsumedEntireMessage())
    refuse(fmt::format("is no readable ONNX file: a field is damaged, or messages are nested deeper than {}",
                       kMaxNesting));
  return model;
}

std::vector<OpsetImport> read_opsets(const onnx::ModelProto& model) {
  std::vector<OpsetImport> opsets;
  for (const auto& import : model.opset_import()) {
    const std::string domain = import.domain() == "ai.onnx" ? "" : import.domain();
    for (const OpsetImport& other : opsets)
      if (other.domain == domain && other.version != import.version())
        refuse(fmt::format("imports two versions of the operator set '{}'", printable(domain, 60)));
    opsets.push_back({domain, import.version()});
  }
  return opsets;
}

bool uses_standard_operators(const onnx::GraphProto& graph) {
  for (const auto& node : graph.node())
    if (node.domain().empty() || node.domain() == "ai.onnx") return true;
  return false;
}

/// The version of ai.onnx by which the model is to be understood.
int64_t standard_opset(const onnx::ModelProto& model, std::vector<OpsetImport>& opsets) {
  for (const OpsetImport& import : opsets)
    if (import.domain.empty()) {
      if (import.version < 1) refuse(fmt::format("imports the impossible opset {}", import.version));
      if (import.version < kOldestOpset || import.version > kNewestOpset)
        throw Error(ErrorCode::unsupported,
                    fmt::format("uses opset {}; opsets {} to {} are read (convert it with onnx.version_converter)",
                                import.version, kOldestOpset, kNewestOpset));
      return import.version;
    }
  if (uses_standard_operators(model.graph()))
    refuse("does not say which operator set it uses (opset_import for ai.onnx is missing; the file may be cut off)");
  opsets.push_back({"", kCanonicalOpset});
  return kCanonicalOpset;
}

void check_header(const onnx::ModelProto& model) {
  constexpr int64_t kNewestIr = 16;
  if (!model.has_graph()) refuse("holds no graph (it is cut off, or no ONNX model)");
  if (!model.has_ir_version() || model.ir_version() < 1) refuse("has no ir_version (it is damaged, or no ONNX model)");
  if (model.ir_version() > kNewestIr)
    throw Error(ErrorCode::unsupported,
                fmt::format("has IR version {}; versions up to {} are read", model.ir_version(), kNewestIr));
}

}  // namespace

Model read(Bytes bytes, const ReadOptions& options) {
  onnx::ModelProto proto = parse(bytes);
  check_header(proto);
  Model model;
  model.source_opsets = read_opsets(proto);
  const int64_t opset = standard_opset(proto, model.source_opsets);
  const NodeOpsets node_opsets = inline_functions(proto);
  TensorReader tensors(bytes, options);
  const GraphReadContext context{tensors, node_opsets, opset};
  model.graph = read_graph(proto.graph(), nullptr, context);
  model.producer = proto.producer_name();
  if (!proto.producer_version().empty()) model.producer += " " + proto.producer_version();
  model.description = proto.doc_string();
  for (const auto& entry : proto.metadata_props()) model.metadata.emplace_back(entry.key(), entry.value());
  model.source_path = options.path;
  model.source_format = "onnx";
  model.file_bytes = static_cast<int64_t>(bytes.size()) + tensors.external_bytes();
  return model;
}

bool sniff(Bytes head) {
  // ModelProto: the wire type of each field (0 number, 2 bytes), - where there is none.
  constexpr std::string_view kWireTypes =
      "-0222022"
      "2-----2-----2----2";
  bool telling = false;
  for (size_t at = 0; at < head.size();) {
    const auto varint = [&]() -> std::optional<uint64_t> {
      uint64_t value = 0;
      for (int shift = 0; shift < 64 && at < head.size(); shift += 7) {
        const auto byte = std::to_integer<uint64_t>(head[at++]);
        value |= (byte & 0x7f) << shift;
        if (byte < 0x80) return value;
      }
      return std::nullopt;
    };
    const auto tag = varint();
    if (!tag) return telling;
    const uint64_t field = *tag >> 3;
    const char wire = static_cast<char>('0' + (*tag & 7));
    const bool known = field < kWireTypes.size() && kWireTypes[field] == wire;
    if (!known) return false;
    telling |= field == 1 || field == 7;
    const auto value = varint();
    if (!value) return telling;
    if (wire == '2') {
      if (*value >= head.size() - at) return telling;
      at += static_cast<size_t>(*value);
    }
  }
  return telling;
}

}  // namespace lowbit::onnx_format
