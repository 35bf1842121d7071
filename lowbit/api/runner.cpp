#include "lowbit/api/runner.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include <fmt/format.h>

#include "lowbit/api/inference.h"
#include "lowbit/base/checked.h"
#include "lowbit/base/text.h"
#include "lowbit/eval/metrics.h"

namespace lowbit {
namespace {

constexpr int kLatencyWarmup = 2, kLatencyRuns = 15;
constexpr double kLatencySeconds = 0.5;  // slow models get fewer runs

std::string expected_text(const Value& value) {
  return fmt::format("{}[{}]", dtype_name(value.dtype),
                     value.shape ? printable(shape_text(*value.shape), 100) : "any shape");
}

std::string given_text(const Tensor& tensor) {
  return fmt::format("{}[{}]", dtype_name(tensor.dtype()), dims_text(tensor.dims()));
}

bool fits(const Dims& dims, const Shape& shape) {
  if (dims.size() != shape.size()) return false;
  for (size_t i = 0; i < dims.size(); ++i)
    if (shape[i].known() && *shape[i].size != dims[i]) return false;
  return true;
}

bool all_equal(const Tensor& tensor) {
  const Tensor x = to_float32(tensor);
  const auto values = x.values<float>();
  return std::all_of(values.begin(), values.end(), [&](float v) { return v == values[0]; });
}

/// The element [0] of a tensor, as a tensor without dimensions.
Tensor first_element(const Tensor& tensor) {
  Tensor result = Tensor::uninitialized(tensor.dtype(), {});
  std::copy_n(tensor.raw().begin(), result.byte_size(), result.mutable_raw());
  return result;
}

/// Brings an array into the shape of an input where that changes no value: a batch dimension in front, a single number.
Tensor fit_shape(const Value& value, const Tensor& given) {
  if (!value.shape || fits(given.dims(), *value.shape)) return given;
  const Shape& shape = *value.shape;
  if (shape.empty() && given.count() > 0 && all_equal(given)) return first_element(given);
  if (given.rank() + 1 == static_cast<int64_t>(shape.size())) {
    Dims with_batch = given.dims();
    with_batch.insert(with_batch.begin(), 1);
    if (fits(with_batch, shape)) return given.reshaped(with_batch);
  }
  if (given.rank() == static_cast<int64_t>(shape.size()) + 1 && given.dim(0) == 1) {  // one sample of stacked states
    const Dims alone(given.dims().begin() + 1, given.dims().end());
    if (fits(alone, shape)) return given.reshaped(alone);
  }
  const bool one_at_a_time = !shape.empty() && shape[0].known() && *shape[0].size == 1 &&
                             given.rank() == static_cast<int64_t>(shape.size()) && given.dim(0) > 1;
  throw Error(ErrorCode::bad_argument, fmt::format("input '{}' was given as {}, the model expects {} ({})",
                                                   printable(value.name, 80), given_text(given), expected_text(value),
                                                   one_at_a_time ? "it takes one sample at a time: cut the array"
                                                                 : "check the data, --preprocess and its layout"));
}

Tensor fit_dtype(const Value& value, const Tensor& given) {
  if (value.dtype == DType::undefined || given.dtype() == value.dtype) return given;
  const bool from_integer = is_integer(given.dtype()) || given.dtype() == DType::bool_;
  const bool between_floats = is_float(given.dtype()) && is_float(value.dtype);
  if (given.dtype() == DType::string || value.dtype == DType::string || (!from_integer && !between_floats))
    throw Error(ErrorCode::bad_argument,
                fmt::format("input '{}' was given as {}, the model expects {} (convert the array first)",
                            printable(value.name, 80), given_text(given), expected_text(value)));
  return given.cast(value.dtype);
}

std::vector<std::string> input_names(const Graph& graph) {
  std::vector<std::string> names;
  for (const ValueId id : graph.inputs) names.push_back(graph.value(id).name);
  return names;
}

void check_names(const Graph& graph, const Batch& batch) {
  const std::vector<std::string> names = input_names(graph);
  for (const auto& [name, tensor] : batch.inputs) {
    if (name.empty() || std::find(names.begin(), names.end(), name) != names.end()) continue;
    const std::string near = did_you_mean(name, names);
    throw Error(ErrorCode::bad_argument,
                fmt::format("the model has no input '{}' ({})", printable(name, 80),
                            near.empty() ? "its inputs: " + printable(join(names, ", "), 200) : near));
  }
}

/// The array for one input, or null: by name, else the only unnamed one if nothing else is to be given.
const Tensor* array_for(const Graph& graph, const Batch& batch, const std::string& name) {
  for (const auto& [given, tensor] : batch.inputs)
    if (given == name) return &tensor;
  const bool single = batch.inputs.size() == 1 && batch.inputs[0].first.empty() && graph.inputs.size() == 1;
  return single ? &batch.inputs[0].second : nullptr;
}

/// [samples, rest]: every output of a batch seen as one row a sample. An output whose first dimension is not the batch
/// counts as one row.
Tensor as_rows(const Tensor& output, int64_t samples) {
  const bool batched = output.rank() > 0 && output.dim(0) == samples;
  const int64_t rows = batched ? samples : 1;
  return to_float32(output).reshaped({rows, rows > 0 ? output.count() / rows : 0});
}

/// Index of the largest value of a row; a row of one is a score with threshold 0.5.
int64_t decide(std::span<const float> row) {
  if (row.size() == 1) return row[0] > 0.5f;
  return std::max_element(row.begin(), row.end()) - row.begin();
}

/// Gives out the rows of stored outputs in order, whatever batches they came in.
class RowReader {
 public:
  explicit RowReader(const std::vector<Tensor>& batches) : batches_(batches) {}
  /// The next `count` rows; fewer at the end.
  Tensor next(int64_t count) {
    std::vector<float> values;
    int64_t rows = 0;
    while (rows < count && batch_ < batches_.size()) {
      const Tensor& batch = batches_[batch_];
      const int64_t width = batch.dim(1), taken = std::min(count - rows, batch.dim(0) - row_);
      const float* begin = batch.data<float>() + row_ * width;
      values.insert(values.end(), begin, begin + taken * width);
      rows += taken;
      row_ += taken;
      if (row_ == batch.dim(0)) ++batch_, row_ = 0;
    }
    const int64_t width = rows > 0 ? static_cast<int64_t>(values.size()) / rows : 0;
    return Tensor::from<float>({rows, width}, values);
  }

