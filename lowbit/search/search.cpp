#include "lowbit/search/search.h"

#include <algorithm>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "lowbit/base/error.h"
#include "lowbit/search/correction.h"

namespace lowbit::search {
namespace {

constexpr size_t kRungs = 64;           ///< points of the front that bisection distinguishes
constexpr int kCorrections = 3;         ///< rounds of correcting losses
constexpr int kMostNeighbours = 6;      ///< tried around the best
constexpr size_t kReportedPoints = 64;  ///< of the predicted front
constexpr size_t kLadder = 3;           ///< trials that the final data are asked about at most

/// The assignments that no other one beats in bytes and loss, by rising bytes, at most `most` of them, evenly in the
/// logarithm of the loss.
std::vector<Assignment> thinned(const std::vector<Assignment>& front, size_t most) {
  std::vector<Assignment> stairs;
  for (const Assignment& a : front) {
    if (!stairs.empty() && a.total.loss >= stairs.back().total.loss) continue;
    if (!stairs.empty() && a.total.bytes == stairs.back().total.bytes) stairs.pop_back();
    stairs.push_back(a);
  }
  if (stairs.size() <= most) return stairs;
  const double floor = std::max(stairs.back().total.loss, 1e-9 * stairs.front().total.loss) + 1e-300;
  const double top = std::log(stairs.front().total.loss + floor), bottom = std::log(stairs.back().total.loss + floor);
  std::vector<Assignment> kept;
  double next = top;
  for (size_t i = 0; i < stairs.size(); ++i) {
    const double at = std::log(stairs[i].total.loss + floor);
    if (at > next && i + 1 < stairs.size()) continue;
    kept.push_back(stairs[i]);
    next = std::min(at, next) - (top - bottom) / static_cast<double>(most - 1);
  }
  return kept;
}

class Search {
 public:
  explicit Search(const Problem& problem) : problem_(problem), fixed_(problem.fixed) {
    for (const Layer& layer : problem.layers) {
      LOWBIT_CHECK(layer.candidates.size() == layer.choices.size() && !layer.choices.empty());
      choices_.push_back(layer.choices);
    }
    drop_times();
  }

  Outcome run() {
    const std::vector<Assignment> all = solve();
    if (all.empty()) {
      smallest_only();
    } else if (problem_.target.max_drop) {
      find_smallest(all);
    } else {
      find_best(all);
    }
    finish();
    return std::move(outcome_);
  }

 private:
  /// Times that nobody asked for would only make the front larger.
  void drop_times() {
    for (std::vector<Choice>& layer : choices_)
      for (Choice& choice : layer)
        if (!problem_.target.max_ms) choice.ms = 0;
  }

  Limits limits() const {
    Limits limits;
    if (problem_.target.max_bytes) limits.bytes = *problem_.target.max_bytes - fixed_.bytes;
    if (problem_.target.max_ms) limits.ms = *problem_.target.max_ms - fixed_.ms;
    return limits;
  }
  std::vector<Assignment> solve() const { return pareto_front(choices_, limits()); }

  Choice predicted(const std::vector<uint16_t>& chosen) const {
    Choice sum = fixed_;
    for (size_t l = 0; l < chosen.size(); ++l) {
      const Choice& c = choices_[l][chosen[l]];
      sum = {sum.bytes + c.bytes, sum.ms + c.ms, sum.loss + c.loss};
    }
    return sum;
  }

  bool spent() {
    const auto done = static_cast<int64_t>(outcome_.trials.size());
    if (done == 0) return false;
    const bool over = done >= problem_.most_evaluations || (problem_.stop && problem_.stop());
    outcome_.budget_spent = outcome_.budget_spent || over;
    return over;
  }

  std::optional<size_t> tried(const std::vector<uint16_t>& chosen) const {
    for (size_t t = 0; t < outcome_.trials.size(); ++t)
      if (outcome_.trials[t].chosen == chosen) return t;
    return std::nullopt;
  }

  /// The index of the trial; nothing if the budget is spent.
  std::optional<size_t> attempt(const std::vector<uint16_t>& chosen, std::string why) {
    if (const auto known = tried(chosen)) return known;
    if (spent()) return std::nullopt;
    Trial trial{chosen, predicted(chosen), problem_.evaluate(chosen), std::move(why)};
    outcome_.trials.push_back(std::move(trial));
    choose_best();
    if (problem_.progress) problem_.progress(outcome_.trials.back(), outcome_.best);
    return outcome_.trials.size() - 1;
  }

