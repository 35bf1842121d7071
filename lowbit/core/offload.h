// offload.h: keeps large tensors out of memory between their turns.
#pragma once

#include "lowbit/core/graph.h"

namespace lowbit {

/// Moves constants that live in memory to unnamed temporary files, if all of them together take at least 64 MiB: those
/// of 256 KiB and more. Their values stay what they are; a copy of the graph shares them. Constants that are views on
/// the model's file are there already. Without room for temporary files everything stays in memory.
void offload_constants(Graph& graph);

/// Lets the system drop the pages of a large tensor that is a view on a file; they come back when it is read again.
/// Any other tensor is left alone.
void rest_pages(const Tensor& tensor);

}  // namespace lowbit
