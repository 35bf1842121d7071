#include "lowbit/formats/lbq/graph_codec.h"
#include "lowbit/formats/lbq/lbq.h"

namespace lowbit::lbq {
namespace {

void write_pairs(const std::vector<std::pair<std::string, std::string>>& pairs, Writer& writer) {
  writer.varint(pairs.size());
  for (const auto& [key, value] : pairs) {
    writer.text(key);
    writer.text(value);
  }
}

std::string model_bytes(const Model& model, GraphTables& tables) {
  Writer writer;
  writer.text(model.producer);
  writer.text(model.description);
  write_pairs(model.metadata, writer);
  writer.varint(model.source_opsets.size());
  for (const OpsetImport& opset : model.source_opsets) {
    writer.text(opset.domain);
    writer.svarint(opset.version);
  }
  write_graph(model.graph, tables, writer);
  return std::move(writer.bytes);
}

std::string annotation_bytes(const std::vector<std::string>& records) {
  Writer writer;
  writer.varint(records.size());
  for (const std::string& record : records) writer.bytes += record;
  return std::move(writer.bytes);
}

void check_name(const std::string& name) {
  if (name.empty() || name.size() > kNameBytes || name.find('\0') != std::string::npos)
    throw Error(ErrorCode::bad_argument,
                "a section needs a name of 1 to " + std::to_string(kNameBytes) + " bytes, not '" + name + "'");
}

}  // namespace

void write_model(const Model& model, ByteSink& sink, const SaveOptions& options) {
  TensorTable tensors(options.entropy);
  std::vector<std::string> annotations;
  GraphTables tables{tensors, annotations};
  const std::string graph = model_bytes(model, tables), index = tensors.index(), notes = annotation_bytes(annotations);
  Writer provenance;
  write_pairs(model.provenance, provenance);

  std::vector<SectionToWrite> sections;
  const auto add = [&](uint32_t kind, uint32_t flags, Bytes bytes) { sections.push_back({kind, flags, "", {bytes}}); };
  add(kModel, kRequired, bytes_of(graph));
  add(kTensors, kRequired, bytes_of(index));
  if (!annotations.empty()) add(kAnnotations, kRequired, bytes_of(notes));
  if (!model.preprocessing.empty()) add(kPreprocessing, 0, bytes_of(model.preprocessing));
  if (!model.recipe.empty()) add(kRecipe, 0, bytes_of(model.recipe));
  if (!model.provenance.empty()) add(kProvenance, 0, bytes_of(provenance.bytes));
  if (auto parts = tensors.data(); !parts.empty()) sections.push_back({kData, kRequired, "", std::move(parts)});
  for (const NamedSection& section : model.sections) {
    check_name(section.name);
    sections.push_back({kNamed, 0, section.name, {section.bytes.raw()}});
  }
  write_sections(sections, sink);
}

}  // namespace lowbit::lbq
