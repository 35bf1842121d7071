#include <sys/mman.h>

#include <algorithm>

#include "lowbit/formats/lbq/graph_codec.h"
#include "lowbit/formats/lbq/lbq.h"

namespace lowbit::lbq {
namespace {

using TextPairs = std::vector<std::pair<std::string, std::string>>;

TextPairs read_pairs(Cursor& cursor) {
  TextPairs pairs(cursor.count(2));
  for (auto& [key, value] : pairs) {
    key = cursor.text();
    value = cursor.text();
  }
  return pairs;
}

/// Reads each tensor once, however many values refer to it.
class TensorCache {
 public:
  TensorCache(const std::vector<TensorEntry>& entries, std::shared_ptr<const void> owner)
      : entries_(entries), owner_(std::move(owner)), tensors_(entries.size()) {}

  Tensor get(uint64_t index) {
    if (index >= entries_.size())
      throw Error(ErrorCode::bad_file, "the graph refers to a tensor that does not exist (the file is damaged)");
    std::optional<Tensor>& tensor = tensors_[static_cast<size_t>(index)];
    if (!tensor) tensor = read_tensor(entries_[static_cast<size_t>(index)], owner_);
    return *tensor;
  }

  /// A tensor of this form, all zeros, without touching the file.
  Tensor stand_in(uint64_t index) {
    if (index >= entries_.size()) return get(index);
    const TensorEntry& entry = entries_[static_cast<size_t>(index)];
    const auto bytes = static_cast<size_t>(element_count(entry.dims)) * dtype_bytes(entry.dtype);
    std::optional<Tensor>& tensor = tensors_[static_cast<size_t>(index)];
    if (tensor || bytes == 0) return get(index);
    if (bytes > zero_bytes_ && !map_zeros(bytes)) return get(index);
    tensor = Tensor::view(entry.dtype, entry.dims, {static_cast<const std::byte*>(zeros_.get()), bytes}, zeros_);
    return *tensor;
  }

  /// A writer leaves no tensor out; one that nothing refers to would never be checked.
  void check_all_used() const {
    if (!std::all_of(tensors_.begin(), tensors_.end(), [](const auto& tensor) { return tensor.has_value(); }))
      throw Error(ErrorCode::bad_file, "the container holds a tensor that nothing refers to (the file is damaged)");
  }

 private:
  /// Pages of zeros that are never written, so that the system backs them with none.
  bool map_zeros(size_t bytes) {
    void* pages = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED) return false;
    zeros_ = {pages, [bytes](const void* p) { munmap(const_cast<void*>(p), bytes); }};
    zero_bytes_ = bytes;
    return true;
  }

  const std::vector<TensorEntry>& entries_;
  std::shared_ptr<const void> owner_;
  std::vector<std::optional<Tensor>> tensors_;
  std::shared_ptr<const void> zeros_;
  size_t zero_bytes_ = 0;
};

}  // namespace

bool sniff(Bytes head) {
  const auto magic = std::as_bytes(std::span(kMagic));
  return head.size() >= magic.size() && std::equal(magic.begin(), magic.end(), head.begin());
}

Container Container::open(Bytes file, std::shared_ptr<const void> owner) {
  Container container;
  container.file_ = file;
  container.owner_ = std::move(owner);
  container.sections_ = read_section_table(file);
  for (const SectionEntry& entry : container.sections_)
    if (entry.kind != kNamed) verified(file, entry);
  if (!container.find(kModel) || !container.find(kTensors))
    throw Error(ErrorCode::bad_file, "the container holds no model (the file is damaged)");
  container.tensors_ = read_tensor_index(container.bytes_of_section(kTensors), container.bytes_of_section(kData));
  return container;
}

const SectionEntry* Container::find(uint32_t kind) const {
  const auto found =
      std::find_if(sections_.begin(), sections_.end(), [kind](const SectionEntry& e) { return e.kind == kind; });
  return found == sections_.end() ? nullptr : &*found;
}

Bytes Container::bytes_of_section(uint32_t kind) const {
  const SectionEntry* entry = find(kind);
  return entry ? file_.subspan(entry->offset, entry->bytes) : Bytes{};
}

std::string Container::text(uint32_t kind) const {
  const Bytes bytes = bytes_of_section(kind);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

Tensor Container::section_tensor(const SectionEntry& entry) const {
  const Bytes bytes = verified(file_, entry);
  const Dims dims{static_cast<int64_t>(bytes.size())};
  if (owner_) return Tensor::view(DType::uint8, dims, bytes, owner_);
  return Tensor::from(dims, std::span(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()));
}

std::optional<Tensor> Container::find_section(std::string_view name) const {
  for (const SectionEntry& entry : sections_)
    if (entry.kind == kNamed && entry.name == name) return section_tensor(entry);
  return std::nullopt;
}

std::vector<NamedSection> Container::named_sections() const {
  std::vector<NamedSection> sections;
  for (const SectionEntry& entry : sections_)
    if (entry.kind == kNamed) sections.push_back({entry.name, section_tensor(entry)});
  return sections;
}

Model Container::read_model(const std::function<void(const Value&, uint64_t, uint64_t)>& on_constant) const {
  return read(on_constant, {});
}

Model Container::read_model_without(const std::set<std::string>& constants) const { return read({}, constants); }

Model Container::read(const std::function<void(const Value&, uint64_t, uint64_t)>& on_constant,
                      const std::set<std::string>& without) const {
  const std::vector<AnnotationEntry> annotations =
      find(kAnnotations) ? read_annotations(bytes_of_section(kAnnotations)) : std::vector<AnnotationEntry>{};
  TensorCache tensors(tensors_, owner_);
  Model model;
  model.source_format = "lbq";
  model.file_bytes = static_cast<int64_t>(file_.size());
  Cursor cursor(bytes_of_section(kModel), "the model");
  model.producer = cursor.text();
  model.description = cursor.text();
  model.metadata = read_pairs(cursor);
  for (size_t i = cursor.count(2); i > 0; --i) {
    std::string domain = cursor.text();
    model.source_opsets.push_back({std::move(domain), cursor.svarint()});
  }
  const auto constant = [&](const std::string& value, uint64_t index) {
    return without.count(value) > 0 ? tensors.stand_in(index) : tensors.get(index);
  };
  model.graph =
      read_graph(cursor, {[&](uint64_t index) { return tensors.get(index); }, constant, annotations, on_constant});
  cursor.finish();
  tensors.check_all_used();
  if (find(kPreprocessing)) model.metadata.emplace_back(kPreprocessingKey, text(kPreprocessing));
  if (find(kRecipe)) model.metadata.emplace_back(kRecipeKey, text(kRecipe));
  if (find(kProvenance)) {
    Cursor provenance(bytes_of_section(kProvenance), "the provenance");
    for (auto& [key, value] : read_pairs(provenance))
      model.metadata.emplace_back(std::string(kOriginPrefix) + key, std::move(value));
    provenance.finish();
  }
  return model;
}

std::string metadata_text(const Model& model, std::string_view wanted) {
  for (const auto& [key, value] : model.metadata)
    if (key == wanted) return value;
  return "";
}

void set_metadata(Model& model, std::string_view wanted, std::string text) {
  for (auto& [key, value] : model.metadata)
    if (key == wanted) {
      value = std::move(text);
      return;
    }
  model.metadata.emplace_back(wanted, std::move(text));
}

}  // namespace lowbit::lbq
