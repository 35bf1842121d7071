// recipe.h: everything a user can decide about a quantization, as a plain struct. Written and read as TOML by
// api/recipe_file.h; every automatic choice ends up in one, so that any result can be made again with --recipe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "lowbit/observe/range.h"

namespace lowbit {

/// What may differ between layers. Names of number systems are those of the command line; "none" = stay float.
struct LayerSettings {
  std::optional<std::string> weights, activations, granularity, range;
};

/// Overrides for the layers whose name (or operator as "op:Conv") matches a glob. Later rules win.
struct LayerRule {
  std::string match;
  LayerSettings settings;
};

struct Recipe {
  std::string weights = "int8";       ///< constant weights; auto:N chooses for each layer, N bits on average
  std::string activations = "uint8";  ///< values between layers; "none": weights only
  /// of the weights: tensor, channel, group:N, block:RxC; default: the number system's own, channel if it has none
  std::string granularity = "default";
  std::string range = "adaptive";       ///< activation range rule (observe/range.h)
  std::string weight_range = "minmax";  ///< minmax, mse or weighted (mse by input channels), for the weights
  std::string rounding = "nearest";     ///< nearest, stochastic:SEED
  /// asymmetric (fitted zero point), symmetric, or mixed: whichever has the smaller measured error, tensor by tensor
  std::string symmetry = "asymmetric";
  /// In this order; names of methods/list.cpp with options, as "gptq:damping=0.1". "default": methods/defaults.h
  std::vector<std::string> methods = {"default"};
  std::vector<std::string> include, exclude;  ///< globs over layer names, or "op:NAME"
  std::vector<LayerRule> rules;
  bool quantize_inputs = true;    ///< float network inputs get a quantize step
  bool quantize_outputs = false;  ///< the last layer's result stays as exact as its accumulator
  int64_t samples = 0;            ///< calibration samples; 0: as many as the methods want
  uint64_t seed = 1;
};

}  // namespace lowbit
