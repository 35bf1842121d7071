#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "cli/command_line.h"
#include "cli/output.h"
#include "cli/output_file.h"
#include "lowbit/api/inference.h"
#include "lowbit/api/quantize.h"
#include "lowbit/api/runner.h"
#include "lowbit/base/error.h"
#include "lowbit/base/file.h"
#include "lowbit/base/text.h"
#include "lowbit/formats/npy.h"
#include "lowbit/report/json_report.h"

namespace lowbit::cli {
namespace {

constexpr int64_t kShown = 8, kTop = 5, kMostJsonValues = 100'000;

/// "NAME=X.npy" or "X.npy" (an empty name).
struct NamedFile {
  std::string name, path;
};

/// Tensor names may hold '=': the name is the longest prefix that is one of `names`.
NamedFile parse_named(const std::string& text, const std::vector<std::string>& names) {
  for (size_t at = text.rfind('='); at != std::string::npos && at > 0; at = text.rfind('=', at - 1))
    if (std::find(names.begin(), names.end(), text.substr(0, at)) != names.end())
      return {text.substr(0, at), text.substr(at + 1)};
  const size_t at = text.find('=');
  if (at == std::string::npos || file_exists(text)) return {"", text};
  const std::string near = did_you_mean(text.substr(0, at), names);
  throw Error(ErrorCode::bad_argument,
              fmt::format("the model has no tensor of the name {} here ({})", printable(text.substr(0, at), 80),
                          near.empty() ? "it has " + printable(join(names, ", "), 200) : near),
              "run");
}

std::vector<std::string> port_names(const Graph& graph, const std::vector<ValueId>& ports) {
  std::vector<std::string> names;
  for (const ValueId id : ports) names.push_back(graph.value(id).name);
  return names;
}

Batch read_inputs(const Graph& graph, const std::vector<std::string>& arguments) {
  Batch batch;
  const std::vector<std::string> names = port_names(graph, graph.inputs);
  for (const std::string& argument : arguments) {
    const NamedFile file = parse_named(argument, names);
    if (file.path.ends_with(".npz")) {
      for (auto& [name, tensor] : load_npz(file.path)) batch.inputs.emplace_back(name, std::move(tensor));
    } else {
      batch.inputs.emplace_back(file.name, load_npy(file.path));
    }
  }
  return batch;
}

/// True for [classes] or [1, classes] with more than one class: something to rank.
bool looks_like_scores(const Tensor& output) {
  return is_float(output.dtype()) && output.rank() >= 1 && output.count() > 1 &&
         output.dim(output.rank() - 1) == output.count();
}

std::vector<int64_t> best(const Tensor& scores) {
  const Tensor x = to_float32(scores);
  std::vector<int64_t> order(static_cast<size_t>(x.count()));
  std::iota(order.begin(), order.end(), int64_t{0});
  const auto most = static_cast<std::ptrdiff_t>(std::min<int64_t>(kTop, x.count()));
  const auto better = [&](int64_t a, int64_t b) {
    const float u = x.data<float>()[a], v = x.data<float>()[b];
    return u != v ? u > v : a < b;
  };
  std::partial_sort(order.begin(), order.begin() + most, order.end(), better);
  order.resize(static_cast<size_t>(most));
  return order;
}

std::string output_text(const std::string& name, const Tensor& output) {
  std::string text =
      fmt::format("{}  {}[{}]", printable(name, 80), dtype_name(output.dtype()), dims_text(output.dims()));
  if (output.dtype() == DType::string) return text + "\n";
  const Tensor x = to_float32(output);
  text += "  ";
  for (int64_t i = 0; i < std::min(kShown, x.count()); ++i) text += fmt::format("{:.6g} ", x.data<float>()[i]);
  text += x.count() > kShown ? "...\n" : "\n";
  if (!looks_like_scores(output)) return text;
  for (const int64_t index : best(output)) text += fmt::format("  class {:<6} {:.6g}\n", index, x.data<float>()[index]);
  return text;
}

Json output_json(const std::string& name, const Tensor& output) {
  Json json = {{"name", name}, {"dtype", dtype_name(output.dtype())}, {"shape", output.dims()}};
  if (output.dtype() == DType::string) return json;
  const Tensor x = to_float32(output);
  if (x.count() <= kMostJsonValues) {
    json["values"] = Json::array();
    for (const float value : x.values<float>()) json["values"].push_back(json_number(value));
  }
  if (looks_like_scores(output)) json["top"] = best(output);
  return json;
}

void write_outputs(const Graph& graph, const NamedTensors& outputs, const std::vector<std::string>& arguments) {
  const std::vector<std::string> names = port_names(graph, graph.outputs);
  for (const std::string& argument : arguments) {
    NamedFile file = parse_named(argument, names);
    if (file.name.empty() && names.size() > 1)
      throw Error(ErrorCode::bad_argument,
                  fmt::format("the model has {} outputs (say which: --output NAME={})", names.size(), file.path),
                  "run");
    save_npy(outputs.find(file.name.empty() ? names[0] : file.name)->second, file.path);
  }
}

}  // namespace

int run_run(const Arguments& rest) {
  CommandLine line("run");
  std::string path;
  std::vector<std::string> inputs, outputs;
  line.add_file("MODEL", path, "Model to run");
  line.add_list("--input", inputs, "Input array; NAME=X.npy for models with several inputs")
      ->type_name("[NAME=]X.npy")
      ->required();
  line.add_list("--output", outputs, "Where to write an output; NAME=Y.npy for several")->type_name("[NAME=]Y.npy");
  if (!line.parse(rest)) return 0;
  set_subject(path);
  const Model model = open_model(path);
  for (const std::string& argument : outputs)
    check_writable(parse_named(argument, port_names(model.graph, model.graph.outputs)).path);
  ThreadPool threads(line.threads);
  Inference inference(model.graph,
                      threads);  // before the inputs: operators that cannot run are the first thing to know
  const NamedTensors results = inference.run(bind_inputs(model.graph, read_inputs(model.graph, inputs)));
  write_outputs(model.graph, results, outputs);
  Json json = Json::array();
  std::string text;
  for (const ValueId id : model.graph.outputs) {
    const std::string& name = model.graph.value(id).name;
    const Tensor& output = results.find(name)->second;
    json.push_back(output_json(name, output));
    text += output_text(name, output);
  }
  print(line.json ? json_text({{"outputs", std::move(json)}}) : text);
  return 0;
}

}  // namespace lowbit::cli
