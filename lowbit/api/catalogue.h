// catalogue.h: what this build can do, read from the tables that the code itself uses.
#pragma once

#include <string>
#include <vector>

namespace lowbit {

/// One row of a table: cells in the order of the headings.
struct Catalogue {
  std::string topic;
  std::vector<std::string> headings;
  std::vector<std::vector<std::string>> rows;
};

/// "ops", "methods", "numbers", "formats", "kernels", "rules", "corruptions".
const std::vector<std::string>& catalogue_topics();
/// Throws Error{bad_argument} with the nearest topics.
Catalogue read_catalogue(const std::string& topic);

/// "instruction set: avx2 (this machine has ref, avx2)\n"; LOWBIT_ISA chooses another.
std::string instruction_set_text();

}  // namespace lowbit
