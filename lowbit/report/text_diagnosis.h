// text_diagnosis.h: what a comparison found, for a terminal: figures of each layer, where the error comes in, and the
// causes in words with the command that is to be tried.
#pragma once

#include <span>
#include <string>

#include "lowbit/core/diagnosis.h"

namespace lowbit {

/// "The activations do most of the damage: ..." from the two halves; empty if they were not measured.
std::string halves_sentence(const Diagnosis& diagnosis);
/// The layer where the propagated error grows most, in words; empty if none stands out.
std::string entry_sentence(const Diagnosis& diagnosis);
/// Range use, codes, clipping, saturation, imbalance, tail, shift: one row a layer, in graph order.
std::string figures_text(std::span<const LayerFigures> layers);
/// All findings, worst first, with their commands.
std::string findings_text(const Diagnosis& diagnosis);

}  // namespace lowbit
