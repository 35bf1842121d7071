// lbq.h: the container, lowbit's own file format: graph, annotations, weights packed or coded by entropy, and what
// belongs to them (preprocessing, recipe, provenance, named sections), each part with a checksum. docs/container.md
// specifies it byte by byte. These files depend on base, core, numbers and coding only, so that a runtime can link them
// alone.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/core/graph.h"
#include "lowbit/formats/lbq/sections.h"
#include "lowbit/formats/lbq/tensors.h"

namespace lowbit::lbq {

/// True if the bytes begin as a container does.
bool sniff(Bytes head);

/// An open container. Opening checks the header, the section table and every section but DATA and the named ones; a
/// tensor is checked when it is read, a named section when it is found. So a program that takes prepacked weights from
/// a named section never touches the others, and read_model(), which reads everything, finds every damaged bit.
class Container {
 public:
  /// `owner` keeps `file` alive for views; null: tensors and named sections are copied. Throws Error{bad_file}.
  static Container open(Bytes file, std::shared_ptr<const void> owner);

  /// The whole model, everything checked. Throws Error{bad_file}; Error{unsupported} for number systems this build does
  /// not have.
  Model read_model() const;
  /// The model without its named sections, which find_section() gives one by one. `on_constant` may be empty (see
  /// graph_codec.h).
  Model read_model_without_sections(
      const std::function<void(const Value& value, uint64_t tensor, uint64_t parameter_bytes)>& on_constant = {}) const;

  /// A named section, checked; nothing if there is none.
  std::optional<Tensor> find_section(std::string_view name) const;

  const std::vector<SectionEntry>& sections() const { return sections_; }
  const std::vector<TensorEntry>& tensors() const { return tensors_; }
  /// The text of PREP or RCPE; empty without such a section.
  std::string text(uint32_t kind) const;

 private:
  const SectionEntry* find(uint32_t kind) const;
  Bytes bytes_of_section(uint32_t kind) const;
  Tensor section_tensor(const SectionEntry& entry) const;

  Bytes file_;
  std::shared_ptr<const void> owner_;
  std::vector<SectionEntry> sections_;
  std::vector<TensorEntry> tensors_;
};

struct SaveOptions {
  /// Weights are coded by entropy where that is smaller than packing. False: packed, which loads faster.
  bool entropy = true;
};

/// Annotated constants are stored as codes. The same model gives the same bytes.
void write_model(const Model& model, ByteSink& sink, const SaveOptions& options = {});

}  // namespace lowbit::lbq
