// Error of every layer: the float network beside the low-bit one on the same samples.
#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <set>

#include <fmt/format.h>

#include "lowbit/api/causes.h"
#include "lowbit/api/report_data.h"
#include "lowbit/api/runner.h"
#include "lowbit/base/text.h"
#include "lowbit/core/weights.h"
#include "lowbit/eval/metrics.h"
#include "lowbit/ops/evaluate.h"
#include "lowbit/passes/passes.h"

namespace lowbit {
namespace {

constexpr int64_t kBatch = 4;  // all activations of a batch are kept while it is compared
constexpr int64_t kMostCodesCounted = 65536;
constexpr int64_t kMostChannels = 16384;

/// Everything summed up over the samples for one value of the low-bit graph.
struct ValueSums {
  ErrorAccumulator local, accumulated;
  bool has_local = false, has_accumulated = false;
  double low = INFINITY, high = -INFINITY, sum = 0, squares = 0;
  int64_t count = 0, clipped = 0;
  std::vector<char> codes_used;
  std::vector<double> channel_error;  ///< sum of errors by index of axis 1
  int64_t per_channel = 0;            ///< values behind each of them
};

bool is_activation_node(const Node& node) { return node.is("Relu") || node.is("Clip"); }

/// Values that exist only inside a fused layer: not annotated, read by one activation whose result is. The integer
/// executor never makes them.
std::set<ValueId> fused_values(const Graph& graph) {
  std::set<ValueId> fused;
  const auto uses = graph.uses();
  for (const Node& node : graph.nodes) {
    const ValueId input = node.input(0);
    if (!is_activation_node(node) || input == kNone || graph.is_output(input) || graph.value(input).quantization)
      continue;
    const bool annotated = graph.value(node.output()).quantization.has_value();
    if (annotated && uses[static_cast<size_t>(input)].size() == 1) fused.insert(input);
  }
  return fused;
}

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
        sums_(low_bit.graph.values.size()) {
    prepare_for_quantization(reference_);  // so that folded layers have the same values on both sides
    for (const Value& value : annotated_.values)
      if (!value.constant) wanted_.insert(value.name);
    build(threads);
  }

  void add(const Batch& batch) {
    float_values_.clear();
    const auto reference = float_run_->run(bind_inputs(reference_, batch));
    local_run_->run(bind_inputs(decoded_, batch));
    const auto outputs = integer_run_->run(bind_inputs(annotated_, batch));
    for (const ValueId id : annotated_.outputs) {
      const std::string& name = annotated_.value(id).name;
      const auto found = reference.find(name);
      if (found == reference.end())
        throw Error(ErrorCode::bad_argument,
                    fmt::format("the float model has no output '{}' (compare a model with the one it was made of)",
                                printable(name, 80)));
      if (!is_float(found->second.dtype())) continue;
      check_same_size(name, found->second, outputs.at(name));
      output_.add(to_float32(found->second), to_float32(outputs.at(name)));
    }
  }

  Comparison result() const {
    Comparison comparison;
    comparison.output = output_.result();
    for (size_t v = 0; v < sums_.size(); ++v)
      if (sums_[v].has_accumulated && producers_[v] >= 0)
        comparison.layers.push_back(layer_error(static_cast<ValueId>(v)));
    std::stable_sort(comparison.layers.begin(), comparison.layers.end(), [](const LayerError& a, const LayerError& b) {
      return a.accumulated.sqnr_db < b.accumulated.sqnr_db;
    });
    return comparison;
  }

 private:
  void build(ThreadPool& threads) {
    EvaluateOptions keep;
    keep.on_value = [this](const Graph& graph, ValueId id, Tensor& tensor) {
      if (&graph != &reference_ || !is_float(tensor.dtype())) return;
      if (const std::string& name = graph.value(id).name; wanted_.contains(name)) float_values_[name] = tensor;
    };
    float_run_ = std::make_unique<Evaluator>(reference_, threads, keep);
    EvaluateOptions local;
    local.on_value = [this](const Graph& graph, ValueId id, Tensor& tensor) {
      if (&graph == &decoded_) local_value(id, tensor);
    };
    local_run_ = std::make_unique<Evaluator>(decoded_, threads, local);
    ExecutorOptions integer;
    integer.on_value = [this](ValueId id, const Tensor& tensor, bool is_codes) { integer_value(id, tensor, is_codes); };
    integer_run_ = std::make_unique<Executor>(annotated_, threads, integer);
  }

  const Tensor* float_value(ValueId id, const Tensor& like) const {
    const auto found = float_values_.find(annotated_.value(id).name);
    return found == float_values_.end() || found->second.count() != like.count() ? nullptr : &found->second;
  }

