// data_flags.h: the options that say which data to use and how to prepare them, shared by all commands that read data.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "lowbit/core/graph.h"
#include "lowbit/data/dataset.h"

namespace lowbit::cli {

struct DataFlags {
  std::string data, labels, classes, preprocess, slice;
  std::optional<int64_t> limit;

  bool given() const { return !data.empty(); }
};

/// Adds --data, --labels, --classes, --preprocess, --slice and --limit. `help` says what --data is used for.
void add_data_options(CLI::App& app, DataFlags& flags, const char* help, bool required);

/// Opens the data for a model. Without --preprocess, what the model carries (a container) or a file MODEL.preprocess
/// beside it is used for pictures.
std::unique_ptr<DataSet> open_data_for(const std::string& model, const DataFlags& flags,
                                       std::optional<uint64_t> shuffle_seed = std::nullopt,
                                       std::optional<CorruptionChoice> corruption = std::nullopt);

/// Throws Error{bad_file} that names the data if the model cannot take them: tells at once, before anything is
/// computed.
void check_data_fit(const Graph& graph, const DataSet& data, const std::string& name);

/// "" or the file beside the model that says how to prepare its inputs: for a/model.int8.onnx the first that exists of
/// a/model.int8.onnx.preprocess, a/model.int8.preprocess, a/model.preprocess.
std::string find_preprocess(const std::string& model);

/// File or pairs that say how to prepare the inputs of a model: of --preprocess, of the model itself, of the file
/// beside it; empty if there is none.
std::string preprocess_for(const std::string& model, const DataFlags& flags);

}  // namespace lowbit::cli
