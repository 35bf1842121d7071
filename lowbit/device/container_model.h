// container_model.h: containers made ready to run: the graph, and the weights that were packed when the container was
// written, used where they lie in the file.
#pragma once

#include <memory>
#include <string>

#include "lowbit/base/file.h"
#include "lowbit/runtime/session.h"

namespace lowbit {

/// Reads a container. `owner` keeps the bytes alive. Throws Error{bad_file}, Error{unsupported}.
std::shared_ptr<CompiledModel> compile_container(Bytes bytes, std::shared_ptr<const void> owner, ExtraSteps extra = {});
/// Maps and reads the file.
std::shared_ptr<CompiledModel> compile_container_file(const std::string& path, ExtraSteps extra = {});

}  // namespace lowbit
