// html_report.h: the picture of what happened, as one HTML file that needs nothing else: no network, no fonts, a few
// lines of script for sorting (the page is complete without it). Readable on a phone, in print, in light and dark.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lowbit/core/diagnosis.h"
#include "lowbit/core/examples.h"
#include "lowbit/core/measurements.h"
#include "lowbit/core/shifted.h"

namespace lowbit {

/// How the values of one tensor are spread, and what the low-bit grid covers.
struct Distribution {
  std::string name, kind;              ///< kind: "weights" or "activations"
  std::string format;                  ///< "int8/channel"
  std::vector<double> counts;          ///< uniform bins over [low, high]
  double low = 0, high = 0;            ///< of the values
  double grid_low = 0, grid_high = 0;  ///< what the codes can represent; equal = not drawn
  double clipped_share = 0;
  std::vector<float> levels;  ///< of the first group of parameters, if there are few; ascending
  std::string unit;           ///< of low to high and the levels; empty: that of the values
};

struct HtmlReport {
  std::string title;           ///< the model's name
  std::string version;         ///< of the program
  std::string source, result;  ///< files
  int64_t float_bytes = 0, low_bit_bytes = 0;
  double seconds = 0;
  int64_t peak_memory_bytes = 0, samples = 0;
  std::string data;  ///< what the calibration data were, in one line
  std::optional<ModelEvaluation> float_evaluation, low_bit_evaluation;
  Coverage coverage;
  std::vector<LayerError> layer_errors;  ///< any order; empty if not measured
  Diagnosis diagnosis;                   ///< what the comparison found
  std::vector<Distribution> distributions;
  Disagreements disagreements;
  std::vector<ShiftedEvaluation> shifted;  ///< on damaged data
  std::vector<std::string> notes;
  std::string search;   ///< markup of search_html(), of the automatic mode; empty: none
  std::string recipe;   ///< TOML that makes this result again
  std::string command;  ///< the command line that was given
};

/// Text for HTML content and double-quoted attributes: made printable, then & < > " ' escaped.
std::string escape_html(std::string_view text);

std::string to_html(const HtmlReport& report);

}  // namespace lowbit
