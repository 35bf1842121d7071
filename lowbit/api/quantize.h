// quantize.h: the main job in one call: a float model and calibration data in, an annotated low-bit model and its
// ledger out.
#pragma once

#include <optional>

#include "lowbit/base/threads.h"
#include "lowbit/core/graph.h"
#include "lowbit/core/measurements.h"
#include "lowbit/data/dataset.h"
#include "lowbit/methods/method.h"
#include "lowbit/methods/recipe.h"
#include "lowbit/observe/statistics.h"

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
/// recipe's methods. `data` null: weights only. A model that is moved in frees its weights as soon as they are folded.
/// Throws Error{bad_argument} for a selector that matches nothing (with the nearest names), an unknown number system
/// ...
QuantizeResult quantize(Model model, const DataSet* data, const Recipe& recipe, ThreadPool& threads,
                        const Progress& progress = {});

/// The ledger that quantize() would produce, without calibrating: for --dry-run.
/// `planned`, if not null, becomes the model with placeholders for the parameters that need data: as large in a file as
/// the real one, but for a few bytes.
Coverage plan_quantization(const Model& model, bool with_data, const Recipe& recipe, Model* planned = nullptr);

/// Bytes that the model would take in a file of this name, without writing it (ONNX: external data included). Nothing
/// if the format cannot say it.
std::optional<int64_t> predicted_file_bytes(const Model& model, const std::string& path);

/// Loads any model file: reads, folds QDQ/QOperator form into annotations, infers shapes.
Model open_model(const std::string& path, bool allow_nonfinite = false);

/// Writes an annotated model in the form that the extension of `path` asks for (.onnx: QDQ; .lbq: as it is), reads the
/// file back and runs it once before returning; a file that does not read back is removed again (Error{internal}).
/// Returns the bytes written.
int64_t save_quantized(const Model& model, const std::string& path, ThreadPool& threads);

/// Float model with the values of the low-bit one: annotations removed, weights decoded.
Model dequantize(const Model& model);

}  // namespace lowbit
