#include "lowbit/formats/lbq/graph_codec.h"
#include "lowbit/formats/lbq/lbq.h"

namespace lowbit::lbq {
namespace {

using TextPairs = std::vector<std::pair<std::string, std::string>>;

/// The metadata of a model, divided among the sections.
struct Texts {
  TextPairs metadata, provenance;
  std::string preprocessing, recipe;

  explicit Texts(const Model& model) {
    for (const auto& [key, value] : model.metadata) {
      if (key == kPreprocessingKey)
        preprocessing = value;
      else if (key == kRecipeKey)
        recipe = value;
      else if (key.starts_with(kOriginPrefix))
        provenance.emplace_back(key.substr(kOriginPrefix.size()), value);
      else
        metadata.emplace_back(key, value);
    }
  }
};

void write_pairs(const TextPairs& pairs, Writer& writer) {
  writer.varint(pairs.size());
  for (const auto& [key, value] : pairs) {
    writer.text(key);
    writer.text(value);
  }
}

std::string model_bytes(const Model& model, const TextPairs& metadata, GraphTables& tables) {
  Writer writer;
  writer.text(model.producer);
  writer.text(model.description);
  write_pairs(metadata, writer);
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
  const Texts texts(model);
  const std::string graph = model_bytes(model, texts.metadata, tables), index = tensors.index(),
                    notes = annotation_bytes(annotations);
  Writer provenance;
  write_pairs(texts.provenance, provenance);

  std::vector<SectionToWrite> sections;
  const auto add = [&](uint32_t kind, uint32_t flags, Bytes bytes) { sections.push_back({kind, flags, "", {bytes}}); };
  add(kModel, kRequired, bytes_of(graph));
  add(kTensors, kRequired, bytes_of(index));
  if (!annotations.empty()) add(kAnnotations, kRequired, bytes_of(notes));
  if (!texts.preprocessing.empty()) add(kPreprocessing, 0, bytes_of(texts.preprocessing));
  if (!texts.recipe.empty()) add(kRecipe, 0, bytes_of(texts.recipe));
  if (!texts.provenance.empty()) add(kProvenance, 0, bytes_of(provenance.bytes));
  if (auto parts = tensors.data(); !parts.empty()) sections.push_back({kData, kRequired, "", std::move(parts)});
  for (const NamedSection& section : options.sections) {
    check_name(section.name);
    sections.push_back({kNamed, 0, section.name, {section.bytes.raw()}});
  }
  write_sections(sections, sink);
}

}  // namespace lowbit::lbq
