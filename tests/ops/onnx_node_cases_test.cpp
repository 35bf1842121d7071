// ONNX's own backend node cases against the references: the broad oracle of this room. The cases are written by
// tools/onnx_node_cases.py from the PyPI package `onnx`. A case whose operators are all in the table must pass; the
// others are counted by operator, and with LOWBIT_NODE_CASES_JSON set everything is written there
// (tools/make_operators_md.py turns that into docs/operators.md).
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "lowbit/formats/format.h"
#include "lowbit/ops/evaluate.h"
#include "lowbit/ops/infer_shapes.h"
#include "lowbit/ops/op.h"

namespace lowbit {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

const fs::path kSource = LOWBIT_SOURCE_DIR;

/// Operators whose result is random: only type and shape are compared.
bool is_random(const json& description) {
  for (const std::string name : description.at("operators")) {
    const OpDef* op = find_op("", name);
    if (op && op->nondeterministic) return true;
  }
  return false;
}

std::string read_all(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Tensor read_tensor(const fs::path& folder, const json& entry) {
  const auto type = dtype_from_name(entry.at("dtype").get<std::string>());
  if (!type) throw Error(ErrorCode::unsupported, "the element type " + entry.at("dtype").get<std::string>());
  const std::string bytes = read_all(folder / entry.at("file").get<std::string>());
  const auto owner = std::make_shared<std::string>(bytes);
  return Tensor::view(*type, entry.at("dims").get<Dims>(), std::as_bytes(std::span(owner->data(), owner->size())),
                      owner);
}

/// Empty if both agree, else the first difference.
std::string difference(const Tensor& got, const Tensor& wanted, double rtol, double atol) {
  if (got.dtype() != wanted.dtype())
    return fmt::format("type {}, expected {}", dtype_name(got.dtype()), dtype_name(wanted.dtype()));
  if (got.dims() != wanted.dims())
    return fmt::format("shape {}, expected {}", dims_text(got.dims()), dims_text(wanted.dims()));
  const Tensor a = got.cast(DType::float64), b = wanted.cast(DType::float64);
  for (int64_t i = 0; i < a.count(); ++i) {
    const double x = a.data<double>()[i], y = b.data<double>()[i];
    const bool same = x == y || (std::isnan(x) && std::isnan(y)) || std::abs(x - y) <= atol + rtol * std::abs(y);
    if (!same) return fmt::format("element {} is {}, expected {}", i, x, y);
  }
  return {};
}

/// A 16-bit result is rounded at least once on each side, so both may differ by two units in the last place; by four
/// where a graph of several nodes rounds in between.
double tolerance(DType type, double rtol, size_t nodes) {
  const double units = nodes > 1 ? 4 : 2;
  if (type == DType::bfloat16) return std::max(rtol, units * 0x1p-8);
  return type == DType::float16 ? std::max(rtol, units * 0x1p-10) : rtol;
}

/// The expected Fourier transforms come from sums of ten float32 values near 1, each rounding by up to 2^-24: what is
/// zero here may be 10 * 2^-24 there.
double absolute_tolerance(const json& description) {
  const double atol = description.at("atol").get<double>();
  for (const std::string name : description.at("operators"))
    if (name == "DFT" || name == "STFT") return std::max(atol, 10 * 0x1p-24);
  return atol;
}

/// Why a case cannot be run here, or nothing.
std::string unsupported_reason(const json& description) {
  constexpr int kNewestOpset = 24;
  if (description.at("opset").get<int>() > kNewestOpset)
    return fmt::format("opset {}", description.at("opset").get<int>());
  for (const std::string name : description.at("operators")) {
    const size_t dot = name.rfind('.');
    const OpDef* op = dot == std::string::npos ? find_op("", name) : find_op(name.substr(0, dot), name.substr(dot + 1));
    if (!op || !op->reference) return "operator " + name;
  }
  for (const char* side : {"inputs", "outputs"})
    for (const json& entry : description.at(side)) {
      if (entry.contains("unsupported")) return entry.at("unsupported").get<std::string>() + " values";
      if (!dtype_from_name(entry.at("dtype").get<std::string>()))
        return "element type " + entry.at("dtype").get<std::string>();
    }
  return {};
}

/// Shapes that inference claims must be those that the evaluation gives.
std::string check_inferred(const Graph& graph, const std::vector<Tensor>& outputs) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Value& value = graph.value(graph.outputs[i]);
    if (value.dtype != DType::undefined && value.dtype != outputs[i].dtype())
      return fmt::format("inferred type {} of a {} output", dtype_name(value.dtype), dtype_name(outputs[i].dtype()));
    if (!value.shape) continue;
    if (value.shape->size() != outputs[i].dims().size()) return "inferred rank is wrong";
    for (size_t k = 0; k < value.shape->size(); ++k)
      if ((*value.shape)[k].known() && *(*value.shape)[k].size != outputs[i].dims()[k])
        return fmt::format("inferred shape {}, evaluated {}", shape_text(*value.shape), dims_text(outputs[i].dims()));
  }
  return {};
}

