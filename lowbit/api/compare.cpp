// The float network beside the low-bit one on the same samples, in five runs of each batch.
#include "lowbit/api/compare.h"

#include <algorithm>
#include <map>
#include <memory>

#include <fmt/format.h>

#include "lowbit/api/compare_basis.h"
#include "lowbit/api/compare_parts.h"
#include "lowbit/api/runner.h"
#include "lowbit/base/text.h"
#include "lowbit/core/weights.h"
#include "lowbit/ops/evaluate.h"
#include "lowbit/passes/passes.h"

namespace lowbit {
namespace {

constexpr int64_t kComparedSamples = 4;  // all activations of a batch are kept while it is compared
constexpr int64_t kBasisSamples = 16;    // looked at before the comparison, to learn in what terms values are written
constexpr double kStillWorksDb = 6;      // a network whose values look foreign but whose output is right

/// The low-bit graph with decoded weights, for the evaluator.
Graph with_decoded_weights(const Graph& graph) {
  Graph copy = graph;
  for (Value& value : copy.values)
    if (is_annotated_constant(value)) value.constant = weight_values(value);
  return copy;
}

class Comparer {
 public:
  Comparer(const Model& float_model, const Model& low_bit, ThreadPool& threads)
      : reference_(with_decoded_weights(float_model.graph)),
        annotated_(low_bit.graph),
        decoded_(with_decoded_weights(low_bit.graph)),
        fused_(fused_values(low_bit.graph)),
        producers_(low_bit.graph.producers()),
        sums_(low_bit.graph.values.size()),
        maps_(low_bit.graph.values.size()),
        incomparable_(low_bit.graph.values.size(), 0) {
    prepare_for_quantization(reference_);  // so that folded layers have the same values on both sides
    for (size_t v = 0; v < annotated_.values.size(); ++v) {
      const Value& value = annotated_.values[v];
      if (!value.constant) by_name_[value.name] = static_cast<ValueId>(v);
      has_weights_ |= is_annotated_constant(value);
      has_activations_ |= !value.constant && value.quantization && !value.quantization->dynamic;
    }
    build(threads);
  }

  /// Learns from samples how the values of the two networks correspond.
  void learn_bases(const Batch& batch) {
    float_values_.clear();
    finders_.resize(annotated_.values.size());
    const NamedTensors reference = float_run_->run(bind_inputs(reference_, batch));
    add_outputs(reference, weights_run_->run(bind_inputs(decoded_, batch)), basis_error_);
  }

  /// Ends the learning. A foreign basis is one only if the network works with low-bit weights; else its values are
  /// merely wrong.
  void settle_bases() {
    const bool works = basis_error_.result().sqnr_db > kStillWorksDb;
    for (size_t v = 0; v < finders_.size(); ++v) {
      if (annotated_.is_output(static_cast<ValueId>(v))) continue;
      ChannelMap map;
      const Basis basis = finders_[v].settle(map);
      if (basis == Basis::rescaled) maps_[v] = std::move(map);
      if (basis == Basis::other && works) incomparable_[v] = 1;
    }
    finders_.clear();
  }

  void add(const Batch& batch) {
    float_values_.clear();
    const NamedTensors reference = float_run_->run(bind_inputs(reference_, batch));
    const NamedTensors weights = weights_run_->run(bind_inputs(decoded_, batch));
    local_run_->run(bind_inputs(decoded_, batch));
    const NamedTensors outputs = integer_run_->run(bind_inputs(annotated_, batch));
    add_outputs(reference, outputs, output_);
    if (has_weights_) add_outputs(reference, weights, weights_only_);
    if (has_activations_)
      add_outputs(reference, activations_run_->run(bind_inputs(reference_, batch)), activations_only_);
  }

  Comparison result(int64_t samples, const StatisticsSet* calibration) const {
    Comparison comparison;
    comparison.samples = samples;
    comparison.output = output_.result();
    Diagnosis& diagnosis = comparison.diagnosis;
    if (has_weights_ && has_activations_) {
      diagnosis.weights_only = weights_only_.result();
      diagnosis.activations_only = activations_only_.result();
    }
    diagnosis.rescaled = std::count_if(maps_.begin(), maps_.end(), [](const ChannelMap& m) { return !m.gain.empty(); });
    describe_layers({annotated_, fused_, sums_, incomparable_, integer_run_->saturation(), calibration, samples},
                    comparison);
    return comparison;
  }

