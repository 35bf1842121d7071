// lbq.h: the container, lowbit's own file format: graph, annotations, weights packed or coded by entropy, and what
// belongs to them (preprocessing, recipe, provenance, named sections), each part with a checksum. docs/container.md
// specifies it byte by byte. These files depend on base, core, numbers and coding only, so that a runtime can link them
// alone.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/core/graph.h"
#include "lowbit/formats/lbq/sections.h"
#include "lowbit/formats/lbq/tensors.h"

namespace lowbit::lbq {

/// Texts that belong to a model and travel in Model::metadata under these keys; in the file they are sections of their
/// own.
inline constexpr std::string_view kPreprocessingKey = "lowbit.preprocessing",  ///< as --preprocess takes it
    kRecipeKey = "lowbit.recipe",                                              ///< TOML that makes the model again
    kOriginPrefix = "lowbit.origin.";  ///< and a name: source, program, calibration data ...
/// The text under a key, or empty.
std::string metadata_text(const Model& model, std::string_view key);
void set_metadata(Model& model, std::string_view key, std::string text);

/// Bytes under a name of 1 to 32 bytes that a container carries along and does not look into, such as weights that a
/// runtime has packed for one instruction set ("plan/avx2").
struct NamedSection {
  std::string name;
  Tensor bytes;  ///< uint8, one dimension; from a reader a view on the mapped file
};

/// True if the bytes begin as a container does.
bool sniff(Bytes head);

/// An open container. Opening checks the header, the section table and every section but DATA and the named ones; a
/// tensor is checked when it is read, a named section when it is found. So a program that takes prepacked weights from
/// a named section never touches the others; read_model() and named_sections() together find every damaged bit.
class Container {
 public:
  /// `owner` keeps `file` alive for views; null: tensors and named sections are copied. Throws Error{bad_file}.
  static Container open(Bytes file, std::shared_ptr<const void> owner);

  /// The model, with all its tensors; `on_constant` may be empty (see graph_codec.h). Throws Error{bad_file};
  /// Error{unsupported} for number systems this build does not have.
  Model read_model(
      const std::function<void(const Value& value, uint64_t tensor, uint64_t parameter_bytes)>& on_constant = {}) const;
  /// The model for somebody who has the constants of these values in another form: their type and dimensions are right,
  /// their elements are zeros that take no memory, and their bytes in the file are not touched.
  Model read_model_without(const std::set<std::string>& constants) const;

  /// A named section, checked; nothing if there is none.
  std::optional<Tensor> find_section(std::string_view name) const;
  /// All of them, checked.
  std::vector<NamedSection> named_sections() const;

  const std::vector<SectionEntry>& sections() const { return sections_; }
  const std::vector<TensorEntry>& tensors() const { return tensors_; }
  /// The text of PREP or RCPE; empty without such a section.
  std::string text(uint32_t kind) const;

 private:
  const SectionEntry* find(uint32_t kind) const;
  Bytes bytes_of_section(uint32_t kind) const;
  Tensor section_tensor(const SectionEntry& entry) const;
  Model read(const std::function<void(const Value&, uint64_t, uint64_t)>& on_constant,
             const std::set<std::string>& without) const;

  Bytes file_;
  std::shared_ptr<const void> owner_;
  std::vector<SectionEntry> sections_;
  std::vector<TensorEntry> tensors_;
};

struct SaveOptions {
  /// Weights are coded by entropy where that is smaller than packing. False: packed, which loads faster.
  bool entropy = true;
  std::vector<NamedSection> sections = {};
};

/// Annotated constants are stored as codes. The same model gives the same bytes. Throws Error{bad_argument} for a
/// section name that is too long.
void write_model(const Model& model, ByteSink& sink, const SaveOptions& options = {});

}  // namespace lowbit::lbq
