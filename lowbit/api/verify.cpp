#include "lowbit/api/verify.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include <fmt/format.h>

#include "lowbit/api/child_process.h"
#include "lowbit/api/container.h"
#include "lowbit/api/quantize.h"
#include "lowbit/api/report_data.h"
#include "lowbit/api/runner.h"
#include "lowbit/api/verify_script.h"
#include "lowbit/base/file.h"
#include "lowbit/base/random.h"
#include "lowbit/base/text.h"
#include "lowbit/formats/format.h"
#include "lowbit/formats/npy.h"
#include "lowbit/report/json_report.h"

namespace lowbit {
namespace {

constexpr int64_t kVerifiedSamples = 8;
constexpr int kModuleMissing = 10, kNotStarted = 127;

/// A low-bit activation and the names that its codes and decoded values have in the file.
struct Probe {
  ValueId value;
  std::string codes, decoded;
};

/// Pairs of QuantizeLinear and DequantizeLinear in the file, matched with the annotated values.
std::vector<Probe> find_probes(const Graph& file, const Graph& annotated) {
  std::vector<Probe> probes;
  const auto uses = file.uses();
  for (const Node& node : file.nodes) {
    if (!node.is("QuantizeLinear") || node.input(0) == kNone || file.constant(node.inputs[0])) continue;
    std::vector<std::string> names = {file.value(node.inputs[0]).name, file.value(node.outputs[0]).name};
    for (const Graph::Use& use : uses[static_cast<size_t>(node.outputs[0])])
      if (use.position == 0 && file.nodes[static_cast<size_t>(use.node)].is("DequantizeLinear"))
        names.push_back(file.value(file.nodes[static_cast<size_t>(use.node)].output()).name);
    if (names.size() < 3) continue;
    for (const std::string& name : names) {
      const auto value = annotated.find_value(name);
      if (!value || !annotated.value(*value).quantization || annotated.value(*value).constant) continue;
      probes.push_back({*value, names[1], names[2]});
      break;
    }
  }
  return probes;
}

/// Uniform values within the calibrated range of each input (0..1 where there is none).
Batch random_batch(const Graph& graph, int64_t samples, uint64_t seed, int64_t first) {
  Batch batch;
  for (const ValueId id : graph.inputs) {
    const Value& value = graph.value(id);
    if (!value.shape)
      throw Error(ErrorCode::unsupported,
                  fmt::format("input '{}' has no known rank (give --data)", printable(value.name, 80)));
    Dims dims;
    for (size_t i = 0; i < value.shape->size(); ++i)
      dims.push_back((*value.shape)[i].known() ? *(*value.shape)[i].size : i == 0 ? samples : 1);
    const Interval range = value.quantization ? representable_range(*value.quantization) : Interval{0, 1};
    Random random(seed, static_cast<uint64_t>(id) * 1'000'003 + static_cast<uint64_t>(first));
    Tensor x = Tensor::uninitialized(DType::float32, dims);
    for (float& v : x.mutable_values<float>())
      v = static_cast<float>(range.low + (range.high - range.low) * random.uniform());
    batch.inputs.emplace_back(value.name, x.cast(value.dtype == DType::undefined ? DType::float32 : value.dtype));
  }
  return batch;
}

/// Running comparison of one value.
struct Differences {
  double step = 0, max_steps = 0;
  int64_t count = 0, different = 0;

  void add(const Tensor& ours, const Tensor& theirs) {
    if (ours.count() != theirs.count())
      throw Error(ErrorCode::bad_file, fmt::format("the other engine gives [{}], ours [{}]", dims_text(theirs.dims()),
                                                   dims_text(ours.dims())));
    const Tensor a = to_float32(ours), b = to_float32(theirs);
    for (int64_t i = 0; i < a.count(); ++i) {
      double steps = std::abs(double{a.data<float>()[i]} - b.data<float>()[i]) / step;
      if (std::isnan(steps)) steps = std::isnan(a.data<float>()[i]) && std::isnan(b.data<float>()[i]) ? 0 : INFINITY;
      max_steps = std::max(max_steps, steps);
      different += steps >= 0.5;
      ++count;
    }
  }
  StepDifference result(const std::string& name, double value_step) const {
    return {name, value_step, max_steps, count ? static_cast<double>(different) / static_cast<double>(count) : 0,
            count};
  }
};

class Verifier {
 public:
  Verifier(const std::string& path, ThreadPool& threads, const VerifyOptions& options)
      : path_(path), threads_(threads), options_(options), model_(open_model(path)), file_(load_model(path)) {
    if (!is_low_bit(model_.graph))
      throw Error(ErrorCode::unsupported, "nothing in it is low-bit (verify a model that lowbit quantize wrote)", path);
    probes_ = find_probes(file_.graph, model_.graph);
    codes_.resize(probes_.size());
  }