 private:
  const std::vector<Tensor>& batches_;
  size_t batch_ = 0;
  int64_t row_ = 0;
};

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 ? values[middle] : 0.5 * (values[middle - 1] + values[middle]);
}

/// Median time of one sample, run alone.
double latency_ms(const Model& model, const DataSet& data, Inference& inference) {
  const int64_t batch = std::min(usable_batch(model.graph, 1), data.size());
  const NamedTensors inputs = bind_inputs(model.graph, data.read(0, batch));
  using Clock = std::chrono::steady_clock;
  for (int i = 0; i < kLatencyWarmup; ++i) inference.run_ordered(inputs);
  std::vector<double> times;
  const auto start = Clock::now();
  while (times.size() < kLatencyRuns &&
         (times.empty() || std::chrono::duration<double>(Clock::now() - start).count() < kLatencySeconds)) {
    const auto begin = Clock::now();
    inference.run_ordered(inputs);
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begin).count() /
                    static_cast<double>(batch));
  }
  return median(times);
}

/// Throws Error{bad_file} if the labels cannot be the model's.
void check_labels(const std::vector<int64_t>& labels, int64_t samples, int64_t classes) {
  if (static_cast<int64_t>(labels.size()) != samples)
    throw Error(ErrorCode::bad_file,
                fmt::format("{} labels for {} samples (they do not belong together)", labels.size(), samples));
  const int64_t most = std::max<int64_t>(classes, 2);
  for (const int64_t label : labels)
    if (label < 0 || label >= most)
      throw Error(
          ErrorCode::bad_file,
          fmt::format("label {} does not fit a model of {} classes (check --labels and --classes)", label, most));
}

}  // namespace

bool is_low_bit(const Graph& graph) {
  const auto annotated = [](const Value& value) { return value.quantization.has_value(); };
  if (std::any_of(graph.values.begin(), graph.values.end(), annotated)) return true;
  for (const Node& node : graph.nodes)
    for (const auto& [key, attribute] : node.attributes)
      if (const auto* body = std::get_if<std::shared_ptr<Graph>>(&attribute); body && *body && is_low_bit(**body))
        return true;
  return false;
}