 private:
  void build(ThreadPool& threads) {
    EvaluateOptions keep;
    keep.on_value = [this](const Graph& graph, ValueId id, Tensor& tensor) {
      if (&graph != &reference_ || !is_float(tensor.dtype())) return;
      if (const std::string& name = graph.value(id).name; by_name_.contains(name)) float_values_[name] = tensor;
    };
    float_run_ = std::make_unique<Evaluator>(reference_, threads, keep);
    EvaluateOptions weights;
    weights.on_value = [this](const Graph& graph, ValueId id, Tensor& tensor) {
      if (&graph == &decoded_ && !finders_.empty() && is_float(tensor.dtype())) learn_basis(id, tensor);
    };
    weights_run_ = std::make_unique<Evaluator>(decoded_, threads, weights);
    EvaluateOptions activations;
    activations.on_value = [this](const Graph& graph, ValueId id, Tensor& tensor) {
      if (&graph == &reference_) round_activation(graph.value(id).name, tensor);
    };
    activations_run_ = std::make_unique<Evaluator>(reference_, threads, activations);
    EvaluateOptions local;
    local.on_value = [this](const Graph& graph, ValueId id, Tensor& tensor) {
      if (&graph == &decoded_) local_value(id, tensor);
    };
    local_run_ = std::make_unique<Evaluator>(decoded_, threads, local);
    ExecutorOptions integer;
    integer.count_saturation = true;
    integer.on_value = [this](ValueId id, const Tensor& tensor, bool is_codes) { integer_value(id, tensor, is_codes); };
    integer_run_ = std::make_unique<Executor>(annotated_, threads, integer);
  }

  const Quantization* annotation(ValueId id) const {
    const auto& quantization = annotated_.value(id).quantization;
    return quantization && !quantization->dynamic ? &*quantization : nullptr;
  }

  ChannelView view_of(ValueId id, const Tensor& tensor) const {
    const int32_t producer = producers_[static_cast<size_t>(id)];
    return channel_view(tensor.dims(), producer >= 0 ? &annotated_.nodes[static_cast<size_t>(producer)] : nullptr);
  }

  /// The float value in the terms of the low-bit network; nothing if there is none of the same size.
  std::optional<Tensor> float_value(ValueId id, const Tensor& like) const {
    const auto found = float_values_.find(annotated_.value(id).name);
    if (found == float_values_.end() || found->second.count() != like.count()) return std::nullopt;
    const Tensor value = to_float32(found->second);
    const ChannelMap& map = maps_[static_cast<size_t>(id)];
    return map.gain.empty() ? value : map.apply(value, view_of(id, value));
  }

  void learn_basis(ValueId id, const Tensor& tensor) {
    const auto found = float_values_.find(annotated_.value(id).name);
    if (found == float_values_.end() || found->second.count() != tensor.count() ||
        producers_[static_cast<size_t>(id)] < 0)
      return;
    const Tensor x = to_float32(found->second);
    finders_[static_cast<size_t>(id)].add(x, to_float32(tensor), view_of(id, x));
  }

  void add_outputs(const NamedTensors& reference, const NamedTensors& outputs, ErrorAccumulator& error) const {
    for (const ValueId id : annotated_.outputs) {
      const std::string& name = annotated_.value(id).name;
      const auto found = reference.find(name);
      if (found == reference.end())
        throw Error(ErrorCode::bad_argument,
                    fmt::format("the float model has no output '{}' (compare a model with the one it was made of)",
                                printable(name, 80)));
      if (!is_float(found->second.dtype())) continue;
      check_same_size(name, found->second, outputs.at(name));
      error.add(to_float32(found->second), to_float32(outputs.at(name)));
    }
  }

  static void check_same_size(const std::string& name, const Tensor& a, const Tensor& b) {
    if (a.count() != b.count())
      throw Error(ErrorCode::bad_argument,
                  fmt::format("output '{}' is [{}] in the float model and [{}] in the other (compare a model with the "
                              "one it was made of)",
                              printable(name, 80), dims_text(a.dims()), dims_text(b.dims())));
  }