  VerifyResult run() {
    run_ours();
    run_theirs();
    return collect();
  }

 private:
  std::string at(const std::string& name) const { return folder_.path() + "/" + name; }
  std::string array(const char* kind, size_t run, size_t i) const {
    return at(fmt::format("{}_{}_{}.npy", kind, run, i));
  }

  void run_ours() {
    std::vector<Tensor> latest(probes_.size());
    ExecutorOptions hooks;
    hooks.on_value = [&](ValueId id, const Tensor& tensor, bool is_codes) {
      for (size_t k = 0; is_codes && k < probes_.size(); ++k)
        if (probes_[k].value == id) latest[k] = tensor;
    };
    Executor executor(model_.graph, threads_, hooks);
    samples_ = options_.data ? std::min(options_.samples, options_.data->size()) : options_.samples;
    const int64_t step = usable_batch(model_.graph, kVerifiedSamples);
    for (int64_t begin = 0; begin < samples_; begin += step) {
      const int64_t count = std::min(step, samples_ - begin);
      const Batch batch =
          options_.data ? options_.data->read(begin, count) : random_batch(model_.graph, count, options_.seed, begin);
      const NamedTensors inputs = bind_inputs(model_.graph, batch);
      for (size_t i = 0; i < model_.graph.inputs.size(); ++i)
        save_npy(inputs.at(model_.graph.value(model_.graph.inputs[i]).name), array("in", outputs_.size(), i));
      outputs_.push_back(executor.run_ordered(inputs));
      for (size_t k = 0; k < probes_.size(); ++k) codes_[k].push_back(latest[k]);
    }
  }

  void run_theirs() {
    Json job = {{"engine", options_.engine},  {"model", std::filesystem::absolute(path_).string()},
                {"folder", folder_.path()},   {"runs", outputs_.size()},
                {"threads", threads_.size()}, {"inputs", Json::array()},
                {"outputs", Json::array()},   {"values", Json::array()}};
    for (const ValueId id : model_.graph.inputs) job["inputs"].push_back(model_.graph.value(id).name);
    for (const ValueId id : model_.graph.outputs) job["outputs"].push_back(model_.graph.value(id).name);
    for (const Probe& probe : probes_) job["values"].push_back({{"codes", probe.codes}, {"decoded", probe.decoded}});
    write_file(at("job.json"), json_text(job));
    write_file(at("verify.py"), verify_script());
    const int code = run_process({options_.python, at("verify.py"), at("job.json")}, at("stderr.txt"));
    if (code != 0) fail(code);
  }

  [[noreturn]] void fail(int code) const {
    std::string last;
    if (file_exists(at("stderr.txt"))) {
      const auto file = MappedFile::open(at("stderr.txt"));
      const Bytes bytes = file->bytes();
      for (const std::string& line :
           split(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), '\n'))
        if (!trim(line).empty()) last = std::string(trim(line));
    }
    const char* packages = options_.engine == "ort" ? "numpy onnx onnxruntime" : "numpy openvino";
    const std::string install = fmt::format("{} -m pip install {}", printable(options_.python, 120), packages);
    if (code == kNotStarted)
      throw Error(
          ErrorCode::unsupported,
          fmt::format("cannot start {} (install Python 3, or set LOWBIT_PYTHON)", printable(options_.python, 120)),
          path_);
    if (code == kModuleMissing)
      throw Error(ErrorCode::unsupported,
                  fmt::format("the Python module {} is missing ({}; or set LOWBIT_PYTHON to a Python that has it)",
                              printable(last, 60), install),
                  path_);
    throw Error(ErrorCode::unsupported,
                fmt::format("{} failed: {} (exit code {})", options_.engine, printable(last, 300), code), path_);
  }

  /// A step for an output that has no scale: 1/255 of the range of our values.
  double output_step(size_t i) const {
    const Value& value = model_.graph.value(model_.graph.outputs[i]);
    if (value.quantization && value.quantization->linear() && !value.quantization->params.empty())
      return value.quantization->linear_at(0).scale;
    float low = INFINITY, high = -INFINITY;
    for (const auto& run : outputs_) {
      const Tensor values = to_float32(run[i]);
      for (const float v : values.values<float>()) {
        low = std::min(low, v);
        high = std::max(high, v);
      }
    }
    return high > low ? (double{high} - low) / 255 : 1;
  }

  std::vector<StepDifference> compare_outputs(const char* kind) const {
    std::vector<StepDifference> results;
    for (size_t i = 0; i < model_.graph.outputs.size(); ++i) {
      Differences differences;
      differences.step = output_step(i);
      for (size_t run = 0; run < outputs_.size(); ++run)
        differences.add(outputs_[run][i], load_npy(array(kind, run, i)));
      results.push_back(differences.result(model_.graph.value(model_.graph.outputs[i]).name, differences.step));
    }
    return results;
  }

