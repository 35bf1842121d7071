// verify.h: runs a low-bit file in another engine and in ours, on the same inputs, and counts the differences in steps
// of the quantization. The other engine runs in a Python process of its own, which exchanges arrays as .npy files.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "lowbit/base/threads.h"
#include "lowbit/core/graph.h"
#include "lowbit/data/dataset.h"

namespace lowbit {

struct VerifyOptions {
  std::string engine;              ///< "ort" or "openvino"
  std::string python = "python3";  ///< interpreter that has the engine
  const DataSet* data = nullptr;   ///< null: seeded random values within the calibrated range of each input
  int64_t samples = 16;
  uint64_t seed = 1;
};

/// Differences of one value over all samples.
struct StepDifference {
  std::string name;
  double step = 0;  ///< scale of the value; of an output that is not low-bit: 1/255 of its range
  double max_steps = 0;
  double share_different = 0;  ///< share of elements that differ by at least half a step
  int64_t count = 0;
};

struct VerifyResult {
  std::string engine, version;
  int64_t samples = 0;
  std::vector<StepDifference> outputs;  ///< as the engine runs the file by itself
  std::vector<StepDifference>
      unfused;  ///< the same with the engine's graph optimizations off; empty if it has no such switch
  /// The same with the engine's own settings, if that changes the outputs: ONNX Runtime's 8-bit products overflow on
  /// processors without VNNI, unless session.x64quantprecision is 1, as it is in all other runs.
  std::vector<StepDifference> by_default;
  std::vector<StepDifference> probed;          ///< while the layers are read out; only if that changed the outputs
  std::vector<StepDifference> layers;          ///< low-bit activations in graph order, read out as extra outputs
  double top1_agreement = 1;                   ///< of the first output
  double top1_agreement_by_default = 1;        ///< with the engine's own settings
  bool probes_change_outputs = false;          ///< reading out the layers changed the outputs: it blocked fusions
  std::map<std::string, int64_t> float_nodes;  ///< of the engine's optimized graph, by operator
  int64_t integer_nodes = 0;
  double worst_output_steps() const;
};

/// Throws Error{bad_argument} for an unknown engine, Error{unsupported} if the engine is not installed (with the
/// command that installs it) or refuses the file (with its message).
VerifyResult verify_model(const std::string& path, ThreadPool& threads, const VerifyOptions& options);

/// Names that VerifyOptions::engine takes.
const std::vector<std::string>& verify_engines();

}  // namespace lowbit
