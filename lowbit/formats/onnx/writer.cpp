// The weights are most of a model, so they go from the tensors to the sink directly: protobuf serializes the rest, and
// the lengths of the enclosing messages are computed beforehand.
#include <algorithm>
#include <memory>

#include <fmt/format.h>
#include <google/protobuf/io/coded_stream.h>
#include <onnx/onnx_pb.h>

#include "lowbit/base/text.h"
#include "lowbit/formats/onnx/downgrade.h"
#include "lowbit/formats/onnx/graph_writer.h"
#include "lowbit/formats/onnx/onnx.h"

namespace lowbit::onnx_format {
namespace {

using google::protobuf::io::CodedOutputStream;

constexpr uint32_t kModelGraph = 7, kGraphInitializer = 5, kTensorRawData = 9;
constexpr size_t kTagBytes = 1;  // every field number here is below 16

std::string length_delimited_tag(uint32_t field, size_t length) {
  uint8_t buffer[16];
  uint8_t* end = CodedOutputStream::WriteVarint32ToArray(field << 3 | 2, buffer);
  end = CodedOutputStream::WriteVarint64ToArray(length, end);
  return {reinterpret_cast<const char*>(buffer), static_cast<size_t>(end - buffer)};
}

/// Bytes of a length-delimited field with its tag.
size_t field_bytes(size_t length) { return kTagBytes + CodedOutputStream::VarintSize64(length) + length; }

struct Initializer {
  const Tensor* tensor;
  std::string header;  ///< serialized TensorProto without raw_data
  bool external = false;

  bool has_raw() const { return !external && tensor->dtype() != DType::string; }
  size_t message_bytes() const { return header.size() + (has_raw() ? field_bytes(packed_bytes(*tensor)) : 0); }
};

int64_t ir_version(int64_t opset) {
  if (opset <= 17) return 8;
  if (opset <= 22) return 10;
  return opset == 23 ? 11 : opset == 24 ? 12 : opset <= 27 ? 13 : 14;
}

void collect_domains(const Graph& graph, std::vector<std::string>& domains) {
  for (const Node& node : graph.nodes) {
    if (!node.domain.empty() && std::find(domains.begin(), domains.end(), node.domain) == domains.end())
      domains.push_back(node.domain);
    for (const auto& [key, attribute] : node.attributes)
      if (const auto* body = std::get_if<std::shared_ptr<Graph>>(&attribute)) collect_domains(**body, domains);
  }
}

std::string header_bytes(const Model& model, int64_t opset) {
  onnx::ModelProto proto;
  proto.set_ir_version(ir_version(opset));
  proto.set_producer_name(model.producer.empty() ? "lowbit" : model.producer);
  if (!model.description.empty()) proto.set_doc_string(model.description);
  proto.add_opset_import()->set_version(opset);
  proto.mutable_opset_import(0)->set_domain("");
  std::vector<std::string> domains;
  collect_domains(model.graph, domains);
  for (const std::string& domain : domains) {
    auto* import = proto.add_opset_import();
    import->set_domain(domain);
    import->set_version(1);
    for (const OpsetImport& source : model.source_opsets)
      if (source.domain == domain) import->set_version(source.version);
  }
  for (const auto& [key, value] : model.metadata) {
    auto* entry = proto.add_metadata_props();
    entry->set_key(key);
    entry->set_value(value);
  }
  return proto.SerializeAsString();
}

void write_elements(const Tensor& tensor, ByteSink& sink) {
  if (dtype_bits(tensor.dtype()) < 8)
    sink.write(pack_codes(tensor));
  else
    sink.write(tensor.raw());
}

/// External data: tensors from 1 KiB on, each at a multiple of 64 so that readers can map it.
class ExternalFile {
 public:
  explicit ExternalFile(const std::string& path) : name_(name_of(path) + ".data"), file_(path + ".data") {}

  void add(const Tensor& tensor, onnx::TensorProto& proto) {
    constexpr int64_t kAlignment = 64;
    const int64_t begin = (size_ + kAlignment - 1) / kAlignment * kAlignment;
    file_.write(std::string(static_cast<size_t>(begin - size_), '\0'));
    write_elements(tensor, file_);
    const auto length = static_cast<int64_t>(packed_bytes(tensor));
    size_ = begin + length;
    proto.set_data_location(onnx::TensorProto::EXTERNAL);
    const auto entry = [&](const char* key, std::string value) {
      auto* added = proto.add_external_data();
      added->set_key(key);
      added->set_value(std::move(value));
    };
    entry("location", name_);
    entry("offset", fmt::to_string(begin));
    entry("length", fmt::to_string(length));
  }
  void commit() { file_.commit(); }

 private:
  std::string name_;
  AtomicFile file_;
  int64_t size_ = 0;
};

int64_t constant_bytes(const Graph& graph) {
  int64_t bytes = 0;
  for (const Value& value : graph.values)
    if (value.constant) bytes += static_cast<int64_t>(packed_bytes(*value.constant));
  return bytes;
}

std::vector<Initializer> prepare_initializers(const Graph& graph, const NameSet& read, ExternalFile* external) {
  constexpr size_t kSmallestExternal = 1024;
  std::vector<Initializer> initializers;
  for (const Value& value : graph.values) {
    if (!value.constant || !read.count(value.name)) continue;
    onnx::TensorProto proto;
    write_tensor_header(*value.constant, value.name, proto);
    Initializer added{&*value.constant, {}, false};
    if (external && added.has_raw() && packed_bytes(*value.constant) >= kSmallestExternal) {
      external->add(*value.constant, proto);
      added.external = true;
    }
    added.header = proto.SerializeAsString();
    initializers.push_back(std::move(added));
  }
  return initializers;
}

}  // namespace

void write(const Model& model, ByteSink& sink, const WriteOptions& options) {
  const int64_t opset = needed_opset(model.graph);
  onnx::GraphProto graph;
  write_main_graph(model.graph, opset, graph);
  const std::string graph_bytes = graph.SerializeAsString();
  const NameSet read = names_read(graph);
  graph.Clear();
  std::unique_ptr<ExternalFile> external;
  if (constant_bytes(model.graph) > options.external_data_above_bytes && !options.path.empty())
    external = std::make_unique<ExternalFile>(options.path);
  const std::vector<Initializer> initializers = prepare_initializers(model.graph, read, external.get());
  size_t total = graph_bytes.size();
  for (const Initializer& initializer : initializers) total += field_bytes(initializer.message_bytes());

  sink.write(header_bytes(model, opset));
  sink.write(length_delimited_tag(kModelGraph, total));
  sink.write(graph_bytes);
  for (const Initializer& initializer : initializers) {
    sink.write(length_delimited_tag(kGraphInitializer, initializer.message_bytes()));
    sink.write(initializer.header);
    if (!initializer.has_raw()) continue;
    sink.write(length_delimited_tag(kTensorRawData, packed_bytes(*initializer.tensor)));
    write_elements(*initializer.tensor, sink);
  }
  if (external) external->commit();
}

}  // namespace lowbit::onnx_format
