// html_weights.h: the weights of a model as one HTML page: for each tensor its histogram with the levels of the best
// number system drawn in, and a table of what every system would make of it. Needs nothing else, as html_report.h.
#pragma once

#include <string>
#include <vector>

namespace lowbit {

struct WeightPage {
  struct Row {
    std::string system, granularity;
    double sqnr_db = 0, bits = 0;
    bool best = false;
  };
  struct Figure {
    std::string name, shape;
    std::string facts;           ///< "5,184 weights, range of channels 1 : 8.1 ..."
    std::vector<double> counts;  ///< uniform bins over [low, high]
    double low = 0, high = 0;
    std::string level_system;  ///< whose levels are drawn
    std::vector<double> levels;
    std::vector<Row> rows;  ///< best first
  };
  std::string title, source, version;
  int bits = 4;
  std::string sentence;    ///< what stands out
  std::vector<Row> model;  ///< the whole model, best first
  std::vector<Figure> figures;
};

std::string to_html(const WeightPage& page);

}  // namespace lowbit