  const Quantization* annotation(ValueId id) const {
    const auto& quantization = annotated_.value(id).quantization;
    return quantization && !quantization->dynamic ? &*quantization : nullptr;
  }

  static void check_same_size(const std::string& name, const Tensor& a, const Tensor& b) {
    if (a.count() != b.count())
      throw Error(ErrorCode::bad_argument,
                  fmt::format("output '{}' is [{}] in the float model and [{}] in the other (compare a model with the "
                              "one it was made of)",
                              printable(name, 80), dims_text(a.dims()), dims_text(b.dims())));
  }

  /// What one layer makes of float inputs is measured, then replaced by the float value as its readers would see it.
  void local_value(ValueId id, Tensor& tensor) {
    if (!is_float(tensor.dtype()) || fused_.contains(id)) return;
    const Tensor* expected = float_value(id, tensor);
    if (!expected) return;
    const Tensor wanted = to_float32(*expected);
    const Quantization* quantization = annotation(id);
    const Tensor made = quantization ? fake_quantize(*quantization, to_float32(tensor)) : to_float32(tensor);
    ValueSums& sums = sums_[static_cast<size_t>(id)];
    sums.has_local = true;
    sums.local.add(wanted, made);
    add_statistics(sums, wanted, made, quantization);
    tensor =
        (quantization ? fake_quantize(*quantization, wanted) : wanted).cast(tensor.dtype()).reshaped(tensor.dims());
  }

  void integer_value(ValueId id, const Tensor& tensor, bool is_codes) {
    if (annotated_.value(id).constant || fused_.contains(id) || (!is_codes && !is_float(tensor.dtype()))) return;
    const Tensor* expected = float_value(id, tensor);
    if (!expected) return;
    ValueSums& sums = sums_[static_cast<size_t>(id)];
    sums.has_accumulated = true;
    sums.accumulated.add(to_float32(*expected),
                         is_codes ? decode_tensor(*annotated_.value(id).quantization, tensor) : to_float32(tensor));
  }

  static void add_statistics(ValueSums& sums, const Tensor& wanted, const Tensor& made,
                             const Quantization* quantization) {
    const Interval range = quantization ? unclipped_range(*quantization) : Interval{-INFINITY, INFINITY};
    const auto x = wanted.values<float>(), y = made.values<float>();
    for (const float v : x) {
      sums.low = std::min<double>(sums.low, v);
      sums.high = std::max<double>(sums.high, v);
      sums.sum += v;
      sums.squares += double{v} * v;
      sums.clipped += v < range.low || v > range.high;
    }
    sums.count += wanted.count();
    if (!quantization) return;
    const CodeRange codes = quantization->codes();
    if (codes.count() <= kMostCodesCounted) {
      sums.codes_used.resize(static_cast<size_t>(codes.count()), 0);
      const Tensor made_codes = encode_tensor(*quantization, made);
      for (const int32_t code : made_codes.values<int32_t>())
        sums.codes_used[static_cast<size_t>(code - codes.min)] = 1;
    }
    const int64_t channels = made.rank() >= 2 ? made.dim(1) : 1;
    if (channels < 1 || channels > kMostChannels) return;
    sums.channel_error.resize(static_cast<size_t>(channels), 0);
    int64_t inner = 1;
    for (int64_t axis = 2; axis < made.rank(); ++axis) inner *= made.dim(axis);
    for (size_t i = 0; i < x.size(); ++i) {
      const int64_t channel = static_cast<int64_t>(i) / inner % channels;
      sums.channel_error[static_cast<size_t>(channel)] += double{y[i]} - x[i];
    }
    sums.per_channel += made.count() / channels;
  }

  /// The node that a value is reported under: the layer, not the activation that was fused into it.
  const Node& layer_of(ValueId id) const {
    const Node& node = annotated_.nodes[static_cast<size_t>(producers_[static_cast<size_t>(id)])];
    const ValueId input = node.input(0);
    if (input == kNone || !fused_.contains(input)) return node;
    const int32_t before = producers_[static_cast<size_t>(input)];
    return before >= 0 ? annotated_.nodes[static_cast<size_t>(before)] : node;
  }

  LayerError layer_error(ValueId id) const {
    const ValueSums& sums = sums_[static_cast<size_t>(id)];
    const Node& node = layer_of(id);
    LayerError layer;
    layer.name = node.name;
    layer.op = node.full_op();
    layer.value = annotated_.value(id).name;
    layer.accumulated = sums.accumulated.result();
    layer.local = sums.has_local ? sums.local.result() : layer.accumulated;
    layer.local.clipped_share = sums.count ? static_cast<double>(sums.clipped) / static_cast<double>(sums.count) : 0;
    const Finding finding = explain(facts(id, node, layer));
    layer.cause = finding.cause;
    layer.remedy = finding.remedy;
    return layer;
  }