  bool keeps_limits(const Measured& m) const {
    return (!problem_.target.max_bytes || m.bytes <= *problem_.target.max_bytes) &&
           (!problem_.target.max_ms || m.ms <= *problem_.target.max_ms);
  }
  bool meets(const Measured& m) const {
    const double most = *problem_.target.max_drop;
    return keeps_limits(m) && (outcome_.interval_decided ? m.drop.ci95.high : m.drop.value) <= most;
  }

  /// Limits first; then, with a target for the drop, the smallest that meets it, else the least loss.
  bool better(const Measured& a, const Measured& b) const {
    if (keeps_limits(a) != keeps_limits(b)) return keeps_limits(a);
    if (!keeps_limits(a)) return overshoot(a) < overshoot(b);
    if (problem_.target.max_drop) {
      if (meets(a) != meets(b)) return meets(a);
      if (meets(a)) return a.bytes != b.bytes ? a.bytes < b.bytes : a.drop.loss < b.drop.loss;
    }
    return a.drop.loss < b.drop.loss;
  }
  double overshoot(const Measured& m) const {
    const auto over = [](double value, const std::optional<double>& most) {
      return most && value > *most ? value / std::max(*most, 1e-12) : 0.0;
    };
    return over(m.bytes, problem_.target.max_bytes) + over(m.ms, problem_.target.max_ms);
  }

  void choose_best() {
    outcome_.best = 0;
    for (size_t t = 1; t < outcome_.trials.size(); ++t)
      if (better(outcome_.trials[t].measured, outcome_.trials[outcome_.best].measured)) outcome_.best = t;
  }

  /// Nothing is within the limits: what is nearest to them.
  void smallest_only() {
    std::vector<uint16_t> chosen;
    for (const std::vector<Choice>& layer : choices_) {
      const auto cost = [&](const Choice& c) {
        return (problem_.target.max_bytes ? c.bytes / std::max(*problem_.target.max_bytes, 1e-12) : 0.0) +
               (problem_.target.max_ms ? c.ms / std::max(*problem_.target.max_ms, 1e-12) : 0.0);
      };
      chosen.push_back(static_cast<uint16_t>(std::min_element(layer.begin(), layer.end(),
                                                              [&](const Choice& a, const Choice& b) {
                                                                return cost(a) != cost(b) ? cost(a) < cost(b)
                                                                                          : a.loss < b.loss;
                                                              }) -
                                             layer.begin()));
    }
    attempt(chosen, "nearest to the limits");
    outcome_.notes.push_back("no choice of the candidates is within the limits: the nearest one was taken");
  }

  void find_smallest(const std::vector<Assignment>& all) {
    const std::vector<Assignment> rungs = thinned(all, kRungs);
    const size_t top = *attempt(rungs.back().chosen, "the least loss");
    const Drop& drop = outcome_.trials[top].measured.drop;
    if (judge(drop, *problem_.target.max_drop) == Verdict::not_shown) outcome_.interval_decided = false;
    choose_best();
    if (!meets(outcome_.trials[top].measured)) return;
    bisect(rungs, "bisection");
    for (int round = 0; round < kCorrections && correct(); ++round) {
      // Only what is smaller than the best so far is of interest now.
      std::vector<Assignment> smaller = thinned(solve(), kRungs);
      const double bytes = outcome_.trials[outcome_.best].predicted.bytes - fixed_.bytes;
      std::erase_if(smaller, [&](const Assignment& a) { return a.total.bytes >= bytes; });
      const size_t before = outcome_.best;
      if (!smaller.empty()) bisect(smaller, "corrected losses");
      if (outcome_.best == before) break;
    }
    try_neighbours();
  }

  /// Between rungs that fail and rungs that meet the target; leaves the smallest that meets it in outcome_.best.
  void bisect(const std::vector<Assignment>& rungs, const char* why) {
    size_t low = 0, high = rungs.size();  // all from high on are taken to meet it
    while (low < high) {
      const size_t middle = low + (high - low) / 2;
      const auto trial = attempt(rungs[middle].chosen, why);
      if (!trial) return;
      if (meets(outcome_.trials[*trial].measured))
        high = middle;
      else
        low = middle + 1;
    }
  }