/// Drops what the model declares of everything but its inputs, so that inference has to find it.
void forget_shapes(Graph& graph) {
  for (size_t i = 0; i < graph.values.size(); ++i) {
    if (std::find(graph.inputs.begin(), graph.inputs.end(), static_cast<ValueId>(i)) != graph.inputs.end()) continue;
    graph.values[i].dtype = DType::undefined;
    graph.values[i].shape.reset();
  }
}

/// Empty if the case passes.
std::string run_case(const fs::path& folder, const json& description, bool accelerated) {
  Model model = load_model((folder / "model.onnx").string(), /*allow_nonfinite=*/true);
  forget_shapes(model.graph);
  infer_shapes(model.graph);
  NamedTensors inputs;
  for (const json& entry : description.at("inputs")) {
    const std::string name = entry.at("name");
    const auto id = model.graph.find_value(name);
    if (id && !model.graph.constant(*id)) inputs[name] = read_tensor(folder, entry);
  }
  ThreadPool threads(1);
  EvaluateOptions options;
  options.accelerated = accelerated;
  Evaluator evaluator(model.graph, threads, options);
  const std::vector<Tensor> outputs = evaluator.run_ordered(inputs);
  if (const std::string wrong = check_inferred(model.graph, outputs); !wrong.empty()) return wrong;
  const bool random = is_random(description);
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Tensor wanted = read_tensor(folder, description.at("outputs")[i]);
    const double infinite = std::numeric_limits<double>::infinity();
    const std::string found = difference(
        outputs[i], wanted, tolerance(wanted.dtype(), description.at("rtol").get<double>(), model.graph.nodes.size()),
        random ? infinite : absolute_tolerance(description));
    if (!found.empty()) return fmt::format("output {}: {}", i, found);
  }
  return {};
}

struct Summary {
  json cases = json::array();
  std::map<std::string, int> skipped;
  int passed = 0;
};

void add_case(Summary& summary, const fs::path& folder) {
  const json description = json::parse(read_all(folder / "case.json"));
  const std::string name = folder.filename().string();
  std::string status = "passed", reason = unsupported_reason(description);
  if (!reason.empty()) {
    status = "unsupported";
    ++summary.skipped[reason];
  } else {
    try {
      for (bool accelerated : {false, true})
        if (reason.empty()) reason = run_case(folder, description, accelerated);
      if (!reason.empty()) status = "failed";
    } catch (const Error& error) {
      reason = error.message();
      status = error.code() == ErrorCode::unsupported ? "unsupported" : "failed";
      if (status == "unsupported") ++summary.skipped[reason];
    }
  }
  if (status == "failed") ADD_FAILURE() << name << ": " << reason;
  if (status == "passed") ++summary.passed;
  summary.cases.push_back(
      {{"name", name}, {"operators", description.at("operators")}, {"status", status}, {"reason", reason}});
}

TEST(OnnxNodeCases, EverySupportedCasePasses) {
  const fs::path python = kSource / "build/venv/bin/python", cases = kSource / "build/onnx_node_cases";
  if (!fs::exists(python))
    GTEST_SKIP() << "the PyPI package onnx is not installed; `tools/setup peers` installs it into build/venv";
  const std::string command =
      fmt::format("'{}' '{}' '{}'", python.string(), (kSource / "tools/onnx_node_cases.py").string(), cases.string());
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(cases))
    if (entry.is_directory()) folders.push_back(entry.path());
  std::sort(folders.begin(), folders.end());
  ASSERT_GT(folders.size(), 1000U);
  Summary summary;
  for (const fs::path& folder : folders) add_case(summary, folder);
  fmt::print("{} of {} node cases passed\n", summary.passed, folders.size());
  for (const auto& [reason, count] : summary.skipped) fmt::print("  not supported: {} ({} cases)\n", reason, count);
  if (const char* out = std::getenv("LOWBIT_NODE_CASES_JSON")) std::ofstream(out) << summary.cases.dump(1) << "\n";
}

}  // namespace
}  // namespace lowbit
