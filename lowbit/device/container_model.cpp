#include "lowbit/device/container_model.h"

#include "lowbit/formats/lbq/lbq.h"
#include "lowbit/runtime/plan/packed_section.h"

namespace lowbit {

std::shared_ptr<CompiledModel> compile_container(Bytes bytes, std::shared_ptr<const void> owner, ExtraSteps extra) {
  const lbq::Container container = lbq::Container::open(bytes, std::move(owner));
  const auto model = std::make_shared<const Model>(container.read_model());
  const std::shared_ptr<const Graph> graph(model, &model->graph);
  auto compiled = std::make_shared<CompiledModel>(graph, extra);
  if (const auto section = container.find_section(plan::packed_section_name())) plan::read_packed_section(*section, *compiled->weights());
  return compiled;
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

}  // namespace lowbit