  void find_best(const std::vector<Assignment>& all) {
    attempt(least_loss(all).chosen, "the least predicted loss");
    adjust_fixed();
    try_uniform();
    for (int round = 0; round < kCorrections; ++round) {
      if (!correct()) break;
      const std::vector<Assignment> again = solve();
      if (again.empty()) break;
      const auto known = outcome_.trials.size();
      attempt(least_loss(again).chosen, "corrected losses");
      adjust_fixed();
      if (outcome_.trials.size() == known) break;
    }
    try_neighbours();
  }

  static const Assignment& least_loss(const std::vector<Assignment>& front) {
    return *std::min_element(front.begin(), front.end(),
                             [](const Assignment& a, const Assignment& b) { return a.total.loss < b.total.loss; });
  }

  /// Predicted bytes and times that turned out too low move the limits.
  void adjust_fixed() {
    for (int attempt_left = 3; attempt_left > 0; --attempt_left) {
      const Trial& last = outcome_.trials.back();
      if (keeps_limits(last.measured)) return;
      const Choice guess = predicted(last.chosen);
      if (last.measured.bytes > guess.bytes) fixed_.bytes += last.measured.bytes - guess.bytes;
      if (problem_.target.max_ms && last.measured.ms > guess.ms) fixed_.ms += last.measured.ms - guess.ms;
      const std::vector<Assignment> again = solve();
      if (again.empty()) return;
      const size_t known = outcome_.trials.size();
      attempt(least_loss(again).chosen, "limits corrected by what was written");
      if (outcome_.trials.size() == known) return;
    }
  }

  /// The best of the assignments that give all layers the same: what a mixed one has to beat.
  void try_uniform() {
    std::vector<std::pair<double, std::vector<uint16_t>>> fitting;
    for (const std::string& candidate : problem_.layers.front().candidates) {
      const auto chosen = uniform(problem_.layers, candidate);
      if (!chosen) continue;
      const Choice total = predicted(*chosen);
      if (keeps_limits({{}, total.bytes, total.ms})) fitting.emplace_back(total.loss, *chosen);
    }
    if (fitting.empty()) return;
    const auto best = std::min_element(fitting.begin(), fitting.end());
    attempt(best->second, "uniform " + problem_.layers.front().candidates[best->second.front()]);
  }

  bool correct() {
    if (outcome_.trials.size() < 2) return false;
    const std::vector<std::vector<Choice>> before = choices_;
    choices_ = corrected_losses(problem_.layers, outcome_.trials);
    drop_times();
    for (size_t l = 0; l < choices_.size(); ++l)
      for (size_t c = 0; c < choices_[l].size(); ++c)
        if (choices_[l][c].loss != before[l][c].loss) return true;
    return false;
  }

  /// Steps of one or two layers from the best, likeliest first, as long as they help.
  void try_neighbours() {
    int left = kMostNeighbours;
    while (left-- > 0 && !spent()) {
      const size_t before = outcome_.best;
      const auto next = best_neighbour();
      if (!next || !attempt(*next, "neighbour of the best")) return;
      if (outcome_.best != before) left = kMostNeighbours;
      correct();
    }
  }

  /// What a step changes, predicted.
  struct Step {
    double bytes = 0, ms = 0, loss = 0;
    size_t layer = 0;
    uint16_t choice = 0;
  };

  std::vector<Step> single_steps(const std::vector<uint16_t>& from) const {
    std::vector<Step> steps = {{}};  // the step that changes nothing, so that pairs hold single ones
    steps.front().layer = choices_.size();
    for (size_t l = 0; l < choices_.size(); ++l)
      for (size_t c = 0; c < choices_[l].size(); ++c) {
        const Choice &old = choices_[l][from[l]], &now = choices_[l][c];
        if (c != from[l])
          steps.push_back({now.bytes - old.bytes, now.ms - old.ms, now.loss - old.loss, l, static_cast<uint16_t>(c)});
      }
    return steps;
  }

  /// How promising a step is: loss that goes away, or bytes saved for the loss that they cost; 0: not at all.
  double promise(double bytes, double ms, double loss, const Measured& now) const {
    const auto over = [](double value, const std::optional<double>& most) { return most && value > *most; };
    if (over(now.bytes + bytes, problem_.target.max_bytes) || over(now.ms + ms, problem_.target.max_ms)) return 0;
    if (!problem_.target.max_drop) return std::max(0.0, -loss);
    const double room = now.drop.loss * 1e-3;
    return bytes < 0 ? -bytes / std::max(loss, room > 0 ? room : 1e-12) : 0;
  }

