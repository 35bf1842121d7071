#include "lowbit/api/automatic_report.h"

#include <algorithm>
#include <map>
#include <numeric>

#include <fmt/format.h>

#include "lowbit/base/text.h"

namespace lowbit {
namespace {

constexpr size_t kMostBlockers = 3;

std::string interval_text(const search::Drop& drop) {
  return fmt::format("{:.2f} ({:.2f} .. {:.2f} with 95 % confidence, {} samples)", drop.value, drop.ci95.low,
                     drop.ci95.high, with_commas(drop.samples));
}

/// Indices of the layers by falling cost.
template <typename Cost>
std::vector<size_t> by_cost(size_t layers, const Cost& cost) {
  std::vector<size_t> order(layers);
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return cost(a) > cost(b); });
  order.resize(std::min(order.size(), kMostBlockers));
  return order;
}

class Reporter {
 public:
  explicit Reporter(const SearchFacts& facts) : facts_(facts), trial_(facts.outcome.trials[facts.picked]) {}

  SearchReport run() {
    fill_target();
    fill_points();
    fill_layers();
    judge();
    report_.notes = facts_.outcome.notes;
    report_.gap = facts_.outcome.gap;
    report_.budget_spent = facts_.outcome.budget_spent;
    if (facts_.outcome.budget_spent)
      report_.notes.push_back("the budget was spent before the search had ended: the best so far was taken");
    return std::move(report_);
  }

 private:
  void fill_target() {
    report_.measure = search::measure_name(facts_.measure);
    report_.unit = search::measure_unit(facts_.measure);
    report_.max_drop = facts_.options.max_drop;
    report_.max_bytes = facts_.options.max_bytes;
    report_.max_ms = facts_.options.max_ms;
    report_.final_drop = facts_.drop.value;
    report_.final_ci95 = facts_.drop.ci95;
    report_.final_samples = facts_.drop.samples;
    report_.final_tests = facts_.tests;
  }

  void fill_points() {
    const search::Outcome& outcome = facts_.outcome;
    for (size_t t = 0; t < outcome.trials.size(); ++t) {
      SearchPoint point = search_point(outcome.trials[t], static_cast<int>(t) + 1, facts_.candidates);
      const search::Drop& drop = outcome.trials[t].measured.drop;
      const double decided = outcome.interval_decided ? drop.ci95.high : drop.value;
      point.meets =
          keeps_limits(outcome.trials[t].measured) && (!facts_.options.max_drop || decided <= *facts_.options.max_drop);
      point.picked = t == facts_.picked;
      report_.points.push_back(std::move(point));
    }
    for (const size_t t : search::measured_front(outcome.trials)) report_.points[t].on_front = true;
    for (const search::Assignment& a : outcome.front) report_.predicted_front.push_back({a.total.bytes, a.total.loss});
    report_.evaluations = static_cast<int64_t>(outcome.trials.size());
    report_.layer_count = static_cast<int64_t>(facts_.problem.layers.size());
    report_.pairs = report_.layer_count * static_cast<int64_t>(facts_.candidates.size());
  }

  void fill_layers() {
    for (size_t l = 0; l < facts_.problem.layers.size(); ++l) {
      const search::Layer& layer = facts_.problem.layers[l];
      SearchLayer row{join(layer.names, " + "), layer.op, layer.candidates, {}, {}, {}, trial_.chosen[l]};
      for (const search::Choice& choice : layer.choices) {
        row.losses.push_back(choice.loss);
        row.bytes.push_back(choice.bytes);
        row.ms.push_back(choice.ms);
      }
      report_.layers.push_back(std::move(row));
    }
  }

  bool keeps_limits(const search::Measured& m) const {
    return (!facts_.options.max_bytes || m.bytes <= static_cast<double>(*facts_.options.max_bytes)) &&
           (!facts_.options.max_ms || m.ms <= *facts_.options.max_ms);
  }

  void judge() {
    std::vector<std::string> parts;
    report_.met = true;
    report_.verdict = "met";
    if (facts_.options.max_drop) judge_drop(parts);
    if (facts_.options.max_bytes) {
      const auto bytes = static_cast<int64_t>(trial_.measured.bytes);
      judge_limit(bytes <= *facts_.options.max_bytes,
                  fmt::format("{} bytes of at most {}", with_commas(bytes), with_commas(*facts_.options.max_bytes)),
                  parts);
      if (bytes > *facts_.options.max_bytes) size_blockers();
    }
    if (facts_.options.max_ms) {
      const bool fits = trial_.measured.ms <= *facts_.options.max_ms;
      judge_limit(fits, fmt::format("{:.3f} ms of at most {:.3f}", trial_.measured.ms, *facts_.options.max_ms), parts);
      if (!fits) time_blockers();
    }
    if (!facts_.options.max_drop) parts.push_back(fmt::format("loses {} {}", interval_text(facts_.drop), report_.unit));
    report_.sentence = join(parts, "; ");
  }

