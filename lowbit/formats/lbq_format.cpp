#include "lowbit/formats/lbq_format.h"

#include <fmt/format.h>

#include "lowbit/base/text.h"
#include "lowbit/formats/lbq/lbq.h"
#include "lowbit/formats/nonfinite.h"

namespace lowbit::lbq_format {
namespace {

void check_finite(const Graph& graph) {
  for (const Value& value : graph.values) {
    if (!value.constant || value.constant->count() <= kMostNonfiniteElements) continue;
    if (const auto index = first_nonfinite(*value.constant))
      throw Error(ErrorCode::bad_file,
                  fmt::format("tensor '{}' is NaN or infinite at index {} (repair the weights, or allow it with "
                              "--allow-nonfinite)",
                              printable(value.name, 80), *index));
  }
  for (const Node& node : graph.nodes)
    for (const auto& [key, attribute] : node.attributes)
      if (const auto* body = std::get_if<std::shared_ptr<Graph>>(&attribute)) check_finite(**body);
}

}  // namespace

bool sniff(Bytes head) { return lbq::sniff(head); }

Model read(Bytes bytes, const ReadOptions& options) {
  const lbq::Container container = lbq::Container::open(bytes, options.file);
  Model model = container.read_model();
  container.named_sections();  // only to find damage: a model has no place for them
  model.source_path = options.path;
  if (!options.allow_nonfinite) check_finite(model.graph);
  return model;
}

void write(const Model& model, ByteSink& sink, const WriteOptions& options) {
  lbq::write_model(model, sink, {options.entropy, {}});
}

}  // namespace lowbit::lbq_format
