// quantize.h: the main job in one call: a float model and calibration data in, an annotated low-bit model and its
// ledger out.
#pragma once

#include "lowbit/base/threads.h"
#include "lowbit/core/graph.h"
#include "lowbit/core/measurements.h"
#include "lowbit/data/dataset.h"
#include "lowbit/methods/method.h"
#include "lowbit/methods/recipe.h"
#include "lowbit/observe/statistics.h"
#include "lowbit/passes/lower_weights.h"

namespace lowbit {

struct QuantizeResult {
  Model model;        ///< annotated; save_quantized() or Executor take it
  Coverage coverage;  ///< every node: low-bit, or kept and why
  Recipe recipe;      ///< what was really done
  StatisticsSet statistics;
  int64_t samples = 0;  ///< calibration samples used
  double seconds = 0;
  std::vector<std::string> notes;  ///< what a user should know: widened biases, clipped ranges, few samples
};

/// Prepares the graph (fold constants and batch norms, fuse), calibrates in one streaming pass, annotates, applies the
/// recipe's methods. `data` null: weights only. Throws Error{bad_argument} for a selector that matches nothing (with
/// the nearest names), an unknown number system ...
QuantizeResult quantize(const Model& model, const DataSet* data, const Recipe& recipe, ThreadPool& threads,
                        const Progress& progress = {});

/// The ledger that quantize() would produce, without calibrating: for --dry-run. `planned` (may be null) receives the
/// model as it would be written, with stand-ins for the parameters that calibration finds.
Coverage plan_quantization(const Model& model, bool with_data, const Recipe& recipe, Model* planned = nullptr);

/// Bytes that save_quantized() would write for the model. The form follows from the extension of `path`.
int64_t file_bytes_of(const Model& model, const std::string& path, const LowerOptions& options = {});

/// Loads any model file: reads, folds QDQ/QOperator form into annotations, infers shapes.
Model open_model(const std::string& path, bool allow_nonfinite = false);

/// Writes an annotated model in the form that the extension of `path` asks for (.onnx: QDQ), reads the file back and
/// runs it once before returning; a file that does not read back is removed again (Error{internal}). Returns the bytes
/// written.
int64_t save_quantized(const Model& model, const std::string& path, ThreadPool& threads,
                       const LowerOptions& options = {});

/// Float model with the values of the low-bit one: annotations removed, weights decoded.
Model dequantize(const Model& model);

}  // namespace lowbit
