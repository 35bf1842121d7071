// search_report.h: what the automatic mode tried and chose, as plain data: JSON, a table, and a plot of bytes against
// what is lost.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "lowbit/core/measurements.h"
#include "lowbit/report/json_report.h"

namespace lowbit {

/// One evaluated configuration.
struct SearchPoint {
  int number = 0;            ///< from 1, in the order of trying; --pick takes it
  std::string why, summary;  ///< "bisection"; "4 x int8, 6 x int4"
  int64_t bytes = 0;         ///< of the file
  double ms = 0;             ///< one inference; 0: not timed
  double drop = 0;           ///< on the selection data, in the report's unit
  Interval ci95;
  double loss = 0, predicted_loss = 0;
  bool meets = false, on_front = false, picked = false;
  std::vector<std::string> systems;  ///< by layer
};

struct SearchLayer {
  std::string name, op;
  std::vector<std::string> candidates;
  std::vector<double> losses, bytes, ms;  ///< by candidate: what it adds
  size_t chosen = 0;
};

struct SearchReport {
  std::string measure, unit;  ///< "accuracy", "points of accuracy"
  std::string loss_name;      ///< "KL divergence of the output"
  std::optional<double> max_drop, max_ms;
  std::optional<int64_t> max_bytes;
  std::string verdict;  ///< "met", "not shown", "missed"
  bool met = false;
  std::string sentence;  ///< the verdict in words: how far, what would be needed
  std::vector<SearchPoint> points;
  struct Predicted {
    double bytes = 0, loss = 0;
  };
  std::vector<Predicted> predicted_front;
  int64_t float_bytes = 0, calibration_samples = 0, selection_samples = 0, final_samples = 0;
  std::string split;  ///< how the samples were divided
  double final_drop = 0;
  Interval final_ci95;
  int64_t final_tests = 0;                              ///< configurations that the final data were asked about
  int64_t evaluations = 0, layer_count = 0, pairs = 0;  ///< pairs: layers x candidates
  double gap = 0, seconds = 0;
  bool budget_spent = false, resumed = false;
  std::vector<SearchLayer> layers;
  std::vector<std::string> causes, blockers, notes;
};

Json to_json(const SearchReport& report);
/// The verdict, the table of what was tried, and what holds it back.
std::string search_text(const SearchReport& report);
/// A section of the HTML report: verdict, plot (inline SVG), table of layers.
std::string search_html(const SearchReport& report);

}  // namespace lowbit
