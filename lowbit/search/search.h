// search.h: the strategy of the automatic mode. Predicted losses of single layers (sensitivity.h) order the assignments
// of number systems to layers (choices.h); real evaluations on the selection data decide between them. Knows networks
// only as lists of layers with candidates and evaluations only as a function, so that it can be tested with made-up
// ones.
//
//   --max-drop    bisection along the Pareto front of bytes and predicted loss, then the losses are corrected by what
//   was
//                 measured, number system by number system, and the front is walked once more
//   --max-size,   the least predicted loss within the limits, beside the best uniform assignment and others that
//   --max-latency corrected losses give; the least measured loss wins
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "lowbit/search/choices.h"
#include "lowbit/search/verdict.h"

namespace lowbit::search {

/// A layer (or layers that share a weight) with what it may become.
struct Layer {
  std::vector<std::string> names;
  std::string op;
  std::vector<std::string> candidates;  ///< "int4", or "int8 activations int16"; unique
  std::vector<Choice> choices;          ///< of the same number
};

struct Target {
  std::optional<double> max_drop;  ///< in the unit of the measure
  std::optional<double> max_bytes, max_ms;
};

struct Measured {
  Drop drop;
  double bytes = 0, ms = 0;  ///< really written, really timed (0: not timed)
};

struct Trial {
  std::vector<uint16_t> chosen;
  Choice predicted;  ///< totals, fixed part included
  Measured measured;
  std::string why;  ///< "bisection", "uniform int4" ...
};

struct Problem {
  std::vector<Layer> layers;
  Choice fixed;  ///< what every assignment costs besides
  Target target;
  int64_t most_evaluations = 24;
  /// Asked before every evaluation but the first; true: time is up.
  std::function<bool()> stop;
  std::function<Measured(const std::vector<uint16_t>& chosen)> evaluate;
  /// Told of each trial.
  std::function<void(const Trial& trial, size_t best)> progress;
};

struct Outcome {
  std::vector<Trial> trials;
  size_t best = 0;  ///< of trials
  /// Trials that met the target on the selection data, of less and less bytes, best last: the order in which the final
  /// data may be asked without losing their error rate. Empty if none met it.
  std::vector<size_t> ladder;
  bool within_limits = false;    ///< best keeps max_bytes and max_ms
  bool interval_decided = true;  ///< false: too few samples for intervals, so estimates decided
  bool budget_spent = false;
  double gap = 0;  ///< predicted loss of best over the lower bound at its bytes, minus 1; 0: proven optimal
  std::vector<Assignment> front;  ///< predicted, fixed part included, thinned
  std::vector<std::string> notes;
};

Outcome run_search(const Problem& problem);

/// The index of `candidate` for each layer; nothing if a layer lacks it.
std::optional<std::vector<uint16_t>> uniform(const std::vector<Layer>& layers, const std::string& candidate);
/// Indices of the trials that no other one beats in both bytes and drop, by rising bytes.
std::vector<size_t> measured_front(const std::vector<Trial>& trials);

}  // namespace lowbit::search
