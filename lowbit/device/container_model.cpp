#include "lowbit/device/container_model.h"

#include "lowbit/device/device_steps.h"
#include "lowbit/runtime/plan/packed_section.h"

namespace lowbit {
namespace {

std::shared_ptr<const Graph> graph_of(Model model) {
  const auto kept = std::make_shared<const Model>(std::move(model));
  return {kept, &kept->graph};
}

}  // namespace

std::shared_ptr<CompiledModel> compile_container(Bytes bytes, std::shared_ptr<const void> owner, ExtraSteps extra) {
  const lbq::Container container = lbq::Container::open(bytes, owner);
  const auto section = container.find_section(plan::packed_section_name());
  if (!section) return std::make_shared<CompiledModel>(graph_of(container.read_model()), extra);
  const auto weights = std::make_shared<plan::WeightStore>();
  plan::read_packed_section(*section, *weights);
  return std::make_shared<CompiledModel>(
      graph_of(container.read_model_without(weights->sources())), weights,
      [bytes, owner] { return graph_of(lbq::Container::open(bytes, owner).read_model()); }, extra);
}

std::shared_ptr<CompiledModel> compile_container_file(const std::string& path, ExtraSteps extra) {
  const std::shared_ptr<const MappedFile> file = MappedFile::open(path);
  try {
    return compile_container(file->bytes(), file, extra);
  } catch (const Error& error) {
    if (!error.where().empty()) throw Error(error.code(), error.message(), path + ": " + error.where());
    throw Error(error.code(), error.message(), path);
  }
}

std::vector<lbq::NamedSection> prepacked_sections(const Graph& graph) {
  // The caller's graph outlives this call.
  const std::shared_ptr<const Graph> borrowed(std::shared_ptr<const void>(), &graph);
  CompiledModel compiled(borrowed, device_steps());
  compiled.plan(compiled.default_dims(), 1, false);
  return {{plan::packed_section_name(), plan::write_packed_section(*compiled.weights())}};
}

}  // namespace lowbit