  LayerFacts facts(ValueId id, const Node& node, const LayerError& layer) const {
    const ValueSums& sums = sums_[static_cast<size_t>(id)];
    LayerFacts facts;
    facts.name = node.name;
    facts.op = layer.op;
    facts.local_sqnr_db = layer.local.sqnr_db;
    facts.clipped_share = layer.local.clipped_share;
    facts.low = sums.low;
    facts.high = sums.high;
    const double n = static_cast<double>(std::max<int64_t>(1, sums.count)), mean = sums.sum / n;
    facts.standard_deviation = std::sqrt(std::max(0.0, sums.squares / n - mean * mean));
    if (const Quantization* quantization = annotation(id)) {
      facts.has_codes = true;
      facts.codes = quantization->codes().count();
      facts.codes_used =
          sums.codes_used.empty() ? facts.codes : std::count(sums.codes_used.begin(), sums.codes_used.end(), 1);
      if (quantization->linear() && !quantization->params.empty()) facts.step = quantization->linear_at(0).scale;
      double squares = 0;
      for (const double error : sums.channel_error)
        squares += std::pow(error / static_cast<double>(std::max<int64_t>(1, sums.per_channel)), 2);
      if (!sums.channel_error.empty())
        facts.mean_shift = std::sqrt(squares / static_cast<double>(sums.channel_error.size()));
    }
    facts.joins_inputs = node.is("Add") || node.is("Sub") || node.is("Concat") || node.is("Sum");
    for (const ValueId input : node.inputs) {
      if (input == kNone) continue;
      const Value& value = annotated_.value(input);
      if (value.constant && value.quantization && facts.channel_ranges.empty())
        add_weight_facts(value, facts);
      else if (!value.constant && annotation(input) && sums_[static_cast<size_t>(input)].count > 0)
        facts.input_ranges.push_back(std::max(std::abs(sums_[static_cast<size_t>(input)].low),
                                              std::abs(sums_[static_cast<size_t>(input)].high)));
    }
    return facts;
  }

  static void add_weight_facts(const Value& value, LayerFacts& facts) {
    const Quantization& quantization = *value.quantization;
    facts.weight_bits = quantization.format.bits;
    facts.weights_per_tensor = quantization.granularity.kind == Granularity::Kind::tensor;
    const Tensor x = to_float32(unrounded_values(value));
    if (x.rank() < 1 || x.count() == 0) return;
    const int64_t axis =
        facts.op == "MatMul" ? x.rank() - 1 : std::clamp<int64_t>(quantization.granularity.axis, 0, x.rank() - 1);
    const int64_t channels = x.dim(axis), inner = row_major_strides(x.dims())[static_cast<size_t>(axis)];
    facts.channel_ranges.assign(static_cast<size_t>(channels), 0);
    const auto values = x.values<float>();
    for (size_t i = 0; i < values.size(); ++i) {
      double& most = facts.channel_ranges[static_cast<size_t>(static_cast<int64_t>(i) / inner % channels)];
      most = std::max<double>(most, std::abs(values[i]));
    }
  }

  Graph reference_;
  const Graph& annotated_;
  Graph decoded_;
  std::set<ValueId> fused_;
  std::vector<int32_t> producers_;
  std::vector<ValueSums> sums_;
  std::set<std::string> wanted_;
  std::map<std::string, Tensor> float_values_;
  ErrorAccumulator output_;
  std::unique_ptr<Evaluator> float_run_, local_run_;
  std::unique_ptr<Executor> integer_run_;
};

}  // namespace

Comparison compare_models(const Model& float_model, const Model& low_bit, const DataSet& data, ThreadPool& threads,
                          const std::function<void(double share)>& progress) {
  Comparer comparer(float_model, low_bit, threads);
  const int64_t size = data.size();
  const int64_t step = std::min(usable_batch(float_model.graph, kBatch), usable_batch(low_bit.graph, kBatch));
  for (int64_t begin = 0; begin < size; begin += step) {
    const int64_t count = std::min(step, size - begin);
    comparer.add(data.read(begin, count));
    if (progress) progress(static_cast<double>(begin + count) / static_cast<double>(size));
  }
  Comparison comparison = comparer.result();
  comparison.samples = size;
  return comparison;
}

}  // namespace lowbit
