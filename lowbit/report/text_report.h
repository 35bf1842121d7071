// text_report.h: measurements as tables for a terminal. Shares are per cent here and fractions of 1 in JSON.
#pragma once

#include <span>
#include <string>

#include "lowbit/core/measurements.h"

namespace lowbit {

/// "12.3 dB", "exact" for +infinity, "-" for anything that is not a number.
std::string decibels_text(double db);
/// "76.44 %" of a fraction of 1.
std::string percent_text(double share, int digits = 2);
/// "0.412 ms", "3.21 s": a time with a unit that fits.
std::string milliseconds_text(double ms);
/// "76.44 % (75.24 .. 77.60)", or a plain number for metrics that are no shares.
std::string metric_text(const std::string& name, const Metric& metric);
/// True for metrics that are fractions of 1 (accuracy, agreement ...).
bool is_share(const std::string& metric_name);

/// The coverage ledger: every node that computes, low-bit or kept and why, then one line with the shares.
std::string coverage_text(const Coverage& coverage);
/// Metrics of several models side by side: one column a model, differences to the first below.
std::string evaluations_text(std::span<const ModelEvaluation> models);
/// Error per layer in the order given, the output first.
std::string layer_errors_text(const TensorError& output, std::span<const LayerError> layers);
/// Latency of several models, then per layer if measured.
std::string bench_text(std::span<const BenchResult> results);

}  // namespace lowbit
