#include <fmt/format.h>

#include "lowbit/analysis/rules/rules.h"

namespace lowbit {
namespace {

std::vector<Finding> find_constant_input(const NetworkFacts& facts) {
  std::vector<Finding> findings;
  for (const ValueFacts& input : facts.inputs) {
    if (input.count < 2 || input.low != input.high) continue;
    Finding finding;
    finding.layer = input.name;
    finding.cause =
        fmt::format("this input is {:.4g} in every place of every sample: nothing can be measured with it", input.low);
    finding.advice = "check the data and --preprocess (its range, mean and std)";
    findings.push_back(std::move(finding));
  }
  return findings;
}

}  // namespace

const Rule constant_input_rule{.name = "constant-input",
                               .summary = "an input of the network never changes",
                               .threshold = "smallest = largest value over all samples",
                               .explains_error = false,
                               .layer = nullptr,
                               .network = find_constant_input};

}  // namespace lowbit
