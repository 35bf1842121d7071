#include "cli/data_flags.h"

#include "lowbit/api/container.h"
#include "lowbit/api/runner.h"
#include "lowbit/base/error.h"
#include "lowbit/base/file.h"
#include "lowbit/base/text.h"

namespace lowbit::cli {

void add_data_options(CLI::App& app, DataFlags& flags, const char* help, bool required) {
  app.add_option("--data", flags.data, help)->type_name("DATA")->required(required);
  app.add_option("--labels", flags.labels, "Labels of a .npy data file")->type_name("FILE.npy");
  app.add_option("--classes", flags.classes, "Class names, one a line, in label order")->type_name("FILE");
  app.add_option("--preprocess", flags.preprocess,
                 "How pictures become inputs: a file, or pairs as color=rgb,resize=96x96,range=0..1,layout=nhwc")
      ->type_name("FILE|SPEC");
  app.add_option("--slice", flags.slice, "Rows to use, as numpy writes them: 0::2 for even ones")
      ->type_name("START:STOP:STEP");
  app.add_option("--limit", flags.limit, "Use the first N samples only")->type_name("N")->check(CLI::PositiveNumber);
}

std::string find_preprocess(const std::string& model) {
  const size_t name_begin = model.find_last_of('/') == std::string::npos ? 0 : model.find_last_of('/') + 1;
  for (std::string stem = model;;) {
    if (const std::string candidate = stem + ".preprocess"; file_exists(candidate)) return candidate;
    const size_t dot = stem.find_last_of('.');
    if (dot == std::string::npos || dot <= name_begin) return "";
    stem.resize(dot);
  }
}

std::string preprocess_for(const std::string& model, const DataFlags& flags) {
  if (!flags.preprocess.empty()) return flags.preprocess;
  const std::string stored = stored_preprocessing(model);
  return stored.empty() ? find_preprocess(model) : stored;
}

namespace {

/// Errors that do not say what they are about get the name of the data.
template <typename Task>
auto about_data(const std::string& name, Task task) {
  try {
    return task();
  } catch (const Error& error) {
    if (!error.where().empty()) throw;
    throw Error(error.code(), error.message(), printable(name, 200));
  }
}

}  // namespace

std::unique_ptr<DataSet> open_data_for(const std::string& model, const DataFlags& flags,
                                       std::optional<uint64_t> shuffle_seed,
                                       std::optional<CorruptionChoice> corruption) {
  DataOptions options;
  options.labels = flags.labels;
  options.classes = flags.classes;
  options.limit = flags.limit;
  options.shuffle_seed = shuffle_seed;
  options.corruption = corruption;
  if (!flags.slice.empty()) options.slice = parse_slice(flags.slice);
  const bool arrays = flags.data.ends_with(".npy") || flags.data.ends_with(".npz");
  const std::string preprocess = preprocess_for(model, flags);
  if (!preprocess.empty() && (!arrays || !flags.preprocess.empty())) options.preprocess = parse_preprocess(preprocess);
  return about_data(flags.data, [&] { return open_data(flags.data, options); });
}

void check_data_fit(const Graph& graph, const DataSet& data, const std::string& name) {
  about_data(name, [&] { return bind_inputs(graph, data.read(0, 1)); });
}

}  // namespace lowbit::cli
