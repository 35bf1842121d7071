// open_model and save_quantized: files to annotated graphs and back.
#include <unistd.h>

#include <cmath>

#include <fmt/format.h>

#include "lowbit/api/quantize.h"
#include "lowbit/api/runner.h"
#include "lowbit/base/random.h"
#include "lowbit/base/text.h"
#include "lowbit/formats/format.h"
#include "lowbit/formats/model_size.h"
#include "lowbit/ops/infer_shapes.h"
#include "lowbit/passes/fold_constants.h"
#include "lowbit/passes/lower_qdq.h"
#include "lowbit/passes/raise_weights.h"

namespace lowbit {
namespace {

/// Seeded inputs inside the range that the network was calibrated for; symbols become `size`.
NamedTensors trial_inputs(const Graph& graph, int64_t size) {
  NamedTensors inputs;
  Random random(7);
  for (ValueId id : graph.inputs) {
    const Value& value = graph.value(id);
    if (!value.shape) throw Error(ErrorCode::unsupported, "an input has no known rank");
    Dims dims;
    for (const Dim& dim : *value.shape) dims.push_back(dim.known() ? *dim.size : dims.empty() ? 1 : size);
    float low = 0, high = 1;
    if (value.quantization && value.quantization->linear() && !value.quantization->dynamic) {
      low = linear_decode(value.quantization->codes().min, value.quantization->linear_at(0));
      high = linear_decode(value.quantization->codes().max, value.quantization->linear_at(0));
    }
    Tensor x(DType::float32, dims);
    for (float& v : x.mutable_values<float>()) v = low + static_cast<float>(random.uniform()) * (high - low);
    inputs[value.name] = is_float(value.dtype) ? x.cast(value.dtype) : Tensor(value.dtype, dims);
  }
  return inputs;
}

/// Runs both models on the same inputs; throws Error{internal} if the outputs differ more than float rounding in a few
/// codes can.
void compare_runs(const Graph& written, const Graph& read, ThreadPool& threads, const std::string& path) {
  for (int64_t size : {1, 16, 64, 224}) {
    NamedTensors inputs;
    std::vector<Tensor> wanted, found;
    try {
      inputs = trial_inputs(written, size);
      wanted = Executor(written, threads).run_ordered(inputs);
    } catch (const Error& error) {
      // Sizes that the network does not take, or operators that only other engines run: nothing to compare with.
      if (error.code() == ErrorCode::internal) throw;
      continue;
    }
    found = Executor(read, threads).run_ordered(inputs);
    for (size_t i = 0; i < wanted.size(); ++i) {
      if (wanted[i].dims() != found[i].dims())
        throw Error(ErrorCode::internal, "the written file gives other shapes than the model (please report this)",
                    path);
      if (wanted[i].dtype() != DType::float32) continue;
      double largest = 0, difference = 0;
      for (int64_t k = 0; k < wanted[i].count(); ++k) {
        const double a = wanted[i].data<float>()[k], b = found[i].data<float>()[k];
        if (std::isnan(b) && !std::isnan(a)) difference = INFINITY;
        largest = std::max(largest, std::abs(a));
        difference = std::max(difference, std::abs(a - b));
      }
      if (difference > 0.05 * largest + 1e-6)
        throw Error(
            ErrorCode::internal,
            fmt::format(
                "the written file gives other results than the model: they differ by {:.3g} (please report this)",
                difference),
            path);
    }
    return;
  }
}

}  // namespace

Model open_model(const std::string& path, bool allow_nonfinite) {
  Model model = load_model(path, allow_nonfinite);
  try {
    raise_model(model);
    infer_shapes(model.graph);
  } catch (const Error& error) {
    const std::string where = error.where().empty() ? path : path + ": " + error.where();
    throw Error(error.code(), error.message(), where);
  }
  return model;
}

int64_t file_bytes_of(const Model& model, const std::string& path, const LowerOptions& options) {
  return model_bytes(lower_model(model, options), path);
}

int64_t save_quantized(const Model& model, const std::string& path, ThreadPool& threads, const LowerOptions& options) {
  save_model(lower_model(model, options), path);
  try {
    const Model read = open_model(path, /*allow_nonfinite=*/true);
    compare_runs(model.graph, read.graph, threads, path);
    return read.file_bytes;
  } catch (...) {
    unlink(path.c_str());
    throw;
  }
}

}  // namespace lowbit
