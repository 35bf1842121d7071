// open_model and save_quantized: files to annotated graphs and back.
#include <unistd.h>

#include <cmath>
#include <optional>
#include <unordered_map>

#include <fmt/format.h>

#include "lowbit/api/quantize.h"
#include "lowbit/api/runner.h"
#include "lowbit/base/random.h"
#include "lowbit/base/resident.h"
#include "lowbit/base/text.h"
#include "lowbit/core/offload.h"
#include "lowbit/core/weights.h"
#include "lowbit/formats/format.h"
#include "lowbit/ops/infer_shapes.h"
#include "lowbit/ops/op.h"
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

/// Inputs and results of a run, to be repeated with the file read back.
struct Trial {
  NamedTensors inputs;
  std::vector<Tensor> results;
};

/// Nothing if the network takes none of the sizes tried, or has operators that only other engines run.
std::optional<Trial> try_run(const Graph& graph, ThreadPool& threads) {
  for (int64_t size : {1, 16, 64, 224}) {
    try {
      NamedTensors inputs = trial_inputs(graph, size);
      std::vector<Tensor> results = Executor(graph, threads).run_ordered(inputs);
      return Trial{std::move(inputs), std::move(results)};
    } catch (const Error& error) {
      if (error.code() == ErrorCode::internal) throw;
    }
  }
  return std::nullopt;
}

/// Throws Error{internal} if the outputs differ more than float rounding in a few codes can.
void compare_results(const std::vector<Tensor>& wanted, const std::vector<Tensor>& found, const std::string& path) {
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i].dims() != found[i].dims())
      throw Error(ErrorCode::internal, "the written file gives other shapes than the model (please report this)", path);
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
          fmt::format("the written file gives other results than the model: they differ by {:.3g} (please report this)",
                      difference),
          path);
  }
}

/// Compares the codes of every weight read back with those that were to be written (Error{internal} if they differ) and
/// lets `read` use the model's own tensors, so that there is one copy.
void share_weights(const Graph& model, Graph& read, const std::string& path) {
  std::unordered_map<std::string_view, const Value*> by_name;
  for (const Value& value : model.values)
    if (value.constant && value.quantization) by_name[value.name] = &value;
  for (Value& value : read.values) {
    const auto found = by_name.find(value.name);
    if (!value.constant || !value.quantization || found == by_name.end()) continue;
    const Value& wanted = *found->second;
    if (wanted.constant->dims() != value.constant->dims() ||
        wanted.quantization->params != value.quantization->params ||
        !identical(weight_codes(wanted), weight_codes(value)))
      throw Error(ErrorCode::internal,
                  fmt::format("the written file holds other codes of '{}' than the model (please report this)",
                              printable(value.name)),
                  path);
    value.constant = wanted.constant;
  }
}

/// A number in the weights that is NaN or infinite spoils every result. Constants of up to 16 elements are judged by
/// what reads them, since masks and limits are infinite on purpose; larger ones the reader of the file refuses.
void check_small_weights(const Graph& graph) {
  for (const Node& node : graph.nodes) {
    const OpDef* op = find_op(node);
    const bool normalizes = node.op.ends_with("Normalization");
    if (!normalizes && !node.is("QuantizeLinear") && !node.is("DequantizeLinear") && !node.is("PRelu") &&
        !(op && op->kind == OpKind::compute))
      continue;
    for (ValueId id : node.inputs) {
      const Tensor* constant = id == kNone ? nullptr : graph.constant(id);
      if (!constant || !is_float(constant->dtype()) || constant->count() > 16) continue;
      const Tensor floats = to_float32(*constant);
      for (const float x : floats.values<float>())
        if (!std::isfinite(x))
          throw Error(ErrorCode::bad_file,
                      fmt::format("reads '{}', which holds a NaN or infinite weight (repair the weights, or allow it "
                                  "with --allow-nonfinite)",
                                  printable(graph.value(id).name)),
                      fmt::format("node '{}' ({})", printable(node.name), printable(node.op)));
    }
  }
}

/// The same model with codes in the place of annotated floats: they are made once for all that follows, and take a
/// quarter of the memory.
Model with_codes(const Model& model) {
  Model result = model;
  for (Value& value : result.graph.values) {
    if (!is_annotated_constant(value) || holds_codes(value)) continue;
    const Tensor floats = *value.constant;
    value.constant = weight_codes(value);
    rest_pages(floats);
  }
  return result;
}

class CountingSink : public ByteSink {
 public:
  using ByteSink::write;
  void write(Bytes bytes) override { count += static_cast<int64_t>(bytes.size()); }
  int64_t count = 0;
};

}  // namespace

std::optional<int64_t> predicted_file_bytes(const Model& model, const std::string& path, const LowerOptions& lower) {
  const FileFormat& format = format_to_write(path);
  CountingSink sink;
  WriteOptions options;
  options.external_data_above_bytes = INT64_MAX;
  try {
    format.write(format.keeps_annotations ? model : lower_model(model, lower), sink, options);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::unsupported) throw;
    return std::nullopt;
  }
  return sink.count;
}

Model open_model(const std::string& path, bool allow_nonfinite) {
  Model model = load_model(path, allow_nonfinite);
  try {
    if (!allow_nonfinite) check_small_weights(model.graph);
    raise_model(model);
    infer_shapes(model.graph);
  } catch (const Error& error) {
    const std::string where = error.where().empty() ? path : path + ": " + error.where();
    throw Error(error.code(), error.message(), where);
  }
  return model;
}

int64_t save_quantized(const Model& floats, const std::string& path, ThreadPool& threads, const LowerOptions& options) {
  const Model model = with_codes(floats);
  // One thing after the other, so that no two of them are in memory at once.
  const std::optional<Trial> trial = try_run(model.graph, threads);
  return_freed_memory();
  save_model(format_to_write(path).keeps_annotations ? model : lower_model(model, options), path);
  return_freed_memory();
  try {
    Model read = open_model(path, /*allow_nonfinite=*/true);
    share_weights(model.graph, read.graph, path);
    return_freed_memory();
    if (trial) compare_results(trial->results, Executor(read.graph, threads).run_ordered(trial->inputs), path);
    return read.file_bytes;
  } catch (...) {
    unlink(path.c_str());
    throw;
  }
}

}  // namespace lowbit
