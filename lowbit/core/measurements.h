// measurements.h: plain results that methods and evaluation fill and reports print. JSON names are those of the command
// line's contract.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace lowbit {

/// How a low-bit tensor differs from its float original.
struct TensorError {
  double sqnr_db = 0;  ///< 10 log10(sum x^2 / sum (x - y)^2); +inf if identical
  double mse = 0;
  double cosine = 1;
  double max_abs = 0;
  double clipped_share = 0;  ///< share of values outside the representable range
};

/// One line of the coverage ledger: a node, low-bit or kept, and why.
struct LayerDecision {
  std::string name, op;
  std::string weights;      ///< "int8/channel", "float32", "" if it has none
  std::string activations;  ///< "uint8/tensor", "float32"
  bool low_bit = false;
  std::string reason;  ///< why it stays float, or what is noteworthy
  int64_t macs = 0;    ///< multiply-adds for one sample
  int64_t weight_bytes = 0, float_weight_bytes = 0;
  int64_t samples = 0;       ///< calibration samples behind its ranges
  TensorError weight_error;  ///< meaningful if it has low-bit weights
};

struct Coverage {
  std::vector<LayerDecision> layers;  ///< every node that computes, in graph order
  double quantized_share_macs = 0, quantized_share_bytes = 0;
};

/// Error of one layer's output in the low-bit model against the float model.
struct LayerError {
  std::string name, op, value;
  TensorError local;        ///< this layer alone quantized, inputs as in the float model
  TensorError accumulated;  ///< everything before it quantized too
  std::string cause;        ///< in words; "" if nothing stands out
  std::string remedy;       ///< the command-line flags that address the cause
};

struct Interval {
  double low = 0, high = 0;
};

/// A metric with its 95 % interval.
struct Metric {
  double value = 0;
  Interval ci95;
};

struct ModelEvaluation {
  std::string file, engine;
  int64_t samples = 0;
  std::map<std::string, Metric> metrics;  ///< accuracy, top5, precision, recall, f1, agreement ...
  double latency_ms_median = 0;
  int64_t file_bytes = 0;
  std::string note;  ///< what the reader must know of these figures; "" if nothing
};

struct BenchResult {
  std::string file, engine;
  int threads = 1;
  double ms_min = 0, ms_median = 0, ms_p99 = 0, per_second = 0, load_ms = 0;
  int64_t peak_memory_bytes = 0;
  int64_t macs = 0;                           ///< multiply-adds of a run; 0 = not counted
  double ops_per_second = 0;                  ///< multiplications plus additions
  double share_of_peak = 0;                   ///< of the machine's 8-bit peak; 0 = not measured
  int64_t arena_bytes = 0, weight_bytes = 0;  ///< of the plan
  int reference_steps = 0;                    ///< steps that the plan leaves to the reference
  std::string note;                           ///< why there is no plan
  struct Layer {
    std::string name, op;
    double ms_median = 0;
    int64_t macs = 0;
    std::string kernel, note;
    int threads = 1;
    int64_t bytes = 0;  ///< weights, inputs, outputs
    double share_of_peak = 0;
  };
  std::vector<Layer> layers;
};

}  // namespace lowbit
