#include "lowbit/search/choices.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "lowbit/base/error.h"

namespace lowbit::search {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// A partial assignment; the choices are found by going back through the parents.
struct Label {
  Choice total;
  uint32_t parent = 0;
  uint16_t choice = 0;
};

bool cheaper(const Choice& a, const Choice& b) {
  if (a.bytes != b.bytes) return a.bytes < b.bytes;
  if (a.ms != b.ms) return a.ms < b.ms;
  return a.loss < b.loss;
}

/// Drops what another label beats or equals in everything; leaves them by rising bytes, time, loss.
void drop_dominated(std::vector<Label>& labels) {
  std::stable_sort(labels.begin(), labels.end(),
                   [](const Label& a, const Label& b) { return cheaper(a.total, b.total); });
  // steps[t] = the least loss of a kept label that takes at most t; falls strictly with t.
  std::map<double, double> steps;
  size_t kept = 0;
  for (const Label& label : labels) {
    const Choice& now = label.total;
    auto above = steps.upper_bound(now.ms);
    if (above != steps.begin() && std::prev(above)->second <= now.loss) continue;
    while (above != steps.end() && above->second >= now.loss) above = steps.erase(above);
    steps[now.ms] = now.loss;
    labels[kept++] = label;
  }
  labels.resize(kept);
}

/// Keeps the label of least loss of each cell of a grid over bytes and time, and of the cheapest in each.
void thin(std::vector<Label>& labels, size_t most) {
  if (labels.size() <= most) return;
  Choice low = labels[0].total, high = low;
  for (const Label& label : labels) {
    low = {std::min(low.bytes, label.total.bytes), std::min(low.ms, label.total.ms), 0};
    high = {std::max(high.bytes, label.total.bytes), std::max(high.ms, label.total.ms), 0};
  }
  const bool timed = high.ms > low.ms;
  const double cells = timed ? std::floor(std::sqrt(static_cast<double>(most))) : static_cast<double>(most);
  const auto cell = [cells](double x, double from, double to) {
    return to > from ? std::min(cells - 1, std::floor((x - from) / (to - from) * cells)) : 0.0;
  };
  std::map<std::pair<double, double>, Label> best;
  for (const Label& label : labels) {
    const std::pair<double, double> key{cell(label.total.bytes, low.bytes, high.bytes),
                                        cell(label.total.ms, low.ms, high.ms)};
    const auto [found, added] = best.emplace(key, label);
    if (!added && label.total.loss < found->second.total.loss) found->second = label;
  }
  const Label least_bytes = labels.front();
  const Label least_ms = *std::min_element(labels.begin(), labels.end(),
                                           [](const Label& a, const Label& b) { return a.total.ms < b.total.ms; });
  labels = {least_bytes, least_ms};
  for (const auto& [key, label] : best) labels.push_back(label);
  drop_dominated(labels);
}

void check(std::span<const std::vector<Choice>> layers) {
  const auto sound = [](double x) { return std::isfinite(x) && x >= 0; };
  for (const std::vector<Choice>& layer : layers) {
    LOWBIT_CHECK(!layer.empty() && layer.size() < 65536);
    for (const Choice& choice : layer) LOWBIT_CHECK(sound(choice.bytes) && sound(choice.ms) && sound(choice.loss));
  }
}

/// rest[l]: the least bytes and time that the layers from l on need.
std::vector<Choice> least_rest(std::span<const std::vector<Choice>> layers) {
  std::vector<Choice> rest(layers.size() + 1);
  for (size_t l = layers.size(); l-- > 0;) {
    double bytes = kInfinity, ms = kInfinity;
    for (const Choice& choice : layers[l]) bytes = std::min(bytes, choice.bytes), ms = std::min(ms, choice.ms);
    rest[l] = {rest[l + 1].bytes + bytes, rest[l + 1].ms + ms, 0};
  }
  return rest;
}

/// Maximum of a concave function of x >= 0 that starts at x = 0.
template <typename Function>
double maximum(const Function& f) {
  double high = 1e-12, best = f(0.0);
  for (double last = f(high); high < 1e18; high *= 4) {  // until it falls
    const double next = f(4 * high);
    best = std::max({best, last, next});
    if (!(next > last + 1e-9 * std::abs(last))) break;  // also where only rounding makes it grow
    last = next;
  }
  double from = 0, to = 16 * high;
  constexpr double kGolden = 0.6180339887498949;
  for (int i = 0; i < 60; ++i) {
    const double a = to - kGolden * (to - from), b = from + kGolden * (to - from);
    const double at_a = f(a), at_b = f(b);
    best = std::max({best, at_a, at_b});
    (at_a < at_b ? from : to) = at_a < at_b ? a : b;
  }
  return best;
}

}  // namespace

std::vector<Assignment> pareto_front(std::span<const std::vector<Choice>> layers, const Limits& limits,
                                     size_t most_labels) {
  check(layers);
  const std::vector<Choice> rest = least_rest(layers);
  std::vector<std::vector<Label>> stages = {{Label{}}};
  for (size_t l = 0; l < layers.size(); ++l) {
    std::vector<Label> next;
    for (size_t parent = 0; parent < stages[l].size(); ++parent)
      for (size_t c = 0; c < layers[l].size(); ++c) {
        const Choice &sum = stages[l][parent].total, &add = layers[l][c];
        const Choice total{sum.bytes + add.bytes, sum.ms + add.ms, sum.loss + add.loss};
        if (total.bytes + rest[l + 1].bytes > limits.bytes || total.ms + rest[l + 1].ms > limits.ms) continue;
        next.push_back({total, static_cast<uint32_t>(parent), static_cast<uint16_t>(c)});
      }
    if (next.empty()) return {};
    drop_dominated(next);
    thin(next, most_labels);
    stages.push_back(std::move(next));
  }
  std::vector<Assignment> front;
  for (const Label& last : stages.back()) {
    Assignment assignment{std::vector<uint16_t>(layers.size()), last.total};
    const Label* label = &last;
    for (size_t l = layers.size(); l-- > 0; label = &stages[l][label->parent]) assignment.chosen[l] = label->choice;
    front.push_back(std::move(assignment));
  }
  return front;
}

double lower_bound(std::span<const std::vector<Choice>> layers, const Limits& limits) {
  check(layers);
  const Choice least = least_rest(layers)[0];
  if (least.bytes > limits.bytes || least.ms > limits.ms) return kInfinity;
  const auto dual = [&](double per_byte, double per_ms) {
    double sum = 0;
    if (per_byte > 0) sum -= per_byte * limits.bytes;
    if (per_ms > 0) sum -= per_ms * limits.ms;
    for (const std::vector<Choice>& layer : layers) {
      double best = kInfinity;
      for (const Choice& c : layer) best = std::min(best, c.loss + per_byte * c.bytes + per_ms * c.ms);
      sum += best;
    }
    return sum;
  };
  const bool bytes = std::isfinite(limits.bytes), ms = std::isfinite(limits.ms);
  if (bytes && ms)
    return maximum([&](double per_ms) { return maximum([&](double per_byte) { return dual(per_byte, per_ms); }); });
  if (bytes) return maximum([&](double per_byte) { return dual(per_byte, 0); });
  if (ms) return maximum([&](double per_ms) { return dual(0, per_ms); });
  return dual(0, 0);
}

}  // namespace lowbit::search
