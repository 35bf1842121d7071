// shifted_report.h: accuracy on damaged data as text, JSON and HTML.
#pragma once

#include <string>

#include "lowbit/core/shifted.h"
#include "lowbit/report/json_report.h"

namespace lowbit {

/// One row a kind of damage (mean over the strengths), then the difference at each strength.
std::string shifted_text(const ShiftedEvaluation& evaluation);
/// {reference, file, samples, clean, overall, kinds[], cells[]}; shares are fractions of 1.
Json to_json(const ShiftedEvaluation& evaluation);

namespace html {

/// A table with a colour for each difference; empty without cells.
std::string shifted(const ShiftedEvaluation& evaluation);

}  // namespace html
}  // namespace lowbit
