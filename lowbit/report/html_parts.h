// html_parts.h: the pieces of the HTML report, one function a section. Each returns markup that is complete in itself.
#pragma once

#include <string>
#include <string_view>

#include "lowbit/report/html_report.h"

namespace lowbit::html {

/// Style sheet and script (html_style.cpp).
std::string_view style();
std::string_view script();

/// The first thing one sees: a sentence, then cards with the figures.
std::string verdict(const HtmlReport& report);
/// Both models, every metric.
std::string models(const HtmlReport& report);
/// What stands out, in words, with the flags that address it.
std::string findings(const HtmlReport& report);
/// The sortable table of every node.
std::string ledger(const Coverage& coverage);
/// Bars: SQNR of the weights, of each layer alone and of everything so far.
std::string error_bars(const HtmlReport& report);
/// Range use, clipping and the like of every layer, folded away.
std::string figures(const std::vector<LayerFigures>& layers);
/// The network with colours by bits.
std::string graph(const std::vector<DrawnNode>& nodes);
/// Samples on which the models disagree.
std::string examples(const Disagreements& disagreements);
/// Small multiples of histograms with the range of the codes.
std::string distributions(const std::vector<Distribution>& distributions);
/// How to make this again.
std::string manifest(const HtmlReport& report);

}  // namespace lowbit::html
