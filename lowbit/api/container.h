// container.h: what the container .lbq adds to a model: it goes along with preprocessing, recipe and provenance, and
// other commands find them there.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lowbit/core/graph.h"
#include "lowbit/formats/format.h"

namespace lowbit {

/// The preprocessing that a model file carries, as --preprocess takes it; empty if it carries none (or is no
/// container).
std::string stored_preprocessing(const std::string& path);
/// The recipe that a model file carries, as TOML; empty if it carries none.
std::string stored_recipe(const std::string& path);

/// Writes a model in the format of the extension of `output`, values unchanged: annotations become QDQ nodes where the
/// format has no annotations, and nodes become annotations where it has. Safe where both are one file. Returns the
/// model as it is in the new file.
Model convert_model(const std::string& input, const std::string& output, WriteOptions options = {});

/// The same into a container (Error{bad_argument} for another extension) that also holds the weights as the kernels of
/// this machine's instruction set read them, so that the small runtime maps them instead of packing them. Throws
/// Error{unsupported}, naming operators, if the small runtime does not run the model.
Model prepack_model(const std::string& input, const std::string& output, const WriteOptions& options = {});

/// What a container says about its making.
struct ContainerTexts {
  std::string source_path;    ///< the file it was made of; its name without folder, its bytes and xxHash64 are kept
  std::string program;        ///< "lowbit 0.1.0"
  std::string data;           ///< what it was calibrated on
  int64_t samples = 0;        ///< 0: without data
  std::string recipe;         ///< TOML
  std::string preprocessing;  ///< empty: none
};
/// Adds them to the model's metadata, from where the container takes them.
void describe_container(Model& model, const ContainerTexts& texts);

/// What is in a container, beside the model.
struct ContainerContents {
  struct Section {
    std::string kind, name;
    int64_t bytes = 0;
  };
  std::vector<Section> sections;
  struct TensorRow {
    std::string name;           ///< of the first value whose constant it is; empty: of an attribute
    std::string number_system;  ///< as number_system_text()
    std::string coding;         ///< raw, packed, ternary, entropy, text
    int64_t elements = 0, bytes = 0, parameter_bytes = 0;
  };
  std::vector<TensorRow> tensors;
  std::map<std::string, int64_t> bytes_by_coding;
  std::string preprocessing, recipe;
  std::map<std::string, std::string> origin;
  int64_t parameters = 0, weight_bytes = 0;  ///< weights with their parameters of quantization, as really stored
};

/// Nothing for other formats.
std::optional<ContainerContents> container_contents(const std::string& path);

}  // namespace lowbit
