// json_report.h: measurements as JSON with the key names of the command line's contract. Numbers that are not finite
// become null: JSON has no infinity.
#pragma once

#include <nlohmann/json.hpp>

#include "lowbit/core/diagnosis.h"
#include "lowbit/core/measurements.h"

namespace lowbit {

using Json = nlohmann::ordered_json;

/// `value`, or null if it is not finite.
Json json_number(double value);
Json to_json(const TensorError& error);
/// One entry of `layers` of `lowbit quantize`.
Json to_json(const LayerDecision& layer);
/// {quantized_share_macs, quantized_share_bytes, kept[{name,op,reason}]}
Json to_json(const Coverage& coverage);
Json to_json(const ModelEvaluation& evaluation);
/// One entry of `layers` of `lowbit compare`: the accumulated error on top, the layer's own as "local".
Json to_json(const LayerError& layer);
Json to_json(const BenchResult& result);
Json to_json(const Finding& finding);
/// {weights_only, activations_only, findings, figures, propagation, incomparable, rescaled}
Json to_json(const Diagnosis& diagnosis);

/// Indented text, pure ASCII (so that a name cannot smuggle control characters onto a terminal), ended by a line feed.
std::string json_text(const Json& json);

}  // namespace lowbit