  /// Theirs are codes, or decoded values, which are turned back into codes.
  StepDifference compare_layer(size_t k) const {
    const Value& value = model_.graph.value(probes_[k].value);
    Differences differences;
    differences.step = 1;
    for (size_t run = 0; run < outputs_.size(); ++run) {
      const Tensor theirs = load_npy(array("layer", run, k));
      differences.add(codes_[k][run],
                      is_float(theirs.dtype()) ? encode_tensor(*value.quantization, to_float32(theirs)) : theirs);
    }
    return differences.result(value.name, value.quantization->linear() ? value.quantization->linear_at(0).scale : 0);
  }

  double top1_agreement(const char* kind) const {
    int64_t same = 0, total = 0;
    for (size_t run = 0; run < outputs_.size(); ++run) {
      const Tensor ours = to_float32(outputs_[run][0]), theirs = to_float32(load_npy(array(kind, run, 0)));
      const int64_t width = ours.rank() > 0 ? std::max<int64_t>(1, ours.dim(ours.rank() - 1)) : 1;
      for (int64_t begin = 0; begin + width <= ours.count(); begin += width, ++total) {
        const float *a = ours.data<float>() + begin, *b = theirs.data<float>() + begin;
        same += std::max_element(a, a + width) - a == std::max_element(b, b + width) - b;
      }
    }
    return total ? static_cast<double>(same) / static_cast<double>(total) : 1;
  }

  /// Whether the outputs of this kind of run are others than those of the plain one.
  bool changes_outputs(const char* kind) const {
    for (size_t run = 0; run < outputs_.size(); ++run)
      for (size_t i = 0; i < model_.graph.outputs.size(); ++i)
        if (!identical(load_npy(array("out", run, i)), load_npy(array(kind, run, i)))) return true;
    return false;
  }

  VerifyResult collect() const {
    const auto file = MappedFile::open(at("result.json"));
    const Json theirs =
        Json::parse(std::string_view(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()));
    VerifyResult result;
    result.engine = options_.engine;
    result.version = theirs.at("version").get<std::string>();
    result.samples = samples_;
    result.outputs = compare_outputs("out");
    if (theirs.at("unfused").get<bool>()) result.unfused = compare_outputs("unfused");
    for (size_t k = 0; k < probes_.size(); ++k) result.layers.push_back(compare_layer(k));
    result.top1_agreement = result.top1_agreement_by_default = top1_agreement("out");
    if (theirs.at("default").get<bool>() && changes_outputs("default")) {
      result.by_default = compare_outputs("default");
      result.top1_agreement_by_default = top1_agreement("default");
    }
    result.probes_change_outputs = changes_outputs("probed");
    if (result.probes_change_outputs) result.probed = compare_outputs("probed");
    for (const auto& [op, count] : theirs.at("float_nodes").items()) result.float_nodes[op] = count.get<int64_t>();
    result.integer_nodes = theirs.at("integer_nodes").get<int64_t>();
    return result;
  }

  std::string path_;
  ThreadPool& threads_;
  const VerifyOptions& options_;
  Model model_, file_;
  TemporaryFolder folder_;
  std::vector<Probe> probes_;
  std::vector<std::vector<Tensor>> outputs_;  ///< by run, then output
  std::vector<std::vector<Tensor>> codes_;    ///< by probe, then run
  int64_t samples_ = 0;
};

}  // namespace

double VerifyResult::worst_output_steps() const {
  double worst = 0;
  for (const StepDifference& output : outputs) worst = std::max(worst, output.max_steps);
  return worst;
}

const std::vector<std::string>& verify_engines() {
  static const std::vector<std::string> kEngines = {"ort", "openvino"};
  return kEngines;
}

VerifyResult verify_model(const std::string& path, ThreadPool& threads, const VerifyOptions& options) {
  const auto& engines = verify_engines();
  if (std::find(engines.begin(), engines.end(), options.engine) == engines.end()) {
    throw Error(ErrorCode::bad_argument,
                fmt::format("engine {} is not available in this version (available: {})", printable(options.engine, 60),
                            join(engines, ", ")),
                "--engine");
  }
  if (load_model(path).source_format == "onnx") return Verifier(path, threads, options).run();
  // Other engines read ONNX: what the file says in that form.
  const TemporaryFolder folder;
  const std::string converted = folder.path() + "/" + name_of(path) + ".onnx";
  convert_model(path, converted);
  return Verifier(converted, threads, options).run();
}

}  // namespace lowbit
