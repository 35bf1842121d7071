#include "lowbit/api/container.h"

#include <fmt/format.h>

#include "lowbit/api/inspect.h"
#include "lowbit/api/quantize.h"
#include "lowbit/base/hash.h"
#include "lowbit/device/container_model.h"
#include "lowbit/formats/lbq/lbq.h"
#include "lowbit/passes/lower_qdq.h"
#include "lowbit/passes/raise_weights.h"

namespace lowbit {
namespace {

bool has_annotations(const Graph& graph) {
  for (const Value& value : graph.values)
    if (value.quantization) return true;
  return false;
}

/// The text of a section, if the file is a container at all.
std::string stored_text(const std::string& path, uint32_t kind) {
  const auto file = MappedFile::open(path);
  if (!lbq::sniff(file->bytes())) return "";
  try {
    return lbq::Container::open(file->bytes(), file).text(kind);
  } catch (const Error& error) {
    throw Error(error.code(), error.what(), path);
  }
}

}  // namespace

std::string stored_preprocessing(const std::string& path) { return stored_text(path, lbq::kPreprocessing); }
std::string stored_recipe(const std::string& path) { return stored_text(path, lbq::kRecipe); }

Model convert_model(const std::string& input, const std::string& output, WriteOptions options) {
  Model model = load_model(input);
  if (format_to_write(output).keeps_annotations)
    raise_model(model);
  else if (has_annotations(model.graph))
    model = lower_model(model);
  save_model(model, output, options);
  return load_model(output);
}

Model prepack_model(const std::string& input, const std::string& output, const WriteOptions& options) {
  if (!format_to_write(output).keeps_annotations)
    throw Error(ErrorCode::bad_argument, "packed weights are kept in containers only (name the output .lbq)", output);
  const Model model = open_model(input);
  std::vector<lbq::NamedSection> sections;
  try {
    sections = prepacked_sections(model.graph);
  } catch (const Error& error) {
    throw Error(error.code(), error.message(), error.where().empty() ? input : input + ": " + error.where());
  }
  AtomicFile file(output);
  lbq::write_model(model, file, {options.entropy, std::move(sections)});
  file.commit();
  return load_model(output);
}

void describe_container(Model& model, const ContainerTexts& texts) {
  const auto file = MappedFile::open(texts.source_path);
  const auto origin = [&](std::string_view name, std::string text) {
    lbq::set_metadata(model, std::string(lbq::kOriginPrefix) + std::string(name), std::move(text));
  };
  origin("source", name_of(texts.source_path));
  origin("source_bytes", std::to_string(file->bytes().size()));
  origin("source_xxh64", fmt::format("{:016x}", xxhash64(file->bytes())));
  origin("program", texts.program);
  if (texts.samples > 0) {
    origin("calibration_data", texts.data);
    origin("calibration_samples", std::to_string(texts.samples));
  }
  lbq::set_metadata(model, lbq::kRecipeKey, texts.recipe);
  if (!texts.preprocessing.empty()) lbq::set_metadata(model, lbq::kPreprocessingKey, texts.preprocessing);
}

std::optional<ContainerContents> container_contents(const std::string& path) {
  const auto file = MappedFile::open(path);
  if (!lbq::sniff(file->bytes())) return std::nullopt;
  const lbq::Container container = lbq::Container::open(file->bytes(), file);
  ContainerContents contents;
  for (const lbq::SectionEntry& section : container.sections())
    contents.sections.push_back({lbq::kind_text(section.kind), section.name, static_cast<int64_t>(section.bytes)});
  for (const lbq::TensorEntry& entry : container.tensors()) {
    const std::string coding(lbq::kCodingNames[static_cast<size_t>(entry.coding)]);
    const auto bytes = static_cast<int64_t>(entry.stored.size());
    contents.tensors.push_back({"", std::string(dtype_name(entry.dtype)), coding, element_count(entry.dims), bytes, 0});
    contents.bytes_by_coding[coding] += bytes;
  }
  const Model model = container.read_model([&](const Value& value, uint64_t tensor, uint64_t parameter_bytes) {
    ContainerContents::TensorRow& row = contents.tensors[tensor];
    if (!row.name.empty()) return;
    row.name = value.name;
    row.number_system = number_system_text(value);
    row.parameter_bytes = static_cast<int64_t>(parameter_bytes);
    if (!value.quantization && !is_float(value.constant->dtype())) return;
    contents.parameters += row.elements;
    contents.weight_bytes += row.bytes + row.parameter_bytes;
  });
  contents.preprocessing = lbq::metadata_text(model, lbq::kPreprocessingKey);
  contents.recipe = lbq::metadata_text(model, lbq::kRecipeKey);
  for (const auto& [key, value] : model.metadata)
    if (key.starts_with(lbq::kOriginPrefix)) contents.origin[key.substr(lbq::kOriginPrefix.size())] = value;
  return contents;
}

}  // namespace lowbit
