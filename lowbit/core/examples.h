// examples.h: samples on which a float and a low-bit model decide differently, as a report shows them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace lowbit {

struct Example {
  std::string name;                           ///< file or row
  std::string label;                          ///< the true class; empty if not known
  std::string float_class, low_bit_class;     ///< names, or numbers where there are no names
  double float_score = 0, low_bit_score = 0;  ///< of the class that the model decided for
  bool float_right = false, low_bit_right = false;
  int64_t width = 0, height = 0;
  std::vector<std::byte> jpeg;             ///< the input as a picture; empty if it is none
  std::vector<std::vector<float>> series;  ///< else the input over time, one line a channel; may be empty
};

struct Disagreements {
  int64_t samples = 0, differing = 0;
  int64_t float_only_right = 0, low_bit_only_right = 0;  ///< of the differing ones, with labels
  std::vector<Example> examples;                         ///< some of them
};

}  // namespace lowbit
