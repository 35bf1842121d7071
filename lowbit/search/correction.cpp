#include "lowbit/search/correction.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace lowbit::search {
namespace {

constexpr double kLeastFactor = 0.1, kMostFactor = 10, kPull = 0.05;
constexpr int kSweeps = 200;

}  // namespace

std::vector<std::vector<Choice>> corrected_losses(const std::vector<Layer>& layers, std::span<const Trial> trials) {
  std::map<std::string, size_t> columns;
  for (const Layer& layer : layers)
    for (const std::string& candidate : layer.candidates) columns.emplace(candidate, columns.size());
  // Rows: share of each candidate in the predicted loss, in units of the measured one; the last column is the constant.
  std::vector<std::vector<double>> rows;
  double smallest = 0;
  for (const Trial& trial : trials)
    if (trial.measured.drop.loss > 0 && std::isfinite(trial.measured.drop.loss))
      smallest = smallest > 0 ? std::min(smallest, trial.measured.drop.loss) : trial.measured.drop.loss;
  for (const Trial& trial : trials) {
    const double measured = trial.measured.drop.loss;
    if (!(measured > 0) || !std::isfinite(measured)) continue;
    std::vector<double> row(columns.size() + 1, 0);
    for (size_t l = 0; l < layers.size(); ++l)
      row[columns[layers[l].candidates[trial.chosen[l]]]] += layers[l].choices[trial.chosen[l]].loss / measured;
    row.back() = smallest / measured;
    rows.push_back(std::move(row));
  }
  std::vector<double> factors(columns.size() + 1, 1);
  factors.back() = 0;
  for (int sweep = 0; sweep < kSweeps; ++sweep)
    for (size_t c = 0; c < factors.size(); ++c) {
      // Least squares in one factor, the others fixed: sum (1 - rest - a x)^2 + pull (a - 1)^2.
      double xx = kPull, xy = c + 1 < factors.size() ? kPull : 0;
      for (const std::vector<double>& row : rows) {
        double rest = 0;
        for (size_t k = 0; k < factors.size(); ++k) rest += k == c ? 0 : factors[k] * row[k];
        xx += row[c] * row[c];
        xy += row[c] * (1 - rest);
      }
      factors[c] =
          c + 1 < factors.size() ? std::clamp(xy / xx, kLeastFactor, kMostFactor) : std::clamp(xy / xx, 0.0, 1.0);
    }
  std::vector<std::vector<Choice>> corrected;
  for (const Layer& layer : layers) {
    corrected.push_back(layer.choices);
    for (size_t c = 0; c < layer.choices.size(); ++c) corrected.back()[c].loss *= factors[columns[layer.candidates[c]]];
  }
  return corrected;
}

}  // namespace lowbit::search
