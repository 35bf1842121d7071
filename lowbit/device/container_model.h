// container_model.h: containers made ready to run: the graph, and the weights that were packed when the container was
// written, used where they lie in the file.
#pragma once

#include <memory>
#include <string>

#include "lowbit/base/file.h"
#include "lowbit/formats/lbq/lbq.h"
#include "lowbit/runtime/session.h"

namespace lowbit {

/// Reads a container. `owner` keeps the bytes alive. Throws Error{bad_file}, Error{unsupported}.
std::shared_ptr<CompiledModel> compile_container(Bytes bytes, std::shared_ptr<const void> owner, ExtraSteps extra = {});
/// Maps and reads the file.
std::shared_ptr<CompiledModel> compile_container_file(const std::string& path, ExtraSteps extra = {});

/// The weights of a graph packed for the instruction set in use (LOWBIT_ISA chooses another), as a section for
/// lbq::SaveOptions. Throws Error{unsupported} if the small runtime does not run the graph.
std::vector<lbq::NamedSection> prepacked_sections(const Graph& graph);

}  // namespace lowbit