  void round_activation(const std::string& name, Tensor& tensor) const {
    const auto found = by_name_.find(name);
    if (found == by_name_.end() || !is_float(tensor.dtype())) return;
    const Quantization* quantization = annotation(found->second);
    if (!quantization || incomparable_[static_cast<size_t>(found->second)]) return;
    const Tensor x = to_float32(tensor);
    const ChannelMap& map = maps_[static_cast<size_t>(found->second)];
    const ChannelView view = view_of(found->second, x);
    const Tensor rounded = map.gain.empty() ? fake_quantize(*quantization, x)
                                            : map.undo(fake_quantize(*quantization, map.apply(x, view)), view);
    tensor = rounded.cast(tensor.dtype()).reshaped(tensor.dims());
  }

  /// What one layer makes of float inputs is measured, then replaced by the float value as its readers would see it.
  void local_value(ValueId id, Tensor& tensor) {
    if (!is_float(tensor.dtype()) || fused_.contains(id) || incomparable_[static_cast<size_t>(id)]) return;
    const std::optional<Tensor> wanted = float_value(id, tensor);
    if (!wanted) return;
    const Quantization* quantization = annotation(id);
    const Tensor made = quantization ? fake_quantize(*quantization, to_float32(tensor)) : to_float32(tensor);
    sums_[static_cast<size_t>(id)].add(*wanted, made, quantization, view_of(id, tensor));
    tensor =
        (quantization ? fake_quantize(*quantization, *wanted) : *wanted).cast(tensor.dtype()).reshaped(tensor.dims());
  }

  void integer_value(ValueId id, const Tensor& tensor, bool is_codes) {
    if (annotated_.value(id).constant || fused_.contains(id) || (!is_codes && !is_float(tensor.dtype()))) return;
    if (const std::optional<Tensor> wanted = float_value(id, tensor))
      sums_[static_cast<size_t>(id)].add_accumulated(
          *wanted, is_codes ? decode_tensor(*annotated_.value(id).quantization, tensor) : to_float32(tensor));
  }

  Graph reference_;
  const Graph& annotated_;
  Graph decoded_;
  std::set<ValueId> fused_;
  std::vector<int32_t> producers_;
  std::vector<ValueSums> sums_;
  std::vector<ChannelMap> maps_;
  std::vector<char> incomparable_;
  std::map<std::string, ValueId> by_name_;
  bool has_weights_ = false, has_activations_ = false;
  std::vector<BasisFinder> finders_;  ///< by value; empty once settled
  ErrorAccumulator basis_error_;
  std::map<std::string, Tensor> float_values_;
  ErrorAccumulator output_, weights_only_, activations_only_;
  std::unique_ptr<Evaluator> float_run_, weights_run_, activations_run_, local_run_;
  std::unique_ptr<Executor> integer_run_;
};

}  // namespace

Comparison compare_models(const Model& float_model, const Model& low_bit, const DataSet& data, ThreadPool& threads,
                          const CompareOptions& options) {
  Comparer comparer(float_model, low_bit, threads);
  const int64_t size = data.size();
  const int64_t step =
      std::min(usable_batch(float_model.graph, kComparedSamples), usable_batch(low_bit.graph, kComparedSamples));
  for (int64_t begin = 0; begin < std::min(kBasisSamples, size); begin += step)
    comparer.learn_bases(data.read(begin, std::min(step, size - begin)));
  comparer.settle_bases();
  for (int64_t begin = 0; begin < size; begin += step) {
    const int64_t count = std::min(step, size - begin);
    comparer.add(data.read(begin, count));
    if (options.progress) options.progress(static_cast<double>(begin + count) / static_cast<double>(size));
  }
  return comparer.result(size, options.calibration);
}

StatisticsSet input_statistics(const Graph& graph, const DataSet& data, int64_t samples) {
  StatisticsSet set;
  set.data_description = data.describe();
  const int64_t size = std::min(samples, data.size()), step = usable_batch(graph, 32);
  for (int64_t begin = 0; begin < size; begin += step) {
    const Batch batch = data.read(begin, std::min(step, size - begin));
    for (const auto& [name, tensor] : bind_inputs(graph, batch))
      if (is_float(tensor.dtype())) set.tensors[name].add(tensor, tensor.rank() > 0);
  }
  return set;
}

}  // namespace lowbit