  void judge_limit(bool fits, std::string text, std::vector<std::string>& parts) {
    parts.push_back(std::move(text));
    if (fits) return;
    report_.met = false;
    report_.verdict = "missed";
  }

  void judge_drop(std::vector<std::string>& parts) {
    const double most = *facts_.options.max_drop;
    const search::Verdict verdict = search::judge(facts_.drop, most);
    report_.met = report_.met && verdict == search::Verdict::met;
    report_.verdict = search::verdict_name(verdict);
    std::string text =
        fmt::format("loses {} {}, at most {:g} were allowed", interval_text(facts_.drop), report_.unit, most);
    if (verdict == search::Verdict::not_shown) {
      const int64_t needed = search::samples_needed(facts_.drop, most);
      text += fmt::format(": too few samples to show it, the interval is {:.2f} wide{}",
                          facts_.drop.ci95.high - facts_.drop.ci95.low,
                          needed > 0 ? fmt::format(" (about {} in each half would do)", with_commas(needed)) : "");
    }
    if (verdict != search::Verdict::met) drop_blockers();
    parts.push_back(std::move(text));
  }

  const search::Choice& chosen(size_t l) const { return facts_.problem.layers[l].choices[trial_.chosen[l]]; }
  std::string layer_text(size_t l) const {
    return fmt::format("{} at {}", report_.layers[l].name, facts_.candidates[trial_.chosen[l]]);
  }

  void drop_blockers() {
    double sum = 0;
    for (size_t l = 0; l < report_.layers.size(); ++l) sum += chosen(l).loss;
    const double measured = trial_.measured.drop.loss;
    if (measured > 2 * sum)
      report_.blockers.push_back(
          fmt::format("rounded activations and what errors of layers do together: {:.0f} % of the loss (--activations "
                      "int16 or none)",
                      100 * (1 - sum / measured)));
    if (!(sum > 0)) return;
    for (const size_t l : by_cost(report_.layers.size(), [&](size_t at) { return chosen(at).loss; }))
      report_.blockers.push_back(
          fmt::format("{}: {:.0f} % of the loss that weights add", layer_text(l), 100 * chosen(l).loss / sum));
  }
  void size_blockers() {
    const auto bytes = [&](size_t at) { return chosen(at).bytes; };
    report_.blockers.push_back(fmt::format("{} bytes are no weights that could be chosen for",
                                           with_commas(static_cast<int64_t>(facts_.problem.fixed.bytes))));
    for (const size_t l : by_cost(report_.layers.size(), bytes))
      report_.blockers.push_back(fmt::format("{}: {} bytes above its smallest form", layer_text(l),
                                             with_commas(static_cast<int64_t>(bytes(l)))));
  }
  void time_blockers() {
    const auto ms = [&](size_t at) { return chosen(at).ms; };
    for (const size_t l : by_cost(report_.layers.size(), ms))
      report_.blockers.push_back(fmt::format("{}: {:.3f} ms", layer_text(l), ms(l)));
  }

  const SearchFacts& facts_;
  const search::Trial& trial_;
  SearchReport report_;
};

}  // namespace

SearchPoint search_point(const search::Trial& trial, int number, const std::vector<std::string>& candidates) {
  SearchPoint point;
  point.number = number;
  point.why = trial.why;
  std::vector<int> counts(candidates.size(), 0);
  for (const uint16_t c : trial.chosen) {
    point.systems.push_back(candidates[c]);
    ++counts[c];
  }
  std::vector<std::string> parts;
  for (size_t c = 0; c < candidates.size(); ++c)
    if (counts[c] > 0) parts.push_back(fmt::format("{} x {}", counts[c], candidates[c]));
  point.summary = join(parts, ", ");
  point.bytes = static_cast<int64_t>(trial.measured.bytes);
  point.ms = trial.measured.ms;
  point.drop = trial.measured.drop.value;
  point.ci95 = trial.measured.drop.ci95;
  point.loss = trial.measured.drop.loss;
  point.predicted_loss = trial.predicted.loss;
  return point;
}

SearchReport make_search_report(const SearchFacts& facts) { return Reporter(facts).run(); }

}  // namespace lowbit
