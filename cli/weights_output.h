// weights_output.h: the survey of number systems as text and JSON.
#pragma once

#include <string>
#include <vector>

#include "lowbit/api/weight_survey.h"
#include "lowbit/report/json_report.h"

namespace lowbit::cli {

/// The whole model in each system, then the best one of each tensor.
std::string survey_text(const std::vector<WeightSurvey>& weights, int bits);

/// {"bits", "model": [...], "tensors": [{"name", "systems": [...]}]}.
Json survey_json(const std::vector<WeightSurvey>& weights, int bits);

}  // namespace lowbit::cli
