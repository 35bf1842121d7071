// model_size.h: how large a file would be.
#pragma once

#include <cstdint>
#include <string>

#include "lowbit/core/graph.h"

namespace lowbit {

/// Bytes that save_model() would write, without writing them.
int64_t model_bytes(const Model& model, const std::string& path);

}  // namespace lowbit
