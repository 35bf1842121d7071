// automatic_report.h: from the outcome of a search to what is reported: the verdict in words, what holds it back.
#pragma once

#include "lowbit/api/automatic.h"
#include "lowbit/search/search.h"

namespace lowbit {

struct SearchFacts {
  const search::Outcome& outcome;
  const search::Problem& problem;
  const AutomaticOptions& options;
  const std::vector<std::string>& candidates;
  search::Measure measure;
  size_t picked;             ///< trial
  const search::Drop& drop;  ///< of it, on the final data
  int64_t tests;             ///< configurations that the final data were asked about
};

SearchReport make_search_report(const SearchFacts& facts);
SearchPoint search_point(const search::Trial& trial, int number, const std::vector<std::string>& candidates);

}  // namespace lowbit