  std::optional<std::vector<uint16_t>> best_neighbour() const {
    const Trial& best = outcome_.trials[outcome_.best];
    const std::vector<Step> steps = single_steps(best.chosen);
    double most = 0;
    std::optional<std::vector<uint16_t>> found;
    for (size_t a = 1; a < steps.size(); ++a)
      for (size_t b = 0; b < a; ++b) {
        if (steps[a].layer == steps[b].layer) continue;
        const double worth = promise(steps[a].bytes + steps[b].bytes, steps[a].ms + steps[b].ms,
                                     steps[a].loss + steps[b].loss, best.measured);
        if (!(worth > most)) continue;
        std::vector<uint16_t> chosen = best.chosen;
        chosen[steps[a].layer] = steps[a].choice;
        if (b > 0) chosen[steps[b].layer] = steps[b].choice;
        if (tried(chosen)) continue;
        most = worth;
        found = std::move(chosen);
      }
    return found;
  }

  void finish() {
    choose_best();
    const Trial& best = outcome_.trials[outcome_.best];
    outcome_.within_limits = keeps_limits(best.measured);
    if (problem_.target.max_drop) make_ladder();
    for (Assignment& a : thinned(pareto_front(choices_), kReportedPoints)) {
      a.total = predicted(a.chosen);
      outcome_.front.push_back(std::move(a));
    }
    Limits at_best = limits();
    at_best.bytes = std::min(at_best.bytes, predicted(best.chosen).bytes - fixed_.bytes);
    const double bound = lower_bound(choices_, at_best), loss = predicted(best.chosen).loss - fixed_.loss;
    outcome_.gap = std::isfinite(bound) && bound > 0 ? std::max(0.0, loss / bound - 1) : 0;
  }

  /// Trials that met the target, each smaller than the one before: the safest, one between, the best.
  void make_ladder() {
    std::vector<size_t> met;
    for (size_t t = 0; t < outcome_.trials.size(); ++t)
      if (meets(outcome_.trials[t].measured)) met.push_back(t);
    const auto& trials = outcome_.trials;
    std::sort(met.begin(), met.end(),
              [&](size_t a, size_t b) { return trials[a].measured.drop.loss < trials[b].measured.drop.loss; });
    // Of rising loss and falling bytes, so that each step risks more and gains something.
    std::vector<size_t> stairs;
    for (const size_t t : met)
      if (stairs.empty() || trials[t].measured.bytes < trials[stairs.back()].measured.bytes) stairs.push_back(t);
    if (stairs.empty()) return;
    const size_t n = stairs.size();
    for (size_t i = 0; i < std::min(n, kLadder); ++i)
      outcome_.ladder.push_back(stairs[n <= kLadder ? i : i * (n - 1) / (kLadder - 1)]);
  }

  const Problem& problem_;
  Choice fixed_;
  std::vector<std::vector<Choice>> choices_;  ///< with corrected losses
  Outcome outcome_;
};

}  // namespace

Outcome run_search(const Problem& problem) {
  LOWBIT_CHECK(!problem.layers.empty() && problem.evaluate && problem.most_evaluations >= 1);
  return Search(problem).run();
}

std::optional<std::vector<uint16_t>> uniform(const std::vector<Layer>& layers, const std::string& candidate) {
  std::vector<uint16_t> chosen;
  for (const Layer& layer : layers) {
    const auto found = std::find(layer.candidates.begin(), layer.candidates.end(), candidate);
    if (found == layer.candidates.end()) return std::nullopt;
    chosen.push_back(static_cast<uint16_t>(found - layer.candidates.begin()));
  }
  return chosen;
}

std::vector<size_t> measured_front(const std::vector<Trial>& trials) {
  std::vector<size_t> order(trials.size());
  for (size_t t = 0; t < trials.size(); ++t) order[t] = t;
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const Measured &x = trials[a].measured, &y = trials[b].measured;
    return x.bytes != y.bytes ? x.bytes < y.bytes : x.drop.value < y.drop.value;
  });
  std::vector<size_t> front;
  for (const size_t t : order)
    if (front.empty() || trials[t].measured.drop.value < trials[front.back()].measured.drop.value) front.push_back(t);
  return front;
}

}  // namespace lowbit::search
