// correction.h: predicted losses brought nearer to measured ones. The loss of an evaluated assignment is modelled as
// c + sum over candidates s of a_s * (predicted loss of the layers that chose s): predictions of single layers miss how
// far a number system's error is carried on, which is much the same for all layers.
#pragma once

#include <span>
#include <vector>

#include "lowbit/search/search.h"

namespace lowbit::search {

/// The layers' choices with each loss multiplied by the a_s of its candidate: the a >= 0.1 (<= 10) and c >= 0 that have
/// the least squared relative error over the trials, drawn towards a = 1. Deterministic.
std::vector<std::vector<Choice>> corrected_losses(const std::vector<Layer>& layers, std::span<const Trial> trials);

}  // namespace lowbit::search