NamedTensors bind_inputs(const Graph& graph, const Batch& batch) {
  check_names(graph, batch);
  NamedTensors bound;
  for (const ValueId id : graph.inputs) {
    const Value& value = graph.value(id);
    const Tensor* given = array_for(graph, batch, value.name);
    if (!given)
      throw Error(
          ErrorCode::bad_argument,
          fmt::format("no array for input '{}', which expects {} (the model's inputs: {}; give each by name)",
                      printable(value.name, 80), expected_text(value), printable(join(input_names(graph), ", "), 200)));
    bound[value.name] = fit_dtype(value, fit_shape(value, *given));
  }
  return bound;
}

int64_t usable_batch(const Graph& graph, int64_t wanted) {
  for (const ValueId id : graph.inputs) {
    const auto& shape = graph.value(id).shape;
    if (shape && !shape->empty() && shape->front().known()) return std::max<int64_t>(1, *shape->front().size);
  }
  return wanted;
}

EvaluateRun evaluate_model(const Model& model, const std::string& file, const DataSet& data, ThreadPool& threads,
                           const EvaluateRun* reference, const std::function<void(double share)>& progress) {
  if (model.graph.outputs.empty()) throw Error(ErrorCode::bad_file, "the model has no output", file);
  Inference inference(model.graph, threads);
  EvaluateRun run;
  std::optional<ClassificationScores> scores;
  if (data.has_labels()) scores.emplace();
  ErrorAccumulator output_error, target_error;
  std::optional<RowReader> reference_rows;
  if (reference) reference_rows.emplace(reference->outputs);
  const int64_t size = data.size(), step = usable_batch(model.graph, kBatchSamples);
  bool has_targets = false;
  for (int64_t begin = 0; begin < size; begin += step) {
    const int64_t count = std::min(step, size - begin);
    const Batch batch = data.read(begin, count, &threads);
    const Tensor output = inference.run_ordered(bind_inputs(model.graph, batch))[0];
    const Tensor rows = as_rows(output, count);
    for (int64_t i = 0; i < rows.dim(0); ++i)
      run.predictions.push_back(
          decide(rows.values<float>().subspan(static_cast<size_t>(i * rows.dim(1)), static_cast<size_t>(rows.dim(1)))));
    if (scores && !batch.labels.empty()) {
      try {
        check_labels(batch.labels, rows.dim(0), rows.dim(1));
        scores->add(rows, batch.labels);
      } catch (const Error& error) {
        // Folders of another task's classes are still pictures to compare models on; labels that the user named must
        // fit.
        if (data.labels_are_given()) throw;
        run.evaluation.note = "labels from folder names are left out: " + error.message();
        scores.reset();
      }
    } else if (batch.targets && batch.targets->count() == rows.count()) {
      has_targets = true;
      target_error.add(to_float32(*batch.targets).reshaped(rows.dims()), rows);
    }
    if (reference_rows)
      output_error.add(reference_rows->next(rows.dim(0)), rows);
    else
      run.outputs.push_back(rows);
    if (progress) progress(static_cast<double>(begin + count) / static_cast<double>(size));
  }
  ModelEvaluation& evaluation = run.evaluation;
  evaluation.file = file;
  evaluation.engine = is_low_bit(model.graph) ? "lowbit integer" : "lowbit float";
  evaluation.samples = size;
  evaluation.file_bytes = model.file_bytes;
  if (scores && scores->samples() > 0) evaluation.metrics = scores->metrics();
  if (has_targets) {
    const double rmse = std::sqrt(target_error.result().mse);
    evaluation.metrics["rmse"] = {rmse, {rmse, rmse}};
  }
  if (reference) {
    const auto total = static_cast<int64_t>(run.predictions.size());
    int64_t same = 0;
    for (size_t i = 0; i < run.predictions.size() && i < reference->predictions.size(); ++i)
      same += run.predictions[i] == reference->predictions[i];
    evaluation.metrics["agreement"] = {static_cast<double>(same) / static_cast<double>(total), wilson(same, total)};
    const double sqnr = output_error.result().sqnr_db;
    evaluation.metrics["sqnr_db"] = {sqnr, {sqnr, sqnr}};
  }
  evaluation.latency_ms_median = latency_ms(model, data, inference);
  return run;
}

}  // namespace lowbit
