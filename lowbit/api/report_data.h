// report_data.h: gathers what the HTML report draws from the result of a quantization.
#pragma once

#include "lowbit/api/quantize.h"
#include "lowbit/report/html_report.h"

namespace lowbit {

/// How the values of every low-bit tensor are spread (weights from the graph, activations from the statistics), with
/// the range that their codes represent. In graph order, weights first.
std::vector<Distribution> collect_distributions(const Graph& graph, const StatisticsSet& statistics);

/// The lowest and the highest real value that any group of an annotation can represent.
Interval representable_range(const Quantization& quantization);
/// The same, half a step wider: values in it are rounded, values outside it are clipped.
Interval unclipped_range(const Quantization& quantization);

}  // namespace lowbit
